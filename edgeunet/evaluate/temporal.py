"""Measures whether still parts of a clip stay still, from pairs of consecutive frames.

Only static pixels count: those whose clean channels all change by at most STATIC_THRESHOLD 8-bit
units since the previous frame. Figures are means over all static pixels of all pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.evaluate.protocol import Planes

STATIC_THRESHOLD = 2


@dataclass(frozen=True)
class TemporalFigures:
    """Stability over the pairs of consecutive frames.

    pairs: number of pairs.
    static_share: share of all pixels that are static; 0..1.
    label_change_share: share of static pixels whose label changes; 0..1.
    clean_flicker, noisy_flicker, denoised_flicker: mean absolute difference of static pixels
        between two frames, in 8-bit units.
    Figures are None when no pixel is static or the network lacks the head.
    """

    pairs: int
    static_share: float
    label_change_share: float | None
    clean_flicker: float | None
    noisy_flicker: float | None
    denoised_flicker: float | None


@dataclass(frozen=True)
class Moment:
    """One frame.

    sequence: the clip it belongs to.
    clean: (3, H, W) uint8.
    noisy: the network's input.
    denoised, labels: the network's outputs; None for a head that it does not have.
    """

    sequence: str
    clean: NDArray[np.uint8]
    noisy: Planes
    denoised: Planes | None
    labels: NDArray[np.uint8] | None


class TemporalMeter:
    """Collects pairs of frames and holds one frame.

    Two frames of different sequences or sizes are not a pair.
    """

    def __init__(self) -> None:
        self._before: Moment | None = None
        self._pairs = self._pixels = self._static = self._changed = 0
        self._sums = {"clean": 0.0, "noisy": 0.0, "denoised": 0.0}
        self._denoises = self._labels = False

    def add(self, now: Moment) -> None:
        """Add the next frame."""
        before, self._before = self._before, now
        if before is None or before.sequence != now.sequence:
            return
        if before.clean.shape != now.clean.shape:
            return
        change = np.abs(now.clean.astype(np.int16) - before.clean)
        static = change.max(axis=0) <= STATIC_THRESHOLD
        self._pairs += 1
        self._pixels += static.size
        self._static += int(np.count_nonzero(static))
        self._sums["clean"] += float(change[:, static].sum())
        self._sums["noisy"] += _moved(now.noisy, before.noisy, static)
        if now.denoised is not None and before.denoised is not None:
            self._denoises = True
            self._sums["denoised"] += _moved(now.denoised, before.denoised, static)
        if now.labels is not None and before.labels is not None:
            self._labels = True
            self._changed += int(np.count_nonzero((now.labels != before.labels) & static))

    def figures(self) -> TemporalFigures | None:
        """Return the figures, or None before the first pair."""
        if not self._pairs:
            return None
        static = self._static

        def flicker(which: str, measured: bool = True) -> float | None:
            return self._sums[which] / (3 * static) if static and measured else None

        return TemporalFigures(
            pairs=self._pairs,
            static_share=static / self._pixels,
            label_change_share=self._changed / static if static and self._labels else None,
            clean_flicker=flicker("clean"),
            noisy_flicker=flicker("noisy"),
            denoised_flicker=flicker("denoised", self._denoises),
        )


def _moved(now: Planes, before: Planes, static: NDArray[np.bool_]) -> float:
    """Return the summed absolute difference over static pixels, in 8-bit units."""
    scale = 1.0 if now.dtype == np.uint8 else 255.0
    difference = now[:, static].astype(np.float32) - before[:, static].astype(np.float32)
    return scale * float(np.abs(difference).sum(dtype=np.float64))
