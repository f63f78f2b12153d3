"""Smoothing, sharpening and resizing, against computations of their own."""

from __future__ import annotations

import numpy as np
import pytest

from edgeunet.camera import finishing
from edgeunet.camera.colour import to_luma_chroma
from edgeunet.pixels import Floats

LUMA = np.array([0.299, 0.587, 0.114])


def blurred(plane: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian as two convolutions with its samples, borders mirrored, cut at 3 sigma."""
    radius = int(3.0 * sigma + 0.5)
    places = np.arange(-radius, radius + 1)
    kernel = np.exp(-(places**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    wide = np.pad(plane.astype(float), radius, mode="symmetric")
    rows = np.apply_along_axis(np.convolve, 1, wide, kernel, "valid")
    return np.asarray(np.apply_along_axis(np.convolve, 0, rows, kernel, "valid"))


def image(height: int = 24, width: int = 32) -> Floats:
    return np.random.default_rng(0).random((height, width, 3), np.float32)


def test_an_unsharp_mask_adds_what_a_blur_takes() -> None:
    picture = image()
    luma = picture @ LUMA
    wanted = picture + 0.7 * (luma - blurred(luma, 1.2))[:, :, None]
    np.testing.assert_allclose(finishing.sharpen(picture, 0.7, 1.2), wanted, atol=1e-5)
    np.testing.assert_allclose(finishing.sharpen(picture, 0.0, 1.2), picture)


def test_noise_is_blurred_in_luma_and_colours_apart() -> None:
    noise = image() - np.float32(0.5)
    smooth = to_luma_chroma(finishing.smooth_noise(noise, 1.0, 2.0, 0.25))
    for channel, sigma in enumerate((1.0, 2.0, 2.0)):
        plane = to_luma_chroma(noise)[:, :, channel]
        wanted = 0.25 * blurred(plane, sigma) + 0.75 * blurred(plane, sigma / 2)
        np.testing.assert_allclose(smooth[:, :, channel], wanted, atol=1e-5)
    np.testing.assert_allclose(finishing.smooth_noise(noise, 0, 0, 1), noise, atol=1e-6)


def test_halved_colours_keep_luma_and_the_mean_of_four_pixels() -> None:
    picture = image()
    halved = finishing.halve_colours(picture)
    np.testing.assert_allclose(halved @ LUMA, picture @ LUMA, atol=1e-5)
    # Where 2x2 pixels have one colour, and their neighbours too, nothing changes.
    flat = np.full((16, 16, 3), (0.2, 0.5, 0.9), np.float32)
    np.testing.assert_allclose(finishing.halve_colours(flat), flat, atol=1e-5)
    # Far from the border of two colours each has its own; the average at the border is between.
    halves = np.zeros((16, 32, 3), np.float32)
    halves[:, :16, 0] = halves[:, 16:, 2] = 0.8
    chroma = to_luma_chroma(finishing.halve_colours(halves))[:, :, 1:]
    wanted = to_luma_chroma(halves)[:, :, 1:]
    np.testing.assert_allclose(chroma[:, [0, 31]], wanted[:, [0, 31]], atol=1e-5)
    blocks = wanted.reshape(8, 2, 16, 2, 2).mean(axis=(1, 3))
    found = chroma.reshape(8, 2, 16, 2, 2).mean(axis=(1, 3))
    assert np.abs(found - blocks).max() < 0.2 * np.abs(wanted).max()


@pytest.mark.parametrize("size", [(24, 32), (12, 40), (48, 16)])
def test_another_size(size: tuple[int, int]) -> None:
    rows, columns = np.mgrid[0:24, 0:32].astype(np.float32)
    ramp = np.stack([rows / 24, columns / 32, (rows + columns) / 56], axis=2)
    resized = finishing.resize(ramp, *size)
    assert resized.shape == (*size, 3)
    # The centre of pixel i of n lies at (i + 0.5) / n of the image.
    places = [(np.arange(n) + 0.5) / n for n in size]
    wanted = places[0] - 0.5 / 24, places[1] - 0.5 / 32
    inner = slice(4, -4)
    np.testing.assert_allclose(resized[inner, 8, 0], wanted[0][inner], atol=5e-3)
    np.testing.assert_allclose(resized[8, inner, 1], wanted[1][inner], atol=5e-3)
    if size == (24, 32):
        assert np.array_equal(resized, ramp)
