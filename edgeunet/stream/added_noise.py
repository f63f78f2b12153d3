"""Camera-like noise on clean footage, so that a denoiser can be judged against the truth."""

from __future__ import annotations

import numpy as np

from edgeunet.noise_models import check_noise
from edgeunet.specs import Image


class GaussianNoise:
    """Additive white Gaussian noise, rounded and clipped to 8 bits as a sensor would.

    Every frame gets a fresh draw from one generator, so the same seed gives the same run.
    """

    def __init__(self, sigma: float, seed: int, height: int, width: int) -> None:
        """Prepare for frames of one size; sigma is the standard deviation in 8-bit units."""
        check_noise(sigma, seed)
        self._sigma = np.float32(sigma)
        self._random = np.random.default_rng(seed)
        self._draw = np.empty((height, width, 3), dtype=np.float32)
        self._noisy = np.empty((height, width, 3), dtype=np.uint8)

    def add(self, image: Image) -> Image:
        """Return the noisy image, (H, W, 3) uint8; the next call overwrites it."""
        draw = self._draw
        self._random.standard_normal(dtype=np.float32, out=draw)
        np.multiply(draw, self._sigma, out=draw)
        np.add(draw, image, out=draw)
        np.rint(draw, out=draw)
        np.clip(draw, 0.0, 255.0, out=draw)
        np.copyto(self._noisy, draw, casting="unsafe")
        return self._noisy
