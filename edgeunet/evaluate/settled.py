"""Measures the frames of a clip once a memory has settled: all pixels, and those that tell more.

A network that remembers frames can gain where nothing moves, and can leave a trail where something
has moved away. So the error is also taken over still pixels, over moving ones, and over uncovered
ones: still pixels that changed a few frames before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.evaluate.protocol import Planes
from edgeunet.metrics import psnr_db
from edgeunet.pixels import as_floats
from edgeunet.stream.meter import IDENTICAL_DB

SETTLED_AFTER = 4
"""So many frames at the start of a clip do not count."""

UNCOVERED_FRAMES = 4
"""A still pixel is uncovered if it changed in one of so many frames before."""

_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SettledFigures:
    """Figures of the frames from the fifth of each clip on.

    frames: number of them.
    psnr_db: mean PSNR of a frame in dB.
    still_psnr_db, moving_psnr_db, uncovered_psnr_db: PSNR in dB over all such pixels together; None
        where there is none. A frame or pixels without any error count as ``IDENTICAL_DB``.
    """

    frames: int
    psnr_db: float
    still_psnr_db: float | None
    moving_psnr_db: float | None
    uncovered_psnr_db: float | None


class SettledMeter:
    """Collects sums over frames; holds no frame."""

    def __init__(self) -> None:
        self._frames, self._total_db = 0, 0.0
        self._sums = {"still": _Sum(), "moving": _Sum(), "uncovered": _Sum()}

    def add(self, clean: NDArray[np.uint8], denoised: Planes, still: _Mask, ago: Planes) -> None:
        """Add a frame that has settled.

        clean: (3, H, W). denoised: the same, uint8 or float32 of 0..1. still: (H, W), the pixels
        that have not changed. ago: (H, W), how many frames ago each one changed.
        """
        exact = denoised.dtype == np.uint8
        found = (
            psnr_db(denoised, clean, peak=255.0) if exact else psnr_db(denoised, as_floats(clean))
        )
        self._frames += 1
        self._total_db += min(found, IDENTICAL_DB)
        scale = 1.0 if exact else 255.0
        squares = (scale * denoised.astype(np.float32) - clean).astype(np.float64) ** 2
        masks = {"still": still, "moving": ~still, "uncovered": still & (ago <= UNCOVERED_FRAMES)}
        for name, mask in masks.items():
            self._sums[name].add(squares[:, mask])

    def figures(self) -> SettledFigures | None:
        """Return the figures, or None before the first frame."""
        if not self._frames:
            return None
        found = {name: one.psnr_db() for name, one in self._sums.items()}
        return SettledFigures(
            self._frames,
            self._total_db / self._frames,
            found["still"],
            found["moving"],
            found["uncovered"],
        )


class _Sum:
    def __init__(self) -> None:
        self._total, self._count = 0.0, 0

    def add(self, squares: NDArray[np.float64]) -> None:
        self._total += float(squares.sum())
        self._count += squares.size

    def psnr_db(self) -> float | None:
        if not self._count:
            return None
        if not self._total:
            return IDENTICAL_DB
        return min(20 * math.log10(255) - 10 * math.log10(self._total / self._count), IDENTICAL_DB)
