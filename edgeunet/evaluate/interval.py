"""A mean over images, and how far another draw of images might move it. Owns scipy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean and the half-width of its 95 % confidence interval.

    By Student's t over images, taken as independent draws: the frames of a clip are not, so for
    a clip the interval is too narrow. half_width: None for a single value, or infinite ones. mean:
    NaN when infinite ones of both signs are among them.
    """

    mean: float
    half_width: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        if self.half_width is None:
            return None
        return self.mean - self.half_width, self.mean + self.half_width


def estimate(values: Sequence[float]) -> Estimate | None:
    """Return the mean of figures with its interval; None when there are none."""
    if not values:
        return None
    array = np.asarray(values, np.float64)
    if not np.isfinite(array).all():
        return Estimate(sum(values) / len(values), None)
    mean = float(array.mean())
    if len(array) < 2:
        return Estimate(mean, None)
    quantile = float(stdtrit(len(array) - 1, (1 + CONFIDENCE) / 2))
    return Estimate(mean, quantile * float(array.std(ddof=1)) / math.sqrt(len(array)))
