from __future__ import annotations

import numpy as np

from edgeunet.pixels import as_bytes, as_floats, luma


def test_luma_weighs_the_colours_as_jpeg_does_and_keeps_grey() -> None:
    image = np.zeros((2, 2, 3), np.float32)
    image[0, 0, 0] = image[0, 1, 1] = image[1, 0, 2] = 1
    image[1, 1] = 0.25
    found = luma(image)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.299, 0.587], [0.114, 0.25]], rtol=1e-6)


def test_luma_of_bytes_is_in_bytes() -> None:
    grey = np.full((1, 1, 3), 200, np.uint8)
    found = luma(grey)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[200]], rtol=1e-6)


def test_bytes_become_floats_from_black_to_white_and_come_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    floats = as_floats(levels)
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats.ravel(), np.arange(256) / 255, atol=1e-7)
    assert np.array_equal(as_bytes(floats), levels)


def test_what_is_of_the_type_already_is_kept() -> None:
    floats, levels = np.array([-0.5, 2.0], np.float32), np.array([7], np.uint8)
    assert as_floats(floats) is floats
    assert as_bytes(levels) is levels


def test_floats_are_rounded_to_the_nearest_byte_and_clipped() -> None:
    values = np.array([-1.0, 0.4 / 255, 0.6 / 255, 254.4 / 255, 1.0, 3.0], np.float32)
    found = as_bytes(values)
    assert found.dtype == np.uint8
    assert found.tolist() == [0, 0, 1, 254, 255, 255]
