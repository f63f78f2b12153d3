"""Figures of a run: latency of the network, age of its frames, and PSNR against clean frames."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.metrics import psnr_of_error_db
from edgeunet.specs import Image
from edgeunet.stream.histogram import Histogram

IDENTICAL_DB = 100.0
"""Stands for the PSNR of two equal frames, which is infinite."""


@dataclass(frozen=True)
class Latency:
    """A time in milliseconds, over all frames.

    p50, p95, p99: percentiles, right to 0.5 %.
    """

    p50: float
    p95: float
    p99: float
    mean: float


@dataclass(frozen=True)
class Quality:
    """Mean PSNR against the clean frames, in dB.

    before: of the noisy frames.
    after: of the denoised frames; None when nothing is denoised.
    """

    before: float
    after: float | None


class PsnrMeter:
    """Computes the peak signal-to-noise ratio of 8-bit images of one size."""

    def __init__(self, height: int, width: int) -> None:
        self._difference: NDArray[np.float32] = np.empty((height, width, 3), dtype=np.float32)

    def psnr_db(self, image: Image, clean: Image) -> float:
        """Return the PSNR of an image in dB; equal images give ``IDENTICAL_DB``.

        image, clean: (H, W, 3) uint8.
        """
        difference = self._difference
        np.subtract(image, clean, out=difference, dtype=np.float32)
        flat = difference.reshape(-1)
        psnr = psnr_of_error_db(float(np.dot(flat, flat)) / flat.size, peak=255)
        return IDENTICAL_DB if math.isinf(psnr) else psnr


class Meter:
    """Collects the figures of a run in memory that does not grow with its frames."""

    def __init__(self) -> None:
        self.latency_histogram = Histogram()
        self.age_histogram = Histogram()
        self._before = _Mean()
        self._after = _Mean()

    def add_latency(self, latency_ms: float) -> None:
        self.latency_histogram.add(latency_ms)

    def add_age(self, age_ms: float) -> None:
        """Count the time from a frame's arrival in this process to the network's answer."""
        self.age_histogram.add(age_ms)

    def add_quality(self, before_db: float, after_db: float | None) -> None:
        self._before.add(before_db)
        if after_db is not None:
            self._after.add(after_db)

    def latency(self) -> Latency | None:
        """Return percentiles and mean, or None before the first frame."""
        return _summarized(self.latency_histogram)

    def age(self) -> Latency | None:
        """Return percentiles and mean of the age, or None before the first frame."""
        return _summarized(self.age_histogram)

    def quality(self) -> Quality | None:
        """Return the mean PSNR, or None when no noise was added."""
        if not self._before.count:
            return None
        return Quality(self._before.mean, self._after.mean if self._after.count else None)


class _Mean:
    """A running mean."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.mean += (value - self.mean) / self.count


def _summarized(histogram: Histogram) -> Latency | None:
    if not histogram.count:
        return None
    p50, p95, p99 = (histogram.percentile_ms(percent) for percent in (50, 95, 99))
    return Latency(p50, p95, p99, histogram.mean_ms)
