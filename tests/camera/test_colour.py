"""Colour and tone, against colour-science, published values, and their own inverses."""

from __future__ import annotations

import numpy as np
import pytest

from edgeunet.camera import colour

VALUES = np.linspace(0, 1, 1001, dtype=np.float32)
GAINS = np.array([2.0, 1.0, 1.6])


def test_the_srgb_curve_is_that_of_colour_science() -> None:
    science = pytest.importorskip("colour", reason="comes with colour-demosaicing")
    linear = science.models.eotf_sRGB(VALUES.astype(float))
    np.testing.assert_allclose(colour.decode_srgb(VALUES), linear, atol=2e-7)
    encoded = science.models.eotf_inverse_sRGB(VALUES.astype(float))
    np.testing.assert_allclose(colour.encode_srgb(VALUES), encoded, atol=1e-6)


def test_the_srgb_curve_has_the_values_of_the_standard() -> None:
    # 18 % grey, and both ends of the straight part.
    linear = np.array([0, 0.0031308, 0.18, 1], np.float32)
    encoded = np.array([0, 0.04045, 0.46136, 1], np.float32)
    np.testing.assert_allclose(colour.encode_srgb(linear), encoded, atol=1e-5)
    np.testing.assert_allclose(colour.decode_srgb(encoded), linear, atol=1e-5)
    np.testing.assert_allclose(colour.decode_srgb(colour.encode_srgb(VALUES)), VALUES, atol=1e-6)


def test_full_tone_is_the_smoothstep_of_brooks_et_al() -> None:
    np.testing.assert_allclose(
        colour.apply_tone(VALUES, 1.0), 3 * VALUES**2 - 2 * VALUES**3, atol=1e-6
    )
    assert np.array_equal(colour.apply_tone(VALUES, 0.0), VALUES)


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.7, 1.0])
def test_tone_is_undone(strength: float) -> None:
    curved = colour.apply_tone(VALUES, strength)
    assert (np.diff(curved) >= 0).all()
    np.testing.assert_allclose(colour.undo_tone(curved, strength), VALUES, atol=1e-3)
    # The closed form of the inverse at full strength.
    if strength == 1:
        closed = 0.5 - np.sin(np.arcsin(1 - 2 * VALUES.astype(float)) / 3)
        np.testing.assert_allclose(colour.undo_tone(VALUES, 1.0), closed, atol=1e-3)


def test_a_cameras_matrix_keeps_grey_grey() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        matrix = colour.camera_matrix(generator.dirichlet(np.ones(colour.known_cameras())))
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
        assert np.linalg.cond(matrix) < 20


def test_a_matrix_multiplies_every_pixels_colour() -> None:
    matrix = np.array([[0.5, 0.25, 0.25], [0, 1, 0], [0.1, 0.2, 0.7]])
    image = np.random.default_rng(0).random((4, 5, 3), np.float32)
    wanted = np.einsum("ij,hwj->hwi", matrix, image)
    np.testing.assert_allclose(colour.apply_matrix(image, matrix), wanted, atol=1e-6)


def test_white_balance_is_undone_but_near_white() -> None:
    image = np.full((2, 3, 3), 0.5, np.float32)
    np.testing.assert_allclose(colour.undo_white_balance(image, GAINS)[0, 0], 0.5 / GAINS)
    white = np.ones((2, 3, 3), np.float32)
    np.testing.assert_allclose(colour.undo_white_balance(white, GAINS), white, atol=1e-6)
    # Between both, at a mean of 0.95: a quarter of the way.
    between = np.full((1, 1, 3), 0.95, np.float32)
    wanted = 0.95 * (0.75 / GAINS + 0.25)
    np.testing.assert_allclose(colour.undo_white_balance(between, GAINS)[0, 0], wanted, rtol=1e-4)


def test_luma_and_chroma_are_those_of_jpeg() -> None:
    pillow = pytest.importorskip("PIL.Image")
    bytes_ = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    wanted = np.asarray(pillow.fromarray(bytes_).convert("YCbCr"), float)
    planes = colour.to_luma_chroma(bytes_.astype(np.float32))
    shifted = planes + np.array([0, 128, 128], np.float32)
    assert np.abs(shifted - wanted).max() < 1.1
    restored = colour.from_luma_chroma(planes)
    np.testing.assert_allclose(restored, bytes_, atol=1e-3)
