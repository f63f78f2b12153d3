"""Noise as a function of brightness: sums per range of brightness, and a line through them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.noise_profile.profile import Curve, Fit
from edgeunet.pixels import Doubles, Floats

RANGES = 16
"""Largest number of brightness ranges in a curve."""

Mask = NDArray[np.bool_]

_FEWEST_SAMPLES = 500
_OUTLIER_DEVIATIONS = 6.0
# Weak noise jumps between two neighbouring levels; such jumps are not outliers.
_NO_OUTLIER_LEVELS = 2.0
_CLIPPED_DEVIATIONS = 2.5

_ROUNDING_VARIANCE = 1 / 12
_FEWEST_FITTED = 4
_NARROWEST_SIGNAL = 0.15
_LARGEST_MISFIT = 0.10
# Smallest relative error of a range, and the number of correlated pixels that count as one.
_RELATIVE_ERROR = 0.03
_PIXELS_PER_SAMPLE = 10


class CurveSums:
    """Running sums of one channel per range of brightness, in levels of 0..255."""

    def __init__(self) -> None:
        self._samples = np.zeros(RANGES)
        self._signals = np.zeros(RANGES)
        self._squares = np.zeros(RANGES)

    def add(self, signal: Floats, residual: Floats, counted: Mask | None = None) -> Mask:
        """Add noise of any shape and the brightness below it; return the mask of counted values.

        Values of more than six standard deviations of their brightness range are left out.
        """
        place = np.clip(signal * np.float32(RANGES / 256), 0, RANGES - 1).astype(np.intp)
        squares = residual * residual
        kept = np.ones(signal.shape, np.bool_) if counted is None else counted.copy()
        for _ in range(2):
            sums = np.bincount(place[kept], squares[kept], RANGES)
            variance = sums / np.maximum(np.bincount(place[kept], minlength=RANGES), 1)
            limit = np.maximum(variance * _OUTLIER_DEVIATIONS**2, _NO_OUTLIER_LEVELS**2)
            kept &= squares <= limit[place].astype(np.float32)
        chosen = place[kept]
        self._samples += np.bincount(chosen, minlength=RANGES)
        self._signals += np.bincount(chosen, signal[kept], RANGES)
        self._squares += np.bincount(chosen, squares[kept], RANGES)
        return kept

    def curve(self, blur: float) -> Curve:
        """Return the curve and its line.

        blur: standard deviation of the known brightness of a pixel, relative to that of its noise.
        """
        few = min(_FEWEST_SAMPLES, max(float(self._samples.max()) / 4, 1))
        there = np.flatnonzero(self._samples >= few)
        samples = self._samples[there]
        signal = self._signals[there] / samples
        deviation = np.sqrt(self._squares[there] / samples)
        reach = _CLIPPED_DEVIATIONS * deviation
        clipped = (signal - reach < 0.5) | (signal + reach > 254.5)
        usable = _Points(
            signal[~clipped] / 255, (deviation[~clipped] / 255) ** 2, samples[~clipped]
        )
        fit, why = fit_line(usable, blur)
        return Curve(
            signal=tuple(round(float(value) / 255, 5) for value in signal),
            deviation=tuple(round(float(value), 4) for value in deviation),
            samples=tuple(int(value) for value in samples),
            clipped=tuple(bool(value) for value in clipped),
            fit=fit,
            no_fit=why,
        )


@dataclass(frozen=True)
class _Points:
    """Ranges of brightness: mean signal 0..1, variance of the noise, and number of samples."""

    signal: Doubles
    variance: Doubles
    samples: Doubles

    def between(self, start: int, stop: int) -> _Points:
        return _Points(self.signal[start:stop], self.variance[start:stop], self.samples[start:stop])


def fit_line(points: _Points, blur: float = 0.0) -> tuple[Fit | None, str]:
    """Return the line through as many neighbouring ranges as possible, or the reason for none.

    A line fits if every variance is within 10 % and random error of it.
    blur: see ``CurveSums.curve``.
    """
    count = len(points.signal)
    if count == 0:
        return None, "all of it is clipped or too small"
    low, high = float(points.signal[0]), float(points.signal[-1])
    apart = 6 * blur * math.sqrt(float(np.median(points.variance)))
    if count < _FEWEST_FITTED or high - low < max(_NARROWEST_SIGNAL, apart):
        return None, f"the scene's brightness reaches only from {low:.2f} to {high:.2f}"
    for length in range(count, _FEWEST_FITTED - 1, -1):
        fits = [
            fit
            for start in range(count - length + 1)
            if (fit := _line(points.between(start, start + length))) is not None
            and fit.high - fit.low >= max(_NARROWEST_SIGNAL, apart)
        ]
        if fits:
            return min(fits, key=lambda fit: fit.misfit), ""
    return None, "its variance does not rise in a straight line, as after a tone curve"


def _line(points: _Points) -> Fit | None:
    """Return the line through all points, with both coefficients at least 0, if it fits."""
    chance = np.sqrt(2 * _PIXELS_PER_SAMPLE / points.samples)
    # Relative errors give dark and bright ranges the same weight.
    weights = 1 / (points.variance + 1e-12) / (_RELATIVE_ERROR + chance)
    both = np.stack([points.signal, np.ones_like(points.signal)], axis=1)
    gain, read = np.linalg.lstsq(both * weights[:, None], points.variance * weights, rcond=None)[0]
    if read < 0:
        read = 0.0
        gain = _one_factor(points.signal * weights, points.variance * weights)
    elif gain < 0:
        gain = 0.0
        read = _one_factor(weights, points.variance * weights)
    away = np.abs(gain * points.signal + read - points.variance) / (points.variance + 1e-12)
    if (away > _LARGEST_MISFIT + 3 * chance).any():
        return None
    return Fit(
        gain=float(f"{gain:.4g}"),
        read=float(f"{max(read - _ROUNDING_VARIANCE / 255**2, 0.0):.4g}"),
        low=round(float(points.signal[0]), 3),
        high=round(float(points.signal[-1]), 3),
        misfit=round(float(np.sqrt((away**2) @ points.samples / points.samples.sum())), 4),
    )


def _one_factor(base: Doubles, values: Doubles) -> float:
    return float(base @ values / (base @ base))
