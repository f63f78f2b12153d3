"""Structural similarity, as published. Only this file imports scikit-image in ``evaluate/``."""

from __future__ import annotations

from collections.abc import Callable

from skimage import metrics

from edgeunet.evaluate.protocol import Planes
from edgeunet.pixels import as_floats


def ssim(image: Planes, reference: Planes) -> float:
    """Return the mean SSIM over pixels and channels: at most 1, which equal images have.

    image, reference: (3, H, W), uint8 or float32, with sides of at least ``SMALLEST_SIDE``.
    The parameters are those of Wang et al. (2004): Gaussian window of sigma 1.5 on 11x11 pixels,
    population covariances, K1 0.01, K2 0.03, range 1. Colour images take the channels' mean.
    """
    similarity: Callable[..., float] = metrics.structural_similarity
    return float(
        similarity(
            as_floats(image),
            as_floats(reference),
            channel_axis=0,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )
