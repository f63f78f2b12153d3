"""The memory figures of a plan of stages: each stage's own, on top of what is held around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgeunet.analysis.held_layout import Layout
from edgeunet.analysis.levels import Stage
from edgeunet.analysis.memory_report import LiveTensor, MemoryReport, PlannedStage, Step
from edgeunet.analysis.roles import Role
from edgeunet.specs import Precision, TensorSpec


@dataclass(frozen=True)
class StageFigures:
    """One stage: its graph's report at its window, and the window's buffers.

    tile: (height, width); None when it runs once on whole tensors. window_bytes: 0 then.
    halo: the largest, in pixels.
    """

    name: str
    report: MemoryReport
    tile: tuple[int, int] | None
    halo: int
    windows: int
    window_bytes: int


@dataclass(frozen=True)
class PlanFacts:
    """What is known of the whole plan. sizes in bytes; frame: (height, width) not padded."""

    model: str
    frame: tuple[int, int]
    precision: Precision
    held: tuple[TensorSpec, ...]
    layout: Layout
    recompute_ratio: float
    frame_bytes: int
    predicted_bytes: int
    engine: str


def report_of_plan(facts: PlanFacts, stages: Sequence[StageFigures]) -> MemoryReport:
    """Put the stages' reports in a row; a tiled stage stands there for one of its windows."""
    steps: list[Step] = []
    runs: list[Stage] = []
    bottleneck: int | None = None
    skip_bytes = 0
    core = _core_of(stages)
    for index, (stage, held) in enumerate(zip(stages, facts.layout.live_bytes, strict=True)):
        start = len(steps)
        base = held + stage.window_bytes
        for step in stage.report.steps:
            label = f"{stage.name}/{step.node}"
            live = base + step.live_bytes
            steps.append(Step(len(steps), label, step.op_type, live, held + step.skip_bytes))
        runs.append(Stage(stage.name, 1, start, len(steps)))
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
        arena_bytes=facts.layout.arena_bytes + windows + largest,
        io_bytes=facts.frame_bytes,
        weight_bytes=sum(stage.report.weight_bytes for stage in stages),
        view_gain_bytes=0,
        peak_step=peak,
        bottleneck_step=bottleneck,
        live_at_peak=_alive(facts, stages[at_peak], at_peak, peak - runs[at_peak].start),
        steps=tuple(steps),
        stages=tuple(runs),
        plan=facts.layout.plan,
        tile=_tile_of(stages),
        halo=max(stage.halo for stage in stages),
        held_bytes=facts.layout.arena_bytes,
        recompute_ratio=facts.recompute_ratio,
        predicted_bytes=facts.predicted_bytes,
        engine=facts.engine,
        planned=tuple(
            PlannedStage(
                name=stage.name,
                tile=stage.tile,
                halo=stage.halo,
                windows=stage.windows,
                held_bytes=held,
                window_bytes=stage.window_bytes,
                live_bytes=stage.report.peak_live_bytes,
            )
            for stage, held in zip(stages, facts.layout.live_bytes, strict=True)
        ),
    )


def _core_of(stages: Sequence[StageFigures]) -> int:
    """Return the stage the bottleneck is in: the one that runs once and does most."""
    once = [i for i, stage in enumerate(stages) if stage.tile is None]
    return max(once or range(len(stages)), key=lambda i: len(stages[i].report.steps))


def _waiting(layout: Layout, core: int) -> int:
    """Return what was made before the core and is held past it: the skips between stages."""
    return sum(
        buffer.size_bytes
        for buffer in layout.plan.buffers
        if buffer.start < core and buffer.end > core + 1
    )


def _alive(facts: PlanFacts, stage: StageFigures, index: int, step: int) -> tuple[LiveTensor, ...]:
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
        for buffer in facts.layout.plan.buffers
        if buffer.alive_at(index)
    ]
    window = (
        [LiveTensor(f"{stage.name} windows", stage.window_bytes, Role.WINDOW, (), "", 0, 0)]
        if stage.window_bytes
        else []
    )
    own = stage.report.live_at_peak if step == stage.report.peak_step else ()
    return (*held, *window, *(replace(tensor) for tensor in own))


def _tile_of(stages: Sequence[StageFigures]) -> tuple[int, int] | None:
    """Return the window of the stage whose windows have most pixels."""
    tiles = [stage.tile for stage in stages if stage.tile is not None]
    return max(tiles, key=lambda tile: tile[0] * tile[1]) if tiles else None
