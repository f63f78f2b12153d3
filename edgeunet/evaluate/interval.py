"""Mean over images with a confidence interval. Only this file imports scipy in ``evaluate/``."""

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

    The interval is Student's t over images as independent draws. Frames of a clip are not
    independent, so for a clip it is too narrow.
    mean: NaN when the values have infinities of both signs.
    half_width: None for a single value, and when a value is infinite.
    """

    mean: float
    half_width: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval's (lower, upper) end; None without a half-width."""
        if self.half_width is None:
            return None
        return self.mean - self.half_width, self.mean + self.half_width


def estimate(values: Sequence[float]) -> Estimate | None:
    """Return the mean of the values with its interval; None without values."""
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
