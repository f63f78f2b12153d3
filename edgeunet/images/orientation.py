"""Turns stored pixels upright, by the orientation that EXIF gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeunet.images.headers import UPRIGHT


def upright(pixels: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Return a picture (H, W, ...) as a viewer shows it.

    orientation: 1..8, as EXIF 2.32 numbers it: 3 is turned by 180 degrees, 6 and 8 by a quarter,
    and 2, 4, 5 and 7 are mirrored as well. Other numbers count as 1, which is upright.
    """
    if not UPRIGHT < orientation <= 8:
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
