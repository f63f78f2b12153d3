"""One way to cut a graph at one frame size, and every window worth trying for its stages."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import GraphError
from edgeunet.graph.stages import FrameGraph, StageGraph
from edgeunet.memory.held import Layout, StageBorders, lay_out
from edgeunet.memory.prediction import StageCost, cost_of, live_within, usual_bytes
from edgeunet.memory.request import Tile
from edgeunet.specs import Engine, TensorSpec
from edgeunet.tiling import Halo, smallest_window, windows

# Windows are multiples of this in rows and columns, for the engines' vector registers.
STEP = 8
# In how many ways the budget is shared between window buffers and the engine.
_SHARES = 48


@dataclass(frozen=True)
class _Sides:
    """Window lengths along one axis: each with the number of windows that cover the frame."""

    lengths: NDArray[np.int64]
    counts: NDArray[np.int64]


class Cut:
    """One way to cut the graph, at one frame size."""

    def __init__(
        self,
        level: int,
        recompute: int,
        stages: tuple[StageGraph, ...],
        height: int,
        width: int,
        engine: Engine,
    ) -> None:
        self.level, self.recompute, self.stages, self.engine = level, recompute, stages, engine
        self._size = (height, width)

    @functools.cached_property
    def costs(self) -> tuple[StageCost, ...]:
        return tuple(cost_of(stage, self.engine) for stage in self.stages)

    @functools.cached_property
    def held(self) -> tuple[TensorSpec, ...]:
        """What stages hand on to later ones, as large as the padded frame."""
        read = {border.name for stage in self.stages for border in stage.inputs}
        return tuple(
            TensorSpec(border.name, border.shape_at(*self._size), border.dtype)
            for stage in self.stages
            for border in stage.outputs
            if border.name in read
        )

    @functools.cached_property
    def layout(self) -> Layout:
        borders = [
            StageBorders(
                tuple(border.name for border in stage.inputs),
                tuple(border.name for border in stage.outputs),
                stage.cellwise,
            )
            for stage in self.stages
        ]
        return lay_out(borders, self.held)

    def covering(self, stage: StageGraph, tile: Tile | None) -> tuple[int, int]:
        """Return how many windows cover the frame, and the pixels of one."""
        if tile is None:
            return 1, self._size[0] * self._size[1]
        rows, columns = (
            len(windows(length, side, align=stage.align, halo=halo))
            for length, side, halo in zip(
                self._size, tile, (stage.halo_rows, stage.halo_columns), strict=True
            )
        )
        return rows * columns, tile[0] * tile[1]

    def work(self, tiles: Sequence[Tile | None]) -> float:
        """Return the multiply-accumulates of a frame with these windows."""
        total = 0.0
        for cost, tile in zip(self.costs, tiles, strict=True):
            count, pixels = self.covering(cost.stage, tile)
            total += count * pixels * cost.macs_per_pixel
        return total

    @functools.cached_property
    def _live_once(self) -> int:
        """The largest live peak of the stages that run once."""
        area = np.array([self._size[0] * self._size[1]])
        once = [cost for cost in self.costs if not cost.stage.tiled]
        return max((int(cost.live_bytes(area)[0]) for cost in once), default=0)

    def smallest_tile(self) -> Tile:
        """Return the smallest window that every stage could run on."""
        rows = [_least(stage.align, stage.halo_rows) for stage in self.stages if stage.tiled]
        columns = [_least(stage.align, stage.halo_columns) for stage in self.stages if stage.tiled]
        return min(max(rows), self._size[0]), min(max(columns), self._size[1])

    def allows(self, tile: Tile | None) -> bool:
        if tile is None:
            return True
        least = self.smallest_tile()
        aligns = [stage.align for stage in self.stages if stage.tiled]
        return all(
            side >= length or (side >= small and side % max(aligns) == 0)
            for side, small, length in zip(tile, least, self._size, strict=True)
        )

    def smallest(self, tile: Tile | None) -> list[Tile | None]:
        """Return the tiles with which this cut takes least."""
        chosen: list[Tile | None] = []
        for cost in self.costs:
            if not cost.stage.tiled:
                chosen.append(None)
                continue
            options = self._options(cost, tile)
            # Below what the core takes anyway, smaller windows gain nothing.
            live = np.maximum(options.live, self._live_once)
            totals = usual_bytes(self.engine, live) + options.border
            order = np.lexsort((options.work, np.round(totals)))
            chosen.append(options.tile(int(order[0])))
        return chosen

    def at_most(self, pixels: int) -> list[Tile | None] | None:
        """Return the tiles of at most this area with the least arithmetic, None if too small."""
        chosen: list[Tile | None] = []
        for cost in self.costs:
            if not cost.stage.tiled:
                chosen.append(None)
                continue
            options = self._options(cost, None)
            fits = options.heights * options.widths <= pixels
            if not fits.any():
                return None
            chosen.append(options.tile(int(np.argmin(np.where(fits, options.work, np.inf)))))
        return chosen

    def within(self, room: int, tile: Tile | None) -> list[Tile | None] | None:
        """Return the tiles with the least arithmetic that fit, None when none do.

        room: for window buffers and the engine, in bytes.
        """
        if not self.allows(tile):
            return None
        best: tuple[float, list[Tile | None]] | None = None
        for share in self._shares(room):
            live_room = int(live_within(self.engine, room - share)) - 1
            found = self._choose(live_room, share, tile)
            if found is not None and (best is None or found[0] < best[0]):
                best = found
        return None if best is None else best[1]

    def _shares(self, room: int) -> Iterator[int]:
        """How much of the room the window buffers may take."""
        for step in range(1, _SHARES):
            yield room * step // _SHARES

    def _choose(
        self, live_room: int, window_room: int, tile: Tile | None
    ) -> tuple[float, list[Tile | None]] | None:
        if self._live_once > live_room:
            return None
        total = 0.0
        chosen: list[Tile | None] = []
        for cost in self.costs:
            if not cost.stage.tiled:
                chosen.append(None)
                continue
            options = self._options(cost, tile)
            fits = (options.live <= live_room) & (options.border <= window_room)
            if not fits.any():
                return None
            index = int(np.argmin(np.where(fits, options.work, np.inf)))
            total += float(options.work[index])
            chosen.append(options.tile(index))
        return total, chosen

    def _options(self, cost: StageCost, tile: Tile | None) -> Options:
        if tile is not None:
            return _options_for(cost, [self._fixed(cost.stage, tile)], self)
        key = id(cost)
        if key not in self._cache:
            self._cache[key] = _options_for(cost, None, self)
        return self._cache[key]

    @functools.cached_property
    def _cache(self) -> dict[int, Options]:
        return {}

    def _fixed(self, stage: StageGraph, tile: Tile) -> Tile:
        return min(tile[0], self._size[0]), min(tile[1], self._size[1])

    def sides(self, stage: StageGraph) -> tuple[_Sides, _Sides]:
        return (
            _sides(self._size[0], stage.align, stage.halo_rows),
            _sides(self._size[1], stage.align, stage.halo_columns),
        )


def cuts_of(graph: FrameGraph, levels: int, size: Tile, engine: Engine) -> tuple[Cut, ...]:
    """Return every way to cut a graph at levels 1..levels, without those that hold the same.

    size: rows and columns of the padded frame. Raises GraphError when nothing can be cut.
    """
    found = []
    seen = set()
    refusals: list[GraphError] = []
    for level in range(1, levels + 1):
        for recompute in range(level + 1):
            try:
                stages = graph.cut(level, recompute=recompute)
            except GraphError as error:
                refusals.append(error)
                break
            borders = tuple((s.name, s.inputs, s.outputs) for s in stages)
            if borders not in seen:
                seen.add(borders)
                found.append(Cut(level, recompute, stages, *size, engine))
    if refusals and not found:
        raise refusals[0]
    return tuple(found)


@dataclass(frozen=True)
class Options:
    """Every window worth trying for one stage, as columns of equal length."""

    heights: NDArray[np.int64]
    widths: NDArray[np.int64]
    live: NDArray[np.int64]
    border: NDArray[np.int64]
    work: NDArray[np.float64]

    def tile(self, index: int) -> Tile:
        return int(self.heights[index]), int(self.widths[index])


def _options_for(cost: StageCost, tiles: list[Tile] | None, cut: Cut) -> Options:
    if tiles is None:
        rows, columns = cut.sides(cost.stage)
        heights = np.repeat(rows.lengths, len(columns.lengths))
        widths = np.tile(columns.lengths, len(rows.lengths))
        counts = np.repeat(rows.counts, len(columns.counts)) * np.tile(
            columns.counts, len(rows.counts)
        )
    else:
        heights = np.array([tile[0] for tile in tiles])
        widths = np.array([tile[1] for tile in tiles])
        counts = np.array([cut.covering(cost.stage, tile)[0] for tile in tiles])
    pixels = heights * widths
    # Elementwise work counts a little, so that a stage without convolutions has a preference.
    work = counts * pixels * (cost.macs_per_pixel + 1.0)
    return Options(heights, widths, cost.live_bytes(pixels), cost.border_bytes(pixels), work)


@functools.lru_cache(maxsize=256)
def _sides(length: int, align: int, halo: Halo) -> _Sides:
    """Return, for every number of windows, the shortest window that covers with so many."""
    step = max(align, STEP)
    shortest: dict[int, int] = {1: length}
    for side in range(_least(align, halo), length, step):
        count = len(windows(length, side, align=align, halo=halo))
        shortest.setdefault(count, side)
        shortest[count] = min(shortest[count], side)
    counts = sorted(shortest)
    return _Sides(
        np.array([shortest[count] for count in counts], dtype=np.int64),
        np.array(counts, dtype=np.int64),
    )


def _least(align: int, halo: Halo) -> int:
    step = max(align, STEP)
    return -(-smallest_window(align, halo) // step) * step
