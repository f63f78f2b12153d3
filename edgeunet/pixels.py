"""Pixel values: their array types, and luma."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
"""Pixel values, 0..255."""

Floats = NDArray[np.float32]
"""Pixel values; white is 1 unless a function says otherwise."""

Doubles = NDArray[np.float64]
"""Sums and means over pixels."""

LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in luma (ITU-R BT.601, as JPEG has them)."""


def luma(image: NDArray[Any]) -> Floats:
    """Return the luma, (..., H, W) float32, of RGB pixels (..., H, W, 3), in their units."""
    weighted: Floats = image @ LUMA_WEIGHTS.astype(np.float32)
    return weighted
