from __future__ import annotations

import numpy as np

from edgeunet.pixels import luma


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
