"""One way to cut a graph at one frame size: the tensors it holds, and windows for a budget."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence

import numpy as np

from edgeunet.analysis.held_layout import HeldLayout, StageBorders, lay_out_held
from edgeunet.errors import GraphError
from edgeunet.graph.stages import Border, FrameGraph, StageGraph
from edgeunet.imitation.prediction import Areas, StageCost, live_within, usual_bytes
from edgeunet.planning.garbage import collected_once
from edgeunet.planning.request import WindowSize
from edgeunet.planning.window_choices import Costs, StageWindowChoices, WindowOptions
from edgeunet.processors import ProcessorClass
from edgeunet.specs import FRAME, STATES, Engine, TensorSpec

# Number of ways in which the budget is divided between window buffers and the engine.
_SHARES = 48


class Cut:
    """One way to cut the graph, at one frame size."""

    def __init__(
        self,
        level: int,
        recompute: int,
        stages: Iterable[StageWindowChoices],
        size: WindowSize,
        engine: Engine,
    ) -> None:
        """Store the stages of a cut. size: (rows, columns) of the padded frame."""
        self.level, self.recompute, self.engine = level, recompute, engine
        self.sized = tuple(stages)
        self._size = size

    @property
    def stages(self) -> tuple[StageGraph, ...]:
        return tuple(one.stage for one in self.sized)

    @functools.cached_property
    def costs(self) -> tuple[StageCost, ...]:
        return tuple(one.cost for one in self.sized)

    @functools.cached_property
    def held(self) -> tuple[TensorSpec, ...]:
        """The tensors that stages pass to later ones, at the size of the padded frame."""
        read = {border.name for stage in self.stages for border in stage.inputs}
        states = {spec.name for spec in self.states}
        return tuple(
            self._spec(border)
            for stage in self.stages
            for border in stage.outputs
            if border.name in read - {STATES[name] for name in STATES if name in states}
        )

    @functools.cached_property
    def states(self) -> tuple[TensorSpec, ...]:
        """The tensors that are kept from frame to frame: those that are read and never made."""
        made = {border.name for stage in self.stages for border in stage.outputs}
        found = {
            border.name: self._spec(border)
            for stage in self.stages
            for border in stage.inputs
            if border.name not in {FRAME, *made}
        }
        return tuple(found.values())

    @property
    def staged(self) -> bool:
        """Whether a frame goes through several stages, or windows."""
        return self.level > 0 or len(self.sized) > 1

    @property
    def state_bytes(self) -> int:
        return sum(spec.size_bytes for spec in self.states)

    def _spec(self, border: Border) -> TensorSpec:
        return TensorSpec(border.name, border.shape_at(*self._size), border.dtype)

    @functools.cached_property
    def layout(self) -> HeldLayout:
        borders = [
            StageBorders(
                tuple(border.name for border in stage.inputs),
                tuple(border.name for border in stage.outputs),
                stage.cellwise,
            )
            for stage in self.stages
        ]
        return lay_out_held(borders, self.held)

    def work(self, windows: Sequence[WindowSize | None]) -> float:
        """Return the multiply-accumulates of a frame with these windows."""
        total = 0.0
        for one, window in zip(self.sized, windows, strict=True):
            count, pixels = one.covering(window)
            total += count * pixels * one.cost.macs_per_pixel
        return total

    def largest(self, windows: Sequence[WindowSize | None]) -> tuple[int, int]:
        """Return the largest window buffers and the largest live peak of all stages, in bytes."""
        window_bytes = live_bytes = 0
        for one, window in zip(self.sized, windows, strict=True):
            area = np.array([one.covering(window)[1]])
            live_bytes = max(live_bytes, int(one.cost.live_bytes(area)[0]))
            if window is not None:
                window_bytes = max(window_bytes, int(one.cost.border_bytes(area)[0]))
        return window_bytes, live_bytes

    @functools.cached_property
    def _live_once(self) -> int:
        """The largest live peak of the stages that run once, in bytes."""
        area = np.array([self._size[0] * self._size[1]])
        once = [cost for cost in self.costs if not cost.stage.windowed]
        return max((int(cost.live_bytes(area)[0]) for cost in once), default=0)

    def smallest_window_size(self) -> WindowSize:
        """Return the smallest (rows, columns) that every windowed stage can run on."""
        rows, columns = zip(
            *(one.smallest_window_size for one in self.sized if one.stage.windowed), strict=True
        )
        return min(max(rows), self._size[0]), min(max(columns), self._size[1])

    @property
    def align(self) -> int:
        """The pixels that the windows of every stage start at a multiple of."""
        return math.lcm(*(stage.align for stage in self.stages if stage.windowed))

    def allows(self, window: WindowSize | None) -> bool:
        """Return whether every windowed stage can run on windows of this size."""
        if window is None:
            return True
        least = self.smallest_window_size()
        return all(
            side >= length or (side >= small and side % self.align == 0)
            for side, small, length in zip(window, least, self._size, strict=True)
        )

    def smallest(self, window: WindowSize | None) -> list[WindowSize | None]:
        """Return the windows with which this cut takes the least memory."""
        chosen: list[WindowSize | None] = []
        for one in self.sized:
            if not one.stage.windowed:
                chosen.append(None)
                continue
            options = one.options(window)
            # The core sets a lower limit: windows that take less than it gain nothing.
            live = np.maximum(options.live, self._live_once)
            totals = usual_bytes(self.engine, live) + options.border
            order = np.lexsort((options.work, np.round(totals)))
            chosen.append(options.window(int(order[0])))
        return chosen

    def at_most(self, pixels: int) -> list[WindowSize | None] | None:
        """Return the windows of at most this area with the least arithmetic, None if none fit."""
        chosen: list[WindowSize | None] = []
        for one in self.sized:
            if not one.stage.windowed:
                chosen.append(None)
                continue
            options = one.options(None)
            fits = options.heights * options.widths <= pixels
            if not fits.any():
                return None
            chosen.append(options.window(int(np.argmin(np.where(fits, options.work, np.inf)))))
        return chosen

    def within(self, room: int, window: WindowSize | None) -> list[WindowSize | None] | None:
        """Return the windows with the least arithmetic that fit, None if none fit.

        room: bytes for window buffers and the engine.
        window: the size of every window; None to choose it.
        """
        if not self.allows(window):
            return None
        # Bytes that window buffers may take, for every way to divide the room.
        shares = np.array([room * step // _SHARES for step in range(1, _SHARES)])
        live_rooms = np.array(
            [int(live_within(self.engine, room - int(share))) - 1 for share in shares]
        )
        total = np.where(live_rooms >= self._live_once, 0.0, np.inf)
        found: list[tuple[WindowOptions, Areas] | None] = []
        for one in self.sized:
            if not one.stage.windowed:
                found.append(None)
                continue
            options = one.options(window)
            fitting, index = options.least_work(live_rooms, shares)
            total += np.where(fitting > 0, options.work[index], np.inf)
            found.append((options, index))
        best = int(np.argmin(total))
        if np.isinf(total[best]):
            return None
        return [None if one is None else one[0].window(int(one[1][best])) for one in found]


def cuts_of(
    graph: FrameGraph,
    levels: int,
    size: WindowSize,
    engine: Engine,
    processors: Sequence[ProcessorClass],
) -> tuple[Cut, ...]:
    """Return every way to cut a graph at levels 1..levels; of equal cuts only one.

    size: (rows, columns) of the padded frame. processors: see ``cost_of``.
    A graph of which nothing is local has no cut.
    """
    found = []
    seen = set()
    costs = Costs(engine, processors)
    for level in range(1, levels + 1):
        for recompute in range(level + 1):
            try:
                with collected_once():
                    stages = graph.cut(level, recompute=recompute)
            except GraphError:
                break
            borders = tuple((s.name, s.inputs, s.outputs) for s in stages)
            if borders not in seen:
                seen.add(borders)
                sized = [StageWindowChoices(stage, size, costs) for stage in stages]
                found.append(Cut(level, recompute, sized, size, engine))
    return tuple(found)
