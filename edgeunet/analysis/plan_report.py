"""Memory figures of a frame plan: those of each stage, and the bytes held around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgeunet.analysis.held_layout import HeldLayout
from edgeunet.analysis.levels import LevelRun
from edgeunet.analysis.memory_report import (
    LiveTensor,
    MemoryReport,
    RunsOnce,
    StageMemory,
    Step,
)
from edgeunet.analysis.roles import Role
from edgeunet.specs import Engine, Precision, TensorSpec


@dataclass(frozen=True)
class StageReport:
    """The report of one stage's graph at its window size.

    window: (height, width); None if it runs once on whole tensors.
    halo: the largest halo, in pixels.
    window_bytes: size of the window buffers; 0 without windows.
    runs_once: see ``StageMemory``.
    """

    name: str
    report: MemoryReport
    window: tuple[int, int] | None
    halo: int
    window_count: int
    window_bytes: int
    runs_once: tuple[RunsOnce, ...] = ()


@dataclass(frozen=True)
class FramePlanFacts:
    """Properties of the whole frame plan; sizes are in bytes.

    frame: (height, width), not padded.
    states: tensors that are kept from frame to frame.
    """

    model: str
    frame: tuple[int, int]
    precision: Precision
    held: tuple[TensorSpec, ...]
    layout: HeldLayout
    recompute_ratio: float
    frame_bytes: int
    predicted_bytes: int
    engine: Engine
    states: tuple[TensorSpec, ...] = ()

    @property
    def state_bytes(self) -> int:
        return sum(spec.size_bytes for spec in self.states)


def report_of_frame_plan(facts: FramePlanFacts, stages: Sequence[StageReport]) -> MemoryReport:
    """Return one report of all stages in order; a windowed stage counts with one window."""
    steps: list[Step] = []
    runs: list[LevelRun] = []
    bottleneck: int | None = None
    skip_bytes = 0
    core = _core_of(stages)
    for index, (stage, held) in enumerate(zip(stages, facts.layout.live_bytes, strict=True)):
        start = len(steps)
        base = held + stage.window_bytes + facts.state_bytes
        for step in stage.report.steps:
            label = f"{stage.name}/{step.node}"
            live = base + step.live_bytes
            steps.append(Step(len(steps), label, step.op_type, live, held + step.skip_bytes))
        runs.append(LevelRun(stage.name, 1, start, len(steps)))
        if index == core:
            first = stage.report.bottleneck_step
            bottleneck = start + (first or 0)
            skip_bytes = _waiting(facts.layout, core) + stage.report.skip_bytes
    peak = max(range(len(steps)), key=lambda at: steps[at].live_bytes)
    at_peak = next(i for i, run in enumerate(runs) if run.start <= peak < run.end)
    largest = max(stage.report.arena_bytes for stage in stages)
    windows = max(stage.window_bytes for stage in stages)
    return MemoryReport(
        model=facts.model,
        frame=facts.frame,
        precision=facts.precision,
        skip_bytes=skip_bytes,
        peak_live_bytes=steps[peak].live_bytes,
        arena_bytes=facts.layout.arena_bytes + facts.state_bytes + windows + largest,
        io_bytes=facts.frame_bytes,
        weight_bytes=sum(stage.report.weight_bytes for stage in stages),
        view_gain_bytes=0,
        peak_step=peak,
        bottleneck_step=bottleneck,
        live_at_peak=_alive(facts, stages[at_peak], at_peak, peak - runs[at_peak].start),
        steps=tuple(steps),
        level_runs=tuple(runs),
        layout=facts.layout.arena,
        window=_largest_window_of(stages),
        halo=max(stage.halo for stage in stages),
        held_bytes=facts.layout.arena_bytes,
        state_bytes=facts.state_bytes,
        recompute_ratio=facts.recompute_ratio,
        predicted_bytes=facts.predicted_bytes,
        engine=facts.engine,
        planned=tuple(
            StageMemory(
                name=stage.name,
                window=stage.window,
                halo=stage.halo,
                window_count=stage.window_count,
                held_bytes=held,
                window_bytes=stage.window_bytes,
                live_bytes=stage.report.peak_live_bytes,
                runs_once=stage.runs_once,
            )
            for stage, held in zip(stages, facts.layout.live_bytes, strict=True)
        ),
    )


def _core_of(stages: Sequence[StageReport]) -> int:
    """Return the index of the stage with the bottleneck: of those that run once, the largest."""
    once = [i for i, stage in enumerate(stages) if stage.window is None]
    return max(once or range(len(stages)), key=lambda i: len(stages[i].report.steps))


def _waiting(layout: HeldLayout, core: int) -> int:
    """Return the bytes made before the core and held past it: the skips between stages."""
    return sum(
        buffer.size_bytes
        for buffer in layout.arena.buffers
        if buffer.start < core and buffer.end > core + 1
    )


def _alive(
    facts: FramePlanFacts, stage: StageReport, index: int, step: int
) -> tuple[LiveTensor, ...]:
    held = [
        LiveTensor(
            name=buffer.name,
            size_bytes=buffer.size_bytes,
            role=Role.HELD,
            shape=next(spec.shape for spec in facts.held if spec.name == buffer.name),
            dtype=next(spec.dtype for spec in facts.held if spec.name == buffer.name),
            start=buffer.start,
            end=buffer.end,
        )
        for buffer in facts.layout.arena.buffers
        if buffer.alive_at(index)
    ]
    window = (
        [LiveTensor(f"{stage.name} windows", stage.window_bytes, Role.WINDOW, (), "", 0, 0)]
        if stage.window_bytes
        else []
    )
    own = stage.report.live_at_peak if step == stage.report.peak_step else ()
    count = len(facts.layout.live_bytes)
    states = [
        LiveTensor(spec.name, spec.size_bytes, Role.STATE, spec.shape, spec.dtype, 0, count)
        for spec in facts.states
    ]
    return (*states, *held, *window, *(replace(tensor) for tensor in own))


def _largest_window_of(stages: Sequence[StageReport]) -> tuple[int, int] | None:
    """Return the window of the stage whose windows have the most pixels."""
    windows = [stage.window for stage in stages if stage.window is not None]
    return max(windows, key=lambda window: window[0] * window[1]) if windows else None
