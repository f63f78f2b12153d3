"""Computes the memory figures of a bundle from its graphs."""

from __future__ import annotations

from dataclasses import replace

from edgeunet.analysis.held_layout import lay_out_held
from edgeunet.analysis.memory_report import MemoryReport, analyse
from edgeunet.analysis.plan_report import FramePlanFacts, StageReport, report_of_frame_plan
from edgeunet.bundle.folder import Bundle
from edgeunet.bundle.manifest import FramePlanEntry, StageEntry
from edgeunet.bundle.tensors import buffer_bytes, held_specs, stage_borders, state_specs
from edgeunet.graph.summary import in_running_order, view_of_file


def report_of_bundle(bundle: Bundle) -> MemoryReport:
    """Return the memory figures of a bundle: of one graph, or of a plan of stages."""
    manifest = bundle.manifest
    plan = manifest.plan
    if plan is None:
        graph = bundle.file(manifest.stages[0].graph)
        return replace(
            analyse(in_running_order(view_of_file(graph)), model=manifest.name),
            frame=(manifest.height, manifest.width),
            precision=manifest.precision,
        )
    held = held_specs(manifest)
    facts = FramePlanFacts(
        model=manifest.name,
        frame=(manifest.height, manifest.width),
        precision=manifest.precision,
        held=held,
        layout=lay_out_held(stage_borders(manifest), held),
        recompute_ratio=plan.recompute_ratio,
        frame_bytes=buffer_bytes(manifest),
        predicted_bytes=plan.predicted_bytes,
        engine=plan.engine,
        states=state_specs(manifest),
    )
    return report_of_frame_plan(facts, [_figures(bundle, stage, plan) for stage in manifest.stages])


def _figures(bundle: Bundle, stage: StageEntry, plan: FramePlanEntry) -> StageReport:
    window = stage.window
    rows, columns = ([0], [0]) if window is None else window.cover(plan.height, plan.width)
    whole = {entry.name: entry.shape for entry in plan.tensors}
    own = [e for e in (*stage.inputs, *stage.outputs) if e.shape != whole[e.name]]
    return StageReport(
        name=stage.name,
        report=analyse(in_running_order(view_of_file(bundle.file(stage.graph)))),
        window=None if window is None else (window.height, window.width),
        halo=0 if window is None else max(*window.halo_rows, *window.halo_columns),
        window_count=len(rows) * len(columns),
        window_bytes=sum(entry.spec().size_bytes for entry in own),
    )
