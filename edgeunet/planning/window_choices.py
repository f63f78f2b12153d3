"""One stage at one frame size: its cost, and all windows that are worth trying.

Cuts that have a stage in common share this object. Areas are in pixels, sizes in bytes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeunet.frame_windows import Halo, Window, smallest_window, windows
from edgeunet.graph.stages import StageGraph
from edgeunet.imitation.prediction import Areas, StageCost, cost_of
from edgeunet.planning.garbage import collected_once
from edgeunet.planning.request import WindowSize
from edgeunet.processors import ProcessorClass
from edgeunet.specs import Engine

# Window sides are multiples of this, which suits the vector registers of engines.
STEP = 8


@dataclass(frozen=True)
class Sides:
    """Window lengths along one axis, and the number of windows of each that cover the frame."""

    lengths: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class WindowOptions:
    """Candidate windows of one stage, as columns of equal length.

    live: live peak in bytes. border: size of the window buffers in bytes.
    work: multiply-accumulates of all windows together.
    """

    heights: NDArray[np.int64]
    widths: NDArray[np.int64]
    live: NDArray[np.int64]
    border: NDArray[np.int64]
    work: NDArray[np.float64]

    def window(self, index: int) -> WindowSize:
        return int(self.heights[index]), int(self.widths[index])

    def least_work(self, live_room: Areas, border_room: Areas) -> tuple[Areas, Areas]:
        """Return, for every room, the number of windows that fit and the best of them.

        live_room, border_room: limits in bytes.
        The best window is the one with the least work.
        """
        live, border, best = self._by_area
        fitting = np.minimum(
            np.searchsorted(live, live_room, side="right"),
            np.searchsorted(border, border_room, side="right"),
        )
        return fitting, best[np.maximum(fitting, 1) - 1]

    @functools.cached_property
    def _by_area(self) -> tuple[Areas, Areas, Areas]:
        """Live and border bytes in ascending order, and the best window up to each position."""
        order = np.argsort(self.heights * self.widths, kind="stable")
        by_work = np.argsort(self.work, kind="stable")
        rank = np.empty_like(by_work)
        rank[by_work] = np.arange(len(by_work))
        best = by_work[np.minimum.accumulate(rank[order])]
        return self.live[order], self.border[order], best


class Costs:
    """The costs of stages, computed when they are first asked for; see ``cost_of``."""

    def __init__(self, engine: Engine, processors: Sequence[ProcessorClass]) -> None:
        self._engine, self._processors = engine, tuple(processors)
        self._by_model: dict[object, StageCost] = {}

    def of(self, stage: StageGraph) -> StageCost:
        """Return the cost of a stage; stages with the same model share it."""
        if stage.model not in self._by_model:
            with collected_once():
                self._by_model[stage.model] = cost_of(stage, self._engine, self._processors)
        return replace(self._by_model[stage.model], stage=stage)


class StageWindowChoices:
    """The windows of one stage at one frame size."""

    def __init__(self, stage: StageGraph, size: WindowSize, costs: Costs) -> None:
        """size: (rows, columns) of the padded frame."""
        self.stage, self._size, self._costs = stage, size, costs

    @functools.cached_property
    def cost(self) -> StageCost:
        return self._costs.of(self.stage)

    @functools.cached_property
    def sides(self) -> tuple[Sides, Sides]:
        stage = self.stage
        return (
            _sides(self._size[0], stage.align, stage.halo_rows),
            _sides(self._size[1], stage.align, stage.halo_columns),
        )

    @functools.cached_property
    def smallest_window_size(self) -> WindowSize:
        """The smallest (rows, columns) that can be asked for."""
        stage = self.stage
        return (
            _least(self._size[0], stage.align, stage.halo_rows),
            _least(self._size[1], stage.align, stage.halo_columns),
        )

    def rows_of_windows(self, height: int) -> tuple[Window, ...]:
        """Return the windows along the rows, for windows of this height."""
        return _cover(self._size[0], height, self.stage.align, self.stage.halo_rows)

    def covering(self, window: WindowSize | None) -> tuple[int, int]:
        """Return (number of windows that cover the frame, pixels of one window)."""
        if window is None:
            return 1, self._size[0] * self._size[1]
        stage = self.stage
        rows, columns = (
            _count(length, side, stage.align, halo)
            for length, side, halo in zip(
                self._size, window, (stage.halo_rows, stage.halo_columns), strict=True
            )
        )
        return rows * columns, window[0] * window[1]

    def options(self, window: WindowSize | None) -> WindowOptions:
        """Return all windows worth trying; if one is given, only that one, cut to the frame.

        It becomes longer by what the frame is longer than a multiple of the stage's alignment.
        """
        if window is None:
            return self._all
        rows, columns = (
            min(side + length % self.stage.align, length)
            for side, length in zip(window, self._size, strict=True)
        )
        fixed = (rows, columns)
        height, width, count = (np.array([number]) for number in (*fixed, self.covering(fixed)[0]))
        return self._options(height, width, count)

    @functools.cached_property
    def _all(self) -> WindowOptions:
        rows, columns = self.sides
        heights, widths = np.meshgrid(rows.lengths, columns.lengths, indexing="ij")
        return self._options(
            heights.ravel(), widths.ravel(), np.outer(rows.counts, columns.counts).ravel()
        )

    def _options(self, heights: Areas, widths: Areas, counts: Areas) -> WindowOptions:
        pixels = heights * widths
        # A small cost per pixel orders the windows of stages without convolutions.
        work = counts * pixels * (self.cost.macs_per_pixel + 1.0)
        return WindowOptions(
            heights, widths, self.cost.live_bytes(pixels), self.cost.border_bytes(pixels), work
        )


@functools.lru_cache(maxsize=256)
def _sides(length: int, align: int, halo: Halo) -> Sides:
    """Return, for every possible number of windows, the shortest side with which they cover."""
    shortest: dict[int, int] = {1: length}
    first = _least(length, align, halo) + length % align
    for side in range(first, length, math.lcm(align, STEP)):
        count = _count(length, side, align, halo)
        shortest.setdefault(count, side)
        shortest[count] = min(shortest[count], side)
    counts = sorted(shortest)
    return Sides(
        np.array([shortest[count] for count in counts], dtype=np.int64),
        np.array(counts, dtype=np.int64),
    )


@functools.lru_cache(maxsize=4096)
def _count(length: int, side: int, align: int, halo: Halo) -> int:
    return len(windows(length, side, align=align, halo=halo))


@functools.lru_cache(maxsize=1024)
def _cover(length: int, side: int, align: int, halo: Halo) -> tuple[Window, ...]:
    return tuple(windows(length, min(side, length), align=align, halo=halo))


def _least(length: int, align: int, halo: Halo) -> int:
    """Return the smallest side that is a multiple of all alignments, without the remainder."""
    step = math.lcm(align, STEP)
    return -(-(smallest_window(align, halo, length) - length % align) // step) * step
