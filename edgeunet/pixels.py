"""Pixel values: array types, conversion between bytes and floats, and luma."""

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


def as_floats(pixels: NDArray[Any]) -> Floats:
    """Return pixels of any shape as float32, 0..1. Bytes are divided by 255, floats are kept."""
    if pixels.dtype == np.uint8:
        floats: Floats = pixels.astype(np.float32) / np.float32(255)
        return floats
    return pixels.astype(np.float32, copy=False)


def as_bytes(pixels: NDArray[Any]) -> Bytes:
    """Return pixels of any shape as uint8. Floats are rounded and clipped, bytes are kept."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    rounded: Bytes = np.clip(np.rint(as_floats(pixels) * np.float32(255)), 0, 255).astype(np.uint8)
    return rounded


def luma(image: NDArray[Any]) -> Floats:
    """Return the luma, (..., H, W) float32, of RGB pixels (..., H, W, 3), in their units."""
    weighted: Floats = image @ LUMA_WEIGHTS.astype(np.float32)
    return weighted
