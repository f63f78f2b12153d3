"""Write the stages of a frame plan as files, and describe them for the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir

from edgeunet.analysis.memory_report import MemoryReport
from edgeunet.bundle.manifest import (
    CpuEntry,
    FramePlanEntry,
    HeldEntry,
    MemoryEntry,
    ProcessorEntry,
    StageEntry,
    TensorEntry,
    WindowEntry,
)
from edgeunet.graph.for_engine import finish_stage, read_frame_late
from edgeunet.graph.stages import Border, StageGraph
from edgeunet.graph.values import static_shape
from edgeunet.planning.frame_plan import FramePlan, PlannedStage
from edgeunet.planning.processor_memory import ProcessorMemory
from edgeunet.processors import THREADS


def write_stages(plan: FramePlan, folder: Path) -> tuple[StageEntry, ...]:
    """Write every stage's graph at its window's size into ``folder``."""
    return tuple(_write_stage(stage, plan, folder) for stage in plan.stages)


def write_whole(model: ir.Model, folder: Path) -> tuple[StageEntry, ...]:
    """Write a whole-frame graph into ``folder`` as the only stage."""
    return (_write(model, "whole", folder, None),)


def plan_entry(plan: FramePlan, budget_bytes: int | None) -> FramePlanEntry:
    """Return the manifest entry of a plan; tensors have the size of the padded frame."""
    tensors: dict[str, HeldEntry] = {}
    for stage in plan.stages:
        for border in (*stage.stage.inputs, *stage.stage.outputs):
            tensors[border.name] = _held(border, plan)
    return FramePlanEntry(
        height=plan.height,
        width=plan.width,
        level=plan.level,
        recompute=plan.recompute,
        tensors=tuple(tensors.values()),
        recompute_ratio=round(plan.recompute_ratio, 4),
        engine=plan.engine,
        predicted_bytes=plan.prediction.total_bytes,
        budget_bytes=budget_bytes,
        relays=plan.relays,
        workers=plan.workers,
        worker_bytes=plan.worker_bytes,
    )


def cpu_entry(
    name: str | None,
    budget_bytes: int | None,
    memory: Sequence[ProcessorMemory],
    beside_bytes: int,
) -> CpuEntry:
    """Return the manifest's entry of what onnxruntime takes on each class of processors.

    name: the export's ``--cpu``. beside_bytes: what a run takes beside the engine.
    """
    return CpuEntry(
        name=name,
        threads=THREADS,
        budget_bytes=budget_bytes,
        processors=tuple(
            ProcessorEntry(
                classes=tuple(kind.name for kind in one.processors),
                region_bytes=one.region_bytes,
                predicted_bytes=beside_bytes + one.engine_bytes,
                thread_bytes=one.thread_bytes,
                stack_bytes=one.stack_bytes,
            )
            for one in memory
        ),
    )


def memory_entry(report: MemoryReport, region_bytes: int) -> MemoryEntry:
    return MemoryEntry(
        skip_bytes=report.skip_bytes,
        peak_live_bytes=report.peak_live_bytes,
        arena_bytes=report.arena_bytes,
        io_bytes=report.io_bytes,
        weight_bytes=report.weight_bytes,
        held_bytes=report.held_bytes,
        region_bytes=region_bytes,
    )


def _held(border: Border, plan: FramePlan) -> HeldEntry:
    return HeldEntry(
        name=border.name,
        shape=border.shape_at(plan.height, plan.width),
        dtype=border.dtype,
        stride=border.stride.numerator,
        finer=border.stride.denominator,
        axes=border.axes,
    )


def _write_stage(planned: PlannedStage, plan: FramePlan, folder: Path) -> StageEntry:
    stage, window = planned.stage, planned.window
    size = window or (plan.height, plan.width)
    model = finish_stage(stage, size, plan.engine, plan.processors)
    read_frame_late(model, plan.engine)
    entry = None if window is None else _window_entry(stage, window)
    return _write(model, stage.name, folder, entry, stage.chain)


def _window_entry(stage: StageGraph, window: tuple[int, int]) -> WindowEntry:
    return WindowEntry(
        height=window[0],
        width=window[1],
        align=stage.align,
        halo_rows=(stage.halo_rows.before, stage.halo_rows.after),
        halo_columns=(stage.halo_columns.before, stage.halo_columns.after),
    )


def _write(
    model: ir.Model, name: str, folder: Path, window: WindowEntry | None, chain: str = ""
) -> StageEntry:
    file = f"{name}.onnx"
    ir.save(model, folder / file)
    return StageEntry(
        name=name,
        graph=file,
        inputs=tuple(_tensor(value) for value in model.graph.inputs),
        outputs=tuple(_tensor(value) for value in model.graph.outputs),
        window=window,
        chain=chain,
    )


def _tensor(value: ir.Value) -> TensorEntry:
    shape = static_shape(value)
    if shape is None or value.dtype is None or value.name is None:
        raise RuntimeError(f"{value!r} has no static type")
    return TensorEntry(name=value.name, shape=shape, dtype=value.dtype.numpy().name)
