"""Plan the frames of a network, and report the plan's memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from edgeunet.analysis.memory_report import MemoryReport, RunsOnce, analyse
from edgeunet.analysis.plan_report import FramePlanFacts, StageReport, report_of_frame_plan
from edgeunet.convert.network_graph import (
    Graphs,
    NetworkGraphs,
    check_frame_size,
    check_precision,
    within_memory,
)
from edgeunet.convert.quantizing import Quantizer
from edgeunet.errors import UsageError
from edgeunet.graph.for_engine import finish, finish_stage, read_frame_late
from edgeunet.graph.stages import FrameGraph, StageGraph
from edgeunet.graph.summary import view_of_model, write_model
from edgeunet.models.alignment import BLOCK, HALO
from edgeunet.planning.frame_plan import FramePlan
from edgeunet.planning.planner import Planner
from edgeunet.planning.request import WHOLE_FRAME, PlanRequest, WindowSize
from edgeunet.planning.requested_plan import choose_plan
from edgeunet.planning.savings import gains_of
from edgeunet.planning.tuning import fastest_plan
from edgeunet.processors import PROCESSOR_CLASSES, ProcessorClass
from edgeunet.specs import Engine, Precision

TimeGraph = Callable[[Path], float]
"""Returns the seconds that one run of an ONNX file takes on this machine."""


def target_of(precision: Precision) -> Engine:
    """Return the engine for a precision: FP32 runs on CPUs, FP16 on GPUs."""
    return Engine.ONNXRUNTIME if precision is Precision.FP32 else Engine.TENSORRT


def planner_of(
    graphs: Graphs,
    height: int,
    width: int,
    precision: Precision,
    quantizer: Quantizer | None = None,
    processors: Sequence[ProcessorClass] = PROCESSOR_CLASSES,
    workers: int = 1,
) -> Planner:
    """Return a planner for frames of (height, width) pixels.

    quantizer: for INT8. processors: those that plans are for.
    workers: how many windows run at a time.
    Raises UsageError for several workers of an engine that has none.
    """
    engine = target_of(precision) if quantizer is None else quantizer.engine
    if workers > 1 and engine is not Engine.ONNXRUNTIME:
        raise UsageError(
            f"{workers} workers are for onnxruntime, and {precision} is planned for TensorRT",
            hint="leave --workers out, or export --fp32",
        )
    model = graphs.at(*graphs.base_size, precision, quantizer)
    graph = FrameGraph(model, *_stages_before(graphs, height, width, precision))
    return Planner(
        graph,
        height,
        width,
        multiple=graphs.multiple,
        levels=graph.levels if graphs.levels is None else graphs.levels,
        name=graphs.facts.name,
        engine=engine,
        workers=workers,
        processors=processors,
    )


# The level of the small maps that the noise is estimated on; finer ones are made again from the
# frame, which costs little and holds nothing.
_FUSE_LEVEL, _FUSE_RECOMPUTE = 3, 2


def _stages_before(
    graphs: Graphs, height: int, width: int, precision: Precision
) -> tuple[list[StageGraph], list[StageGraph]]:
    """Return the stages that a frame goes through before a network that remembers.

    The first are for a network in windows, the second for one that runs on whole frames.
    """
    if not isinstance(graphs, NetworkGraphs) or graphs.parts is None:
        return [], []
    rows, columns = (-(-side // graphs.multiple) * graphs.multiple for side in (height, width))
    align = FrameGraph(graphs.aligning(rows, columns)).stage("align", windowed=False)
    fusing = FrameGraph(graphs.fusing(precision))
    parts = fusing.cut(_FUSE_LEVEL, recompute=_FUSE_RECOMPUTE)
    parts = tuple(replace(part, name=f"fuse-{part.name}") for part in parts)
    # A window's blocks are matched as those of a frame are: its graph is that of a small frame.
    in_windows = align.in_windows(BLOCK, HALO, graphs.aligning)
    return [in_windows, *parts], [align, fusing.stage("fuse", windowed=False)]


def plan_frames(
    graphs: Graphs,
    height: int,
    width: int,
    precision: Precision,
    request: PlanRequest,
    *,
    time_graph: TimeGraph | None = None,
    quantizer: Quantizer | None = None,
    processors: Sequence[ProcessorClass] = PROCESSOR_CLASSES,
) -> FramePlan:
    """Return the plan for a request. Raises the errors of ``choose_plan``.

    time_graph: if given, the fastest plan that fits is returned, else the one with least
        arithmetic.
    quantizer: for INT8.
    processors: those that the plan is for.
    """
    planner = planner_of(graphs, height, width, precision, quantizer, processors, request.workers)
    if time_graph is None or request.whole or request.window is not None:
        return choose_plan(planner, request)
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:

        def time_stage(stage: StageGraph, window: WindowSize) -> float:
            path = Path(folder) / "stage.onnx"
            model = finish_stage(stage, window, planner.engine, processors)
            write_model(read_frame_late(model, planner.engine), path)
            return time_graph(path)

        return fastest_plan(planner, planner.activation_budget(request), time_stage)


def report_of_frame(
    graphs: Graphs,
    height: int,
    width: int,
    precision: Precision,
    processors: Sequence[ProcessorClass] = PROCESSOR_CLASSES,
) -> MemoryReport:
    """Return the memory figures of a whole frame of (height, width) pixels.

    Raises UsageError for a frame that is too small, or for INT8.
    """
    check_frame_size(graphs.facts, height, width)
    if graphs.facts.remembers:
        return report_of_request(graphs, height, width, precision, WHOLE_FRAME)[1]
    with within_memory(graphs.facts, height, width):
        model = graphs.at(height, width, precision)
    model = finish(model, target_of(precision), processors)
    return analyse(view_of_model(model), model=graphs.facts.name)


def report_of_request(
    graphs: Graphs,
    height: int,
    width: int,
    precision: Precision,
    request: PlanRequest,
    processors: Sequence[ProcessorClass] = PROCESSOR_CLASSES,
) -> tuple[FramePlan, MemoryReport]:
    """Return the plan for a request, and its figures with predicted bytes and gains.

    Raises the errors of ``choose_plan`` and ``report_of_frame``.
    """
    check_precision(precision)
    check_frame_size(graphs.facts, height, width)
    with within_memory(graphs.facts, height, width):
        planner = planner_of(
            graphs, height, width, precision, processors=processors, workers=request.workers
        )
        plan = choose_plan(planner, request)
        gains = gains_of(planner, plan)
        if plan.staged:
            return plan, replace(report_of(plan, graphs.facts.name, precision), gains=gains)
    return plan, replace(
        report_of_frame(graphs, height, width, precision, processors),
        predicted_bytes=plan.prediction.total_bytes,
        engine=plan.engine,
        gains=gains,
    )


def report_of(plan: FramePlan, name: str, precision: Precision) -> MemoryReport:
    """Return the memory figures of a windowed plan, with each stage's graph at its window size."""
    figures = [
        StageReport(
            name=planned.stage.name,
            report=analyse(
                view_of_model(
                    finish_stage(
                        planned.stage,
                        planned.window or (plan.height, plan.width),
                        plan.engine,
                        plan.processors,
                    )
                )
            ),
            window=planned.window,
            halo=planned.stage.largest_halo,
            window_count=planned.window_count,
            window_bytes=planned.window_bytes,
            runs_once=tuple(
                RunsOnce(one.why, one.size_bytes) for one in plan.operators_of(planned)
            ),
        )
        for planned in plan.stages
    ]
    facts = FramePlanFacts(
        model=name,
        frame=plan.frame,
        precision=precision,
        held=plan.held,
        layout=plan.layout,
        recompute_ratio=plan.recompute_ratio,
        frame_bytes=plan.prediction.frame_bytes,
        predicted_bytes=plan.prediction.total_bytes,
        engine=plan.engine,
        states=plan.states,
    )
    return report_of_frame_plan(facts, figures)
