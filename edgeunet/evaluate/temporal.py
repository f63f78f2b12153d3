"""Measures whether still parts of a clip stay still, from pairs of consecutive frames.

Only static pixels count: those whose clean channels all change by at most STATIC_THRESHOLD 8-bit
units since the previous frame. Figures are means over all static pixels of all pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeunet.evaluate.protocol import Planes
from edgeunet.evaluate.settled import (
    SETTLED_AFTER,
    UNCOVERED_FRAMES,
    SettledFigures,
    SettledMeter,
)

STATIC_THRESHOLD = 2


@dataclass(frozen=True)
class TemporalFigures:
    """Stability over the pairs of consecutive frames.

    pairs: number of pairs.
    static_share: share of all pixels that are static; 0..1.
    label_change_share: share of static pixels whose label changes; 0..1.
    clean_flicker, noisy_flicker, denoised_flicker: mean absolute difference of static pixels
        between two frames, in 8-bit units.
    settled: of the frames from the fifth of each clip on; None without any.
    alone: the same of a network that remembers, frame by frame; None for any other.
    Figures are None when no pixel is static or the network lacks the head.
    """

    pairs: int
    static_share: float
    label_change_share: float | None
    clean_flicker: float | None
    noisy_flicker: float | None
    denoised_flicker: float | None
    settled: SettledFigures | None = None
    alone: SettledFigures | None = None


@dataclass(frozen=True)
class Moment:
    """One frame.

    sequence: the clip it belongs to.
    clean: (3, H, W) uint8.
    noisy: the network's input.
    denoised, labels: the network's outputs; None for a head that it does not have.
    alone: what a network that remembers makes of this frame alone; None for any other.
    """

    sequence: str
    clean: NDArray[np.uint8]
    noisy: Planes
    denoised: Planes | None
    labels: NDArray[np.uint8] | None
    alone: Planes | None = None


class TemporalMeter:
    """Collects pairs of frames and holds one frame.

    Two frames of different sequences or sizes are not a pair.
    """

    def __init__(self) -> None:
        self._before: Moment | None = None
        self._pairs = self._pixels = self._static = self._changed = 0
        self._sums = {"clean": 0.0, "noisy": 0.0, "denoised": 0.0}
        self._denoises = self._labels = False
        # The number of the frame in its clip, and how many frames ago each pixel changed.
        self._number = 0
        self._ago: NDArray[np.uint8] | None = None
        self._settled, self._alone = SettledMeter(), SettledMeter()

    def add(self, now: Moment) -> None:
        """Add the next frame."""
        before, self._before = self._before, replace(now, alone=None)
        if (
            before is None
            or before.sequence != now.sequence
            or before.clean.shape != now.clean.shape
        ):
            self._number, self._ago = 0, None
            return
        change = np.abs(now.clean.astype(np.int16) - before.clean)
        static = change.max(axis=0) <= STATIC_THRESHOLD
        self._add_settled(now, static)
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

    def _add_settled(self, now: Moment, static: NDArray[np.bool_]) -> None:
        longest = UNCOVERED_FRAMES + 1
        ago = np.full(static.shape, longest, np.uint8) if self._ago is None else self._ago
        self._ago = np.where(static, np.minimum(ago + 1, longest), 0).astype(np.uint8)
        self._number += 1
        if self._number < SETTLED_AFTER:
            return
        for meter, image in ((self._settled, now.denoised), (self._alone, now.alone)):
            if image is not None:
                meter.add(now.clean, image, static, self._ago)

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
            settled=self._settled.figures(),
            alone=self._alone.figures(),
        )


def _moved(now: Planes, before: Planes, static: NDArray[np.bool_]) -> float:
    """Return the summed absolute difference over static pixels, in 8-bit units."""
    scale = 1.0 if now.dtype == np.uint8 else 255.0
    difference = now[:, static].astype(np.float32) - before[:, static].astype(np.float32)
    return scale * float(np.abs(difference).sum(dtype=np.float64))
