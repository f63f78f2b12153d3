"""Additive white Gaussian noise. Sigma is in 8-bit units (0..255)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def add_gaussian(clean: Floats, sigma: float | Floats, generator: np.random.Generator) -> Floats:
    """Return ``clean`` + noise as float32, not clipped (the literature's protocol).

    clean: any shape, float32, 0..1. sigma: one value, or an array that broadcasts.
    """
    noise = generator.standard_normal(clean.shape, dtype=np.float32)
    noise *= np.asarray(sigma, dtype=np.float32) / np.float32(255)
    return clean + noise


def add_gaussian_uint8(frame: Bytes, sigma: float, generator: np.random.Generator) -> Bytes:
    """Return ``frame`` + noise, rounded and clipped to 8 bits as a camera would hand it over.

    frame: any shape, uint8.
    """
    scale = np.float32(255)
    noisy = add_gaussian(frame.astype(np.float32) / scale, sigma, generator) * scale
    rounded: Bytes = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return rounded
