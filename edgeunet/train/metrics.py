"""How good an image is. Images are 0..1, so the peak is 1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def psnr_db(image: NDArray[Any], reference: NDArray[Any], *, peak: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio in dB; ``inf`` for equal images."""
    error = np.mean((image.astype(np.float64) - reference.astype(np.float64)) ** 2)
    return math.inf if error == 0 else 10 * math.log10(peak**2 / float(error))
