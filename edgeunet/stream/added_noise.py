"""Adds camera-like noise to clean frames, with which the denoised frames can be compared."""

from __future__ import annotations

import numpy as np

from edgeunet.noise_models import check_noise
from edgeunet.specs import Image


class GaussianNoise:
    """Adds white Gaussian noise, rounded and clipped to 8 bits as by a sensor.

    All frames draw from one generator, so a seed always gives the same run.
    """

    def __init__(self, sigma: float, seed: int, height: int, width: int) -> None:
        """Prepare for frames of one size.

        sigma: standard deviation in 8-bit units.
        seed: of the generator.
        height, width: size of the frames in pixels.
        Raises UsageError for a sigma or a seed that is not possible.
        """
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
