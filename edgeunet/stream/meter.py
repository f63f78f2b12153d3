"""Figures of a run: latency of the network, and PSNR against clean frames."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.metrics import psnr_of_error_db
from edgeunet.specs import Image

IDENTICAL_DB = 100.0
"""Stands for the PSNR of two equal frames, which is infinite."""


@dataclass(frozen=True)
class Latency:
    """Time from handing a frame to the engine to its results, in milliseconds, over all frames.

    p50, p95, p99: percentiles.
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
    """Collects the figures of a run, a few bytes per frame."""

    def __init__(self) -> None:
        self._latency_ms = array("d")
        self._before_db = array("d")
        self._after_db = array("d")

    def add_latency(self, latency_ms: float) -> None:
        self._latency_ms.append(latency_ms)

    def add_quality(self, before_db: float, after_db: float | None) -> None:
        self._before_db.append(before_db)
        if after_db is not None:
            self._after_db.append(after_db)

    def latency(self) -> Latency | None:
        """Return percentiles and mean, or None before the first frame."""
        if not self._latency_ms:
            return None
        values = np.asarray(self._latency_ms)
        p50, p95, p99 = (float(value) for value in np.percentile(values, (50, 95, 99)))
        return Latency(p50, p95, p99, float(values.mean()))

    def quality(self) -> Quality | None:
        """Return the mean PSNR, or None when no noise was added."""
        if not self._before_db:
            return None
        after = float(np.mean(self._after_db)) if self._after_db else None
        return Quality(float(np.mean(self._before_db)), after)
