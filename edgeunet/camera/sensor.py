"""Imitate a sensor: the lens, a colour filter per pixel, row noise, and the converter.

``noise_models.add_camera`` adds the noise of counting and reading.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from edgeunet.pixels import Floats

PATTERNS = ("RGGB", "GRBG", "GBRG", "BGGR")

SMALLEST_SIGMA = 0.1
"""Of a Gaussian in pixels; a smaller one changes nothing."""


def blur(image: Floats, sigma: float) -> Floats:
    """Return an image (H, W, 3) after the blur of the lens, a Gaussian.

    sigma: in pixels. Lens, focus and the optical filter leave no detail as fine as a pixel.
    """
    if sigma < SMALLEST_SIGMA:
        return image
    blurred: Floats = gaussian_filter(image, (sigma, sigma, 0), mode="reflect", truncate=3.0)
    return blurred


def mosaic(image: Floats, pattern: str) -> Floats:
    """Return the signal (H, W) of a sensor with a Bayer filter, from an image (H, W, 3).

    pattern: the colours of the top left 2x2 pixels, row by row.
    """
    seen = np.empty(image.shape[:2], np.float32)
    for place, colour in enumerate(pattern):
        rows, columns = slice(place // 2, None, 2), slice(place % 2, None, 2)
        seen[rows, columns] = image[rows, columns, "RGB".index(colour)]
    return seen


def add_row_noise(signal: Floats, deviation: float, generator: np.random.Generator) -> Floats:
    """Return a signal (H, W) with a random offset added to every row (banding).

    deviation: standard deviation of the offsets, in units of the signal.
    """
    offsets = generator.standard_normal((signal.shape[0], 1), dtype=np.float32)
    noisy: Floats = signal + offsets * np.float32(deviation)
    return noisy


def quantize(signal: Floats, bits: int, pedestal: float) -> Floats:
    """Return a signal after a converter with ``bits`` bits, clipped at white.

    pedestal: added before and subtracted afterwards, in units of the signal, so that noise around
        black is not cut off.
    """
    steps = np.float32(2**bits - 1)
    counted = np.rint((signal + np.float32(pedestal)) * steps)
    clipped: Floats = np.clip(counted, 0, steps) / steps - np.float32(pedestal)
    return clipped
