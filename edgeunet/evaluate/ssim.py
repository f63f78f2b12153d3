"""Structural similarity as the literature has it. Owns scikit-image's metrics."""

from __future__ import annotations

from collections.abc import Callable

from skimage import metrics

from edgeunet.evaluate.protocol import Planes
from edgeunet.pixels import as_floats


def ssim(image: Planes, reference: Planes) -> float:
    """Return the mean SSIM over pixels and channels, at most 1; equal images give 1.

    image, reference: (3, H, W), both sides at least the window's, ``data.SMALLEST_SIDE``. As Wang
    et al. (2004): a Gaussian window of sigma 1.5 on 11x11 pixels, population covariances, K1 0.01,
    K2 0.03, the range 1. Colour images: the mean of the channels.
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
