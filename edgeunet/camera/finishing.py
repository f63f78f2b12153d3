"""The last steps of a camera before coding: smoothing, sharpening and resizing."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from edgeunet.camera.colour import from_luma_chroma, to_luma_chroma
from edgeunet.camera.sensor import SMALLEST_SIGMA
from edgeunet.photographs import resized_plane
from edgeunet.pixels import Floats, luma

# A camera smooths over several scales: beside the wide blur there is one of half its sigma.
_NARROW = 1 / 2


def smooth_noise(
    noise: Floats, luma_sigma: float, chroma_sigma: float, wide_share: float
) -> Floats:
    """Return noise (H, W, 3) RGB after a camera's noise reduction.

    luma_sigma, chroma_sigma: sigma of the Gaussian blur of luma and of colours, in pixels.
    wide_share: share of the amplitude that has this sigma; the rest has half of it.
    If only the noise is passed, the scene stays sharp, as after edge-preserving noise reduction.
    """
    planes = to_luma_chroma(noise)
    for channel, sigma in enumerate((luma_sigma, chroma_sigma, chroma_sigma)):
        plane = planes[:, :, channel]
        wide, narrow = _blurred(plane, sigma), _blurred(plane, sigma * _NARROW)
        planes[:, :, channel] = narrow + np.float32(wide_share) * (wide - narrow)
    return from_luma_chroma(planes)


def sharpen(image: Floats, amount: float, sigma: float) -> Floats:
    """Return an image (H, W, 3) after an unsharp mask on its luma: ``y + a (y - blur(y))``."""
    y = luma(image)
    detail = y - _blurred(y, sigma)
    sharpened: Floats = image + np.float32(amount) * detail[:, :, None]
    return sharpened


def halve_colours(image: Floats) -> Floats:
    """Return an image (H, W, 3) whose colours have half the resolution, as 4:2:0 leaves them.

    H and W are even. Colours are averaged over 2x2 pixels and interpolated again.
    """
    planes = to_luma_chroma(image)
    height, width = image.shape[:2]
    for channel in (1, 2):
        blocks = planes[:, :, channel].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
        planes[:, :, channel] = resized_plane(blocks, height, width)
    return from_luma_chroma(planes)


def resize(image: Floats, height: int, width: int) -> Floats:
    """Return an image (H, W, 3) at another size, by bicubic interpolation."""
    if image.shape[:2] == (height, width):
        return image
    return np.stack([resized_plane(image[:, :, c], height, width) for c in range(3)], axis=2)


def _blurred(plane: Floats, sigma: float) -> Floats:
    if sigma < SMALLEST_SIGMA:
        return plane
    blurred: Floats = gaussian_filter(plane, sigma, mode="reflect", truncate=3.0)
    return blurred
