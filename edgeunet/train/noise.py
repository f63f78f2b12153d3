"""Additive white Gaussian noise. Sigma is in 8-bit units (0..255); images are 0..1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def add_gaussian(clean: Floats, sigma: float | Floats, generator: np.random.Generator) -> Floats:
    """Return ``clean`` + noise as float32, not clipped (the literature's protocol).

    clean: any shape, float32, 0..1. sigma: one value, or an array that broadcasts.
    """
    noise = generator.standard_normal(clean.shape, dtype=np.float32)
    noise *= np.asarray(sigma, dtype=np.float32) / np.float32(255)
    return clean + noise
