"""Four calibrators, which choose the interval of values that 8 bits cover."""

from __future__ import annotations

import numpy as np

from edgeunet.calibration.histograms import Histogram
from edgeunet.ort.library_calibrators import collected
from edgeunet.specs import Calibrator, Engine

Interval = tuple[float, float]

# Leaves out a hundred-thousandth of the values on each side.
_PERCENTILE = 99.998
# The time of the search grows with the square of the number of bins.
_ENTROPY_BINS, _ENTROPY_LEVELS = 512, 128
_SHRINKS = np.linspace(0.3, 1.0, 15)
_LEVELS = 255


def interval_of(histogram: Histogram, calibrator: Calibrator, engine: Engine) -> Interval:
    """Return the interval that a calibrator chooses for an engine's kind of 8 bits."""
    everything = (histogram.low, histogram.high)
    if calibrator is Calibrator.MINMAX or histogram.reach == 0.0:
        return everything
    if calibrator is Calibrator.MSE:
        return _least_error(histogram, symmetric=engine is Engine.TENSORRT)
    return _collected(histogram, calibrator)


def _collected(histogram: Histogram, calibrator: Calibrator) -> Interval:
    counts = histogram.counts
    if calibrator is Calibrator.ENTROPY:
        counts = counts.reshape(_ENTROPY_BINS, -1).sum(axis=1)
    low, high = collected(
        counts,
        (histogram.low, histogram.high),
        method=str(calibrator),
        levels=_ENTROPY_LEVELS,
        percentile=_PERCENTILE,
    )
    # The histogram is float32, so an end may be rounded outwards.
    return max(low, histogram.low), min(high, histogram.high)


def _least_error(histogram: Histogram, *, symmetric: bool) -> Interval:
    """Return the interval, within the values, with the least squared error in 8 bits."""
    there = histogram.counts > 0
    values, counts = histogram.centres[there], histogram.counts[there]
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    if symmetric:
        low, high = -histogram.reach, histogram.reach
    best, chosen = np.inf, (low, high)
    for below in _SHRINKS if low < 0 and not symmetric else (1.0,):
        for above in _SHRINKS if high > 0 else (1.0,):
            start, stop = (low * above, high * above) if symmetric else (low * below, high * above)
            step = (stop - start) / _LEVELS
            clipped = np.clip(values, start, stop)
            rounded = np.rint((clipped - start) / step) * step + start
            error = float((counts * (values - rounded) ** 2).sum())
            if error < best:
                best, chosen = error, (start, stop)
    return max(float(chosen[0]), histogram.low), min(float(chosen[1]), histogram.high)
