"""One way to cut a graph at one frame size: the tensors it holds, and windows for a budget."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from edgeunet.analysis.held_layout import HeldLayout, StageBorders, lay_out_held
from edgeunet.errors import GraphError
from edgeunet.graph.split import CHAINS
from edgeunet.graph.stages import Border, FrameGraph, StageGraph
from edgeunet.imitation.prediction import Areas, StageCost, live_within, usual_bytes
from edgeunet.planning.garbage import collected_once
from edgeunet.planning.relay_choices import RelayChoices
from edgeunet.planning.request import WindowSize
from edgeunet.planning.window_choices import Costs, StageWindowChoices, WindowOptions
from edgeunet.processors import ProcessorClass
from edgeunet.specs import FRAME, STATES, Engine, TensorSpec
from edgeunet.window_turns import StageRows, relayed_names, turns_of

# Number of ways in which the budget is divided between window buffers and the engine.
_SHARES = 48
# Rooms that are tried are powers of this.
_SIZE_STEP = 1.025


class Cut:
    """One way to cut the graph, at one frame size."""

    def __init__(
        self,
        level: int,
        recompute: int,
        stages: Iterable[StageWindowChoices],
        size: WindowSize,
        engine: Engine,
        outputs: Collection[str],
        relays: tuple[int, ...] = (),
        workers: int = 1,
    ) -> None:
        """Store the stages of a cut.

        size: (rows, columns) of the padded frame. outputs: the names of the frame's outputs.
        relays: the levels that the graph is divided at into chains; see graph/split.py.
        workers: how many windows run at a time.
        """
        self._workers = workers
        self.level, self.recompute, self.relays, self.engine = level, recompute, relays, engine
        self.sized = tuple(stages)
        self._size = size
        self._outputs = frozenset(outputs)

    @property
    def stages(self) -> tuple[StageGraph, ...]:
        return tuple(one.stage for one in self.sized)

    @functools.cached_property
    def costs(self) -> tuple[StageCost, ...]:
        return tuple(one.cost for one in self.sized)

    def held(self, windows: Sequence[WindowSize | None]) -> tuple[TensorSpec, ...]:
        """The tensors that stages pass to later ones, at the size of the padded frame.

        Of a relayed tensor, the rows that are held at a time with these windows.
        """
        return self._held(self._held_rows(windows))

    def layout(self, windows: Sequence[WindowSize | None]) -> HeldLayout:
        """Return the arena of held tensors with these windows."""
        return lay_out_held(self._borders, self.held(windows))

    @functools.cached_property
    def least_held_bytes(self) -> int:
        """The bytes of held tensors without those that are relayed."""
        return self._without_relayed.arena_bytes

    @functools.cached_property
    def _without_relayed(self) -> HeldLayout:
        return lay_out_held(self._borders, self._held(dict.fromkeys(self.relayed, 0)))

    @functools.cached_property
    def relayed(self) -> frozenset[str]:
        """The names of the relayed tensors."""
        return relayed_names(self._rows_of([None] * len(self.sized)), self._outputs)

    @property
    def relays_whole_elements(self) -> bool:
        """Whether the rows of relayed tensors are those of the frame, divided by a whole number.

        Else rows of the frame are not rows of the tensor, and it cannot be held in parts.
        """
        rows = self._size[0]
        return all(
            border.axes is not None
            and border.stride.denominator == 1
            and border.shape_at(*self._size)[border.axes[0]] * border.stride == rows
            and rows % stage.align == 0
            for stage in self.stages
            for border in stage.outputs
            if border.name in self.relayed
        )

    def _held_rows(self, windows: Sequence[WindowSize | None]) -> Mapping[str, int]:
        if not self.relays:
            return {}
        return turns_of(self._rows_of(windows), self._outputs).held_rows

    def _rows_of(self, windows: Sequence[WindowSize | None]) -> list[StageRows]:
        return [
            StageRows(
                borders.chain,
                borders.inputs,
                borders.outputs,
                () if window is None else one.rows_of_windows(window[0]),
                0 if window is None else min(window[0], self._size[0]),
            )
            for one, borders, window in zip(self.sized, self._borders, windows, strict=True)
        ]

    def _held(self, held_rows: Mapping[str, int]) -> tuple[TensorSpec, ...]:
        read = {border.name for stage in self.stages for border in stage.inputs}
        states = {spec.name for spec in self.states}
        rows, columns = self._size
        return tuple(
            TensorSpec(
                border.name,
                border.shape_at(held_rows.get(border.name, rows), columns),
                border.dtype,
            )
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
        """Whether a frame goes through several stages or windows, or past what is kept."""
        return self.level > 0 or len(self.sized) > 1 or bool(self.states)

    @property
    def state_bytes(self) -> int:
        return sum(spec.size_bytes for spec in self.states)

    def _spec(self, border: Border) -> TensorSpec:
        return TensorSpec(border.name, border.shape_at(*self._size), border.dtype)

    @functools.cached_property
    def _borders(self) -> tuple[StageBorders, ...]:
        return tuple(
            StageBorders(
                tuple(border.name for border in stage.inputs),
                tuple(border.name for border in stage.outputs),
                stage.cellwise,
                stage.chain,
            )
            for stage in self.stages
        )

    def work(self, windows: Sequence[WindowSize | None]) -> float:
        """Return the multiply-accumulates of a frame with these windows."""
        total = 0.0
        for one, window in zip(self.sized, windows, strict=True):
            count, pixels = one.covering(window)
            total += count * pixels * one.cost.macs_per_pixel
        return total

    def largest(self, windows: Sequence[WindowSize | None]) -> tuple[int, int]:
        """Return the largest window buffers and the largest live peak of all stages, in bytes.

        Of windows, what all workers take together.
        """
        window_bytes = live_bytes = 0
        for one, window in zip(self.sized, windows, strict=True):
            area = np.array([one.covering(window)[1]])
            together = 1 if window is None else self._workers
            live_bytes = max(live_bytes, together * int(one.cost.live_bytes(area)[0]))
            if window is not None:
                border_bytes = int(one.cost.border_bytes(area)[0])
                window_bytes = max(window_bytes, together * border_bytes)
        return window_bytes, live_bytes

    @functools.cached_property
    def _live_once(self) -> int:
        """The largest live peak of the stages that run once, in bytes."""
        area = np.array([self._size[0] * self._size[1]])
        once = [cost for cost in self.costs if not cost.stage.windowed]
        return max((int(cost.live_bytes(area)[0]) for cost in once), default=0)

    @functools.cached_property
    def _relay_choices(self) -> RelayChoices:
        fixed = self._without_relayed
        spare = {
            stage.chain: fixed.arena_bytes - taken
            for stage, taken in zip(self.stages, fixed.live_bytes, strict=True)
        }
        return RelayChoices(
            self.sized,
            self.relayed,
            spare,
            self._size,
            self.engine,
            self._live_once,
            self._workers,
        )

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
        """Return whether every windowed stage can run on windows of this size.

        Stages of a chain have windows of different sizes, so they are always chosen.
        """
        if window is None:
            return True
        if self.relays:
            return False
        least = self.smallest_window_size()
        return all(
            side >= length or (side >= small and side % self.align == 0)
            for side, small, length in zip(window, least, self._size, strict=True)
        )

    def smallest(self, window: WindowSize | None) -> list[WindowSize | None]:
        """Return the windows with which this cut takes the least memory."""
        if self.relays:
            return self._relay_choices.smallest()
        chosen: list[WindowSize | None] = []
        for one in self.sized:
            if not one.stage.windowed:
                chosen.append(None)
                continue
            options = one.options(window)
            # The core sets a lower limit: windows that take less than it gain nothing.
            live = np.maximum(self._workers * options.live, self._live_once)
            totals = usual_bytes(self.engine, live) + self._workers * options.border
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

    def all_within(
        self, room: float, window: WindowSize | None
    ) -> Iterator[list[WindowSize | None]]:
        """Yield windows that fit by a quick estimate, those with the least arithmetic first.

        Each takes less than the one before. room: bytes for window buffers, the engine and relayed
        tensors. window: the size of every window; None to choose it.
        What a larger room yields includes all that a smaller one does.
        """
        if not self.allows(window):
            return
        if self.relays:
            yield from self._relay_choices.all_within(room)
            return
        before = None
        step = math.floor(math.log(room, _SIZE_STEP)) if room > 1 else 0
        while (found := self.within(int(_SIZE_STEP**step), window)) is not None:
            if found != before:
                yield found
            before = found
            step -= 1

    def within(self, room: int, window: WindowSize | None) -> list[WindowSize | None] | None:
        """Return the windows with the least arithmetic that fit, None if none fit.

        See ``all_within``.
        """
        if not self.allows(window):
            return None
        if self.relays:
            return self._relay_choices.within(room)
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
            each = (live_rooms // self._workers, shares // self._workers)
            fitting, index = options.least_work(*each)
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
    workers: int = 1,
) -> tuple[Cut, ...]:
    """Return every way to cut a graph at levels 1..levels; of equal cuts only one.

    size: (rows, columns) of the padded frame. processors: see ``cost_of``.
    workers: how many windows run at a time.
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
                found.append(Cut(level, recompute, sized, size, engine, graph.outputs, (), workers))
    if engine is Engine.ONNXRUNTIME:
        found += _relayed_cuts(graph, found, size, costs, workers)
    return tuple(found)


def _relayed_cuts(
    graph: FrameGraph, cuts: Sequence[Cut], size: WindowSize, costs: Costs, workers: int
) -> list[Cut]:
    """Return the cuts with chains, divided at the coarsest levels.

    The finer a level, the more of it is relayed, and the smaller the halo that dividing there
    saves. Of the coarsest cut, whose core is the smallest, the core is in a chain as well or not.
    cuts: those without chains.
    """
    found = []
    coarsest = max((cut.level for cut in cuts), default=0)
    for plain in cuts:
        single = any(stage.name in CHAINS for stage in plain.stages)
        # What is kept from frame to frame is read while later stages write over it.
        divided = single and not plain.recompute and not plain.states
        level = plain.level
        for first in reversed(range(1, level)) if divided else ():
            for last in (level, level + 1) if level == coarsest else (level,):
                relays = tuple(range(first, last))
                try:
                    stages = graph.cut(level, relays=relays)
                except GraphError:
                    continue
                sized = [StageWindowChoices(stage, size, costs) for stage in stages]
                cut = Cut(level, 0, sized, size, plain.engine, graph.outputs, relays, workers)
                if cut.relays_whole_elements:
                    found.append(cut)
    return found
