"""Choose the frame plan for a byte limit: the cut, the recomputation and the windows.

Every cut of the graph is tried. A cut determines the held tensors and the memory of the core. The
rest of the budget goes to windows: the larger they are, the less is computed twice. The plan with
the least arithmetic is chosen. All sizes are in bytes, all lengths in full-resolution pixels.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from edgeunet.errors import BudgetError, UsageError
from edgeunet.graph.stages import FrameGraph
from edgeunet.imitation.allocations import Allocations
from edgeunet.imitation.prediction import (
    border_size,
    least_bytes,
)
from edgeunet.planning.cuts import Cut, cuts_of
from edgeunet.planning.frame_plan import FramePlan, PlannedStage, Prediction
from edgeunet.planning.processor_memory import (
    ProcessorMemory,
    further_worker_bytes,
    kernel_groups,
    memory_of,
)
from edgeunet.planning.request import PlanRequest, WindowSize, over_the_end
from edgeunet.planning.window_choices import STEP, Costs, StageWindowChoices
from edgeunet.processors import PROCESSOR_CLASSES, ProcessorClass
from edgeunet.specs import FRAME, Engine
from edgeunet.units import format_bytes, format_size

# Default limit of the arithmetic, relative to that of the whole frame.
COMFORTABLE_RATIO = 1.25
_NEARLY = 1.05
# The quick estimate may be this much higher than the imitation of the engine.
_MOST_ASKED = 2.0
# Of every cut with chains, how many plans with about the most arithmetic are tried.
_NEAR = 8

# The graph of a whole frame also pads and crops, which takes this much more (measured).
_PADDED_WHOLE = 1.06


class Planner:
    """Makes plans for one graph at one frame size."""

    def __init__(
        self,
        graph: FrameGraph,
        height: int,
        width: int,
        *,
        multiple: int,
        levels: int,
        name: str,
        engine: Engine = Engine.ONNXRUNTIME,
        processors: Sequence[ProcessorClass] = PROCESSOR_CLASSES,
        workers: int = 1,
    ) -> None:
        """Prepare for frames of (height, width) pixels.

        multiple: rows and columns are padded to multiples of this.
        levels: number of levels that can be cut at.
        name: the network's name, for error messages.
        processors: a plan's memory is that of the class that takes most; for onnxruntime.
        workers: how many windows run at a time.
        """
        self._name = name
        self.workers = workers
        self._graph = graph
        self._frame = (height, width)
        self.height = -(-height // multiple) * multiple
        self.width = -(-width // multiple) * multiple
        self._levels = levels
        self.engine = engine
        self.groups = kernel_groups(engine, processors, integers=graph.has_integers)
        self._plans: dict[tuple[Cut, tuple[WindowSize | None, ...]], FramePlan] = {}
        self._smallest: dict[WindowSize | None, FramePlan] = {}

    @functools.cached_property
    def weight_bytes(self) -> int:
        return self._graph.weight_bytes

    def activation_budget(self, request: PlanRequest) -> int | None:
        """Return the bytes that a request leaves for activations, None without a limit."""
        return request.activation_bytes(self.weight_bytes)

    def whole(self) -> FramePlan:
        """Return the plan of one stage that runs on the whole frame."""
        return self._plan(self._whole_cut, None)

    def fitting(self, budget_bytes: int, window: WindowSize | None = None) -> FramePlan:
        """Return the plan with the least arithmetic that is predicted to fit.

        window: (rows, columns) of every window; None to choose it.
        Raises BudgetError, with the smallest budget that fits, when no plan does.
        """
        if window is None:
            whole = self.whole()
            if whole.prediction.total_bytes <= budget_bytes:
                return whole
        best = self._least_work(budget_bytes, window)
        if best is None:
            asked = f" in windows of {format_size(*window)}" if window else ""
            smallest = self._smallest_mib(budget_bytes, window)
            raise BudgetError(
                f"{format_bytes(budget_bytes)} is too little for {self._name} at "
                f"{format_size(*self._frame)}{asked}",
                hint=f"the smallest budget that fits is {smallest}MiB{self._limit(window)}",
            )
        return best

    def _limit(self, window: WindowSize | None) -> str:
        """Return which operator keeps the smallest plan from taking less, as part of a hint."""
        operator = self.smallest(window).limit
        if operator is None:
            return ""
        size = format_bytes(operator.size_bytes)
        return f"; {operator.why}, and takes {size}; {operator.help}"

    def _least_work(self, budget_bytes: int, window: WindowSize | None) -> FramePlan | None:
        """Return the windowed plan with the least arithmetic that is predicted to fit."""
        least = self.smallest(window)
        best = least if least.prediction.total_bytes <= budget_bytes else None
        window = over_the_end(window, self._frame, (self.height, self.width))
        # The largest room of a cut gives a lower bound on its work.
        ranked: list[tuple[float, int, Cut]] = []
        for cut in self._cuts:
            found = next(cut.all_within(self._most_asked(cut, budget_bytes), window), None)
            if found is not None:
                ranked.append((cut.work(found), len(ranked), cut))
        for work, _, cut in sorted(ranked, key=lambda entry: entry[:2]):
            if best is not None and work > best.recompute_ratio * self._whole_work:
                break
            plan = self._refined(cut, budget_bytes, window)
            if plan is not None and (best is None or _rank(plan) < _rank(best)):
                best = plan
        return best

    def _smallest_mib(self, refused_bytes: int, window: WindowSize | None) -> int:
        """Return the smallest budget that fits, in MiB. refused_bytes: one that does not fit."""
        low = refused_bytes >> 20
        high = -(-self.smallest(window).prediction.total_bytes // (1 << 20))
        step = 1  # the smallest plan by the quick estimate is rarely far off
        while high - low > 1:
            middle = max(high - step, (low + high) // 2)
            if self._least_work(middle << 20, window) is None:
                low, step = middle, 1
            else:
                high, step = middle, 2 * step
        return high

    def smallest(self, window: WindowSize | None = None) -> FramePlan:
        """Return the plan that takes the least memory, whatever its arithmetic."""
        if window not in self._smallest:
            self._smallest[window] = self._smallest_of(window)
        return self._smallest[window]

    def _smallest_of(self, window: WindowSize | None) -> FramePlan:
        """Return the smallest plan. What surely takes more than another one is not imitated."""
        best = self.whole() if window is None else None
        chosen = [(cut, cut.smallest(side)) for cut, side in self._allowing(window)]
        least = [self._at_least(cut, windows) for cut, windows in chosen]
        for index in sorted(range(len(chosen)), key=lambda index: least[index]):
            if best is not None and least[index] > best.prediction.total_bytes:
                break
            plan = self._plan(*chosen[index])
            best = plan if best is None else min(best, plan, key=_size)
        assert best is not None
        return best

    def comfortable(self, window: WindowSize | None = None) -> FramePlan:
        """Return a plan with about the least memory whose ratio is at most COMFORTABLE_RATIO.

        It takes up to _NEARLY times the least memory, where that saves arithmetic.
        """
        if window is not None:
            plans = [self._plan(cut, cut.smallest(side)) for cut, side in self._allowing(window)]
            little = [plan for plan in plans if plan.recompute_ratio <= COMFORTABLE_RATIO]
            return min(little, key=_size) if little else min(plans, key=_rank)
        low, high = self.smallest().prediction.total_bytes, self.whole().prediction.total_bytes
        best = self.whole()
        while high - low > max(1 << 20, low // 64):
            middle = (low + high) // 2
            plan = self.fitting(middle)
            if plan.recompute_ratio <= COMFORTABLE_RATIO:
                best, high = plan, middle
            else:
                low = middle
        least = min([best, *self._near(COMFORTABLE_RATIO, best)], key=_size)
        return self.fitting(int(least.prediction.total_bytes * _NEARLY))

    def _near(self, ratio: float, best: FramePlan) -> Iterator[FramePlan]:
        """Yield plans with chains that do the most arithmetic up to a ratio, and may take less.

        A search by bytes passes over them where a smaller budget has no plan within the ratio. The
        imitation of the engine goes up and down, so several are tried.
        """
        most = best.prediction.total_bytes
        for cut in (cut for cut in self._cuts if cut.relays):
            found = list(cut.all_within(self._most_asked(cut, most), None))
            little = [one for one in found if cut.work(one) <= ratio * self._whole_work]
            for windows in little[-_NEAR:]:
                if self._at_least(cut, windows) < most:
                    yield self._plan(cut, windows)

    def in_windows(self, areas: Sequence[int]) -> list[FramePlan]:
        """Return, for every cut without chains and area, a plan with windows of at most that area.

        areas: in pixels.
        """
        alone = [cut for cut in self._cuts if not cut.relays]
        found = [cut.at_most(area) for cut in alone for area in areas]
        cuts = [cut for cut in alone for _ in areas]
        return [
            self._plan(cut, windows)
            for cut, windows in zip(cuts, found, strict=True)
            if windows is not None
        ]

    def _allowing(self, window: WindowSize | None) -> list[tuple[Cut, WindowSize | None]]:
        """Return the cuts that can run in windows of a size, with what to ask of them.

        Raises UsageError when there are none for a window that is given.
        """
        side = over_the_end(window, self._frame, (self.height, self.width))
        found = [(cut, side) for cut in self._cuts if cut.allows(side)]
        if not found and window is not None:
            raise self._no_window(window)
        return found

    @functools.cached_property
    def _whole_cut(self) -> Cut:
        size = (self.height, self.width)
        costs = Costs(self.engine, self._kinds)
        stages = [StageWindowChoices(stage, size, costs) for stage in self._graph.cut(0)]
        return Cut(0, 0, stages, size, self.engine, self._graph.outputs)

    @functools.cached_property
    def _cuts(self) -> tuple[Cut, ...]:
        size = (self.height, self.width)
        return cuts_of(self._graph, self._levels, size, self.engine, self._kinds, self.workers)

    @functools.cached_property
    def _kinds(self) -> tuple[ProcessorClass, ...]:
        """One class of every group that runs the same kernels."""
        return tuple(group[0] for group in self.groups)

    def _frame_bytes(self, cut: Cut) -> int:
        """Return the size of the outputs and of the frame's copy.

        Float outputs also exist as bytes. The frame is copied if it is padded or a float tensor.
        """
        names = self._graph.outputs
        borders = [b for stage in cut.stages for b in stage.outputs if b.name in names]
        size = sum(border_size(border, *self._frame) for border in borders)
        frame = next(b for stage in cut.stages for b in stage.inputs if b.name == FRAME)
        if frame.dtype != "uint8":
            size += sum(border_size(b, *self._frame) // 4 for b in borders if b.axes is not None)
        elif not cut.staged:
            return size
        padded = (self.height, self.width)
        return size + border_size(frame, *(padded if cut.staged else self._frame))

    def _plan(self, cut: Cut, windows: Sequence[WindowSize | None] | None) -> FramePlan:
        chosen = (None,) * len(cut.stages) if windows is None else tuple(windows)
        key = (cut, chosen)
        if key not in self._plans:
            self._plans[key] = self._predicted(cut, chosen)
        return self._plans[key]

    def _predicted(self, cut: Cut, chosen: Sequence[WindowSize | None]) -> FramePlan:
        stages = []
        runs: list[tuple[tuple[Allocations, ...], int]] = []
        work = 0.0
        for one, window in zip(cut.sized, chosen, strict=True):
            count, pixels = one.covering(window)
            stages.append(PlannedStage(one.stage, window, count, one.cost))
            runs.append((one.cost.allocations, pixels))
            work += count * pixels * one.cost.macs_per_pixel
        window_bytes, live_bytes = cut.largest(chosen)
        layout = cut.layout(chosen)
        workers = self.workers if any(window is not None for window in chosen) else 1
        memory = tuple(
            self._memory(
                cut,
                group,
                [(each[index], pixels) for each, pixels in runs],
                [window is not None for window in chosen],
            )
            for index, group in enumerate(self.groups)
        )
        prediction = Prediction(
            frame_bytes=self._frame_bytes(cut),
            held_bytes=layout.arena_bytes,
            window_bytes=window_bytes,
            live_bytes=live_bytes,
            engine_bytes=max(one.engine_bytes for one in memory),
            state_bytes=cut.state_bytes,
        )
        whole = self._whole_work
        return FramePlan(
            frame=self._frame,
            level=cut.level,
            recompute=cut.recompute,
            relays=cut.relays,
            height=self.height,
            width=self.width,
            stages=tuple(stages),
            held=cut.held(chosen),
            layout=layout,
            prediction=prediction,
            memory=memory,
            recompute_ratio=work / whole if whole else 1.0,
            engine=self.engine,
            states=cut.states,
            workers=workers,
        )

    def _memory(
        self,
        cut: Cut,
        processors: tuple[ProcessorClass, ...],
        runs: Sequence[tuple[Allocations, int]],
        windowed: Sequence[bool],
    ) -> ProcessorMemory:
        """Return what an engine takes for stages, with all workers. windowed: run in windows."""
        found = memory_of(self.engine, processors, runs)
        if self.workers > 1 and any(windowed):
            in_windows = [run for run, one in zip(runs, windowed, strict=True) if one]
            beside = further_worker_bytes(self.engine, found, in_windows)
            more = found.engine_bytes + (self.workers - 1) * beside
            found = replace(found, engine_bytes=more)
        padded = (self.height, self.width) != self._frame
        if cut.staged or not padded or self.engine is not Engine.ONNXRUNTIME:
            return found
        return replace(found, engine_bytes=int(found.engine_bytes * _PADDED_WHOLE))

    def _refined(self, cut: Cut, budget_bytes: int, window: WindowSize | None) -> FramePlan | None:
        """Return a cut's plan with the least arithmetic that fits by the engine's imitation."""
        for windows in cut.all_within(self._most_asked(cut, budget_bytes), window):
            if self._at_least(cut, windows) <= budget_bytes:
                plan = self._plan(cut, windows)
                if plan.prediction.total_bytes <= budget_bytes:
                    return plan
        return None

    def _at_least(self, cut: Cut, windows: Sequence[WindowSize | None]) -> int:
        """Return a cheap lower bound on a plan's bytes, checked before the arena is simulated."""
        window_bytes, live_bytes = cut.largest(windows)
        beside = self._frame_bytes(cut) + cut.layout(windows).arena_bytes + cut.state_bytes
        engine_bytes = least_bytes(self.engine, live_bytes)
        return beside + window_bytes + engine_bytes

    def _most_asked(self, cut: Cut, budget_bytes: int) -> float:
        return _MOST_ASKED * self._room_beside(cut, budget_bytes)

    @functools.cached_property
    def _whole_work(self) -> float:
        per_pixel = sum(cost.macs_per_pixel for cost in self._whole_cut.costs)
        return per_pixel * self.height * self.width

    def _room_beside(self, cut: Cut, budget_bytes: int) -> int:
        """Return the bytes left for window buffers, the engine, and relayed tensors."""
        beside = self._frame_bytes(cut) + cut.least_held_bytes + cut.state_bytes
        return budget_bytes - beside

    def _no_window(self, window: WindowSize) -> UsageError:
        cuts = [cut for cut in self._cuts if not cut.relays]
        if not cuts:
            operators = self.whole().stages[0].stage.operators
            why = f": {operators[0].why}" if operators else ""
            return UsageError(f"{self._name} has no level to cut at{why}", hint="run whole frames")
        cut = min(cuts, key=lambda one: math.prod(one.smallest_window_size()))
        least, step = cut.smallest_window_size(), math.lcm(STEP, cut.align)
        small = any(side < shortest for side, shortest in zip(window, least, strict=True))
        problem = "too small" if small else f"no multiples of {step}"
        return UsageError(
            f"windows of {format_size(*window)} are {problem}, so {self._name} cannot run in them",
            hint=f"use {format_size(*least)} or more, in multiples of {step}",
        )


def _rank(plan: FramePlan) -> tuple[float, int]:
    return round(plan.recompute_ratio, 4), plan.prediction.total_bytes


def _size(plan: FramePlan) -> tuple[int, float]:
    return plan.prediction.total_bytes, plan.recompute_ratio
