"""The results of ``edgeunet export`` as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from edgeunet.bundle.manifest import FramePlanEntry, MemoryEntry, StageEntry
from edgeunet.cli.console import note, print_table
from edgeunet.cli.int8 import int8_document, int8_notes, print_int8, print_sensitivity
from edgeunet.cli.memory_bundle import print_promise, promise_document
from edgeunet.cli.memory_tables import print_plan, why_whole
from edgeunet.contracts import ForeignInput, ForeignNetwork, ForeignOutput
from edgeunet.processors import ProcessorClass, processors_of
from edgeunet.specs import Precision, Task
from edgeunet.units import format_bytes, format_size

if TYPE_CHECKING:
    from edgeunet.convert.exporting import Exported, ExportOrder
    from edgeunet.convert.parity import ParityFigure
    from edgeunet.convert.sensitivity import Selection

_METRICS = {
    "psnr_db": "PSNR dB",
    "label_share": "share of pixels with another class",
    "probability": "largest difference of a probability",
    "kernels_db": "PSNR dB, integer kernels to floats",
    "kernels_label_share": "share of other classes, integer kernels to floats",
    "kernels_probability": "difference of a probability, integer kernels to floats",
}


def export_document(order: ExportOrder, exported: Exported) -> dict[str, Any]:
    """Return the JSON document of an export."""
    manifest = exported.bundle.manifest
    plan = manifest.plan
    return {
        "bundle": str(exported.bundle.path),
        "model": order.network.name,
        "size": format_size(order.height, order.width),
        "precision": str(order.precision),
        "frame_type": str(order.frame_type),
        "weights": manifest.weights,
        "parity": [
            {"frame": f.frame, "output": f.output, f.metric: f.value, "limit": f.limit}
            for f in exported.parity
        ],
        "calibration": manifest.calibration,
        "contract": _contract_document(manifest.foreign),
        "quantization": int8_document(manifest.quantization),
        "memory": msgspec.structs.asdict(manifest.memory),
        "plan": None if plan is None else _plan_document(plan, manifest.stages),
        "processors": promise_document(manifest),
    }


def print_export(
    order: ExportOrder, exported: Exported, selections: Sequence[Selection], *, tuned: bool
) -> None:
    """Print parity, INT8, memory and the plan. tuned: whether windows were timed."""
    manifest = exported.bundle.manifest
    _print_parity(
        f"parity of {order.network.name} {order.precision} with {exported.reference}, "
        "on onnxruntime",
        exported.parity,
    )
    if manifest.quantization is not None:
        print_int8(manifest.quantization, manifest.calibration)
        for selection in selections:
            print_sensitivity(selection)
    size = (order.height, order.width)
    _print_memory(f"memory at {format_size(*size)}, computed from the graph", manifest.memory)
    plan = manifest.plan
    if order.precision is Precision.INT8:
        for text in int8_notes(order.network, manifest.memory, whole=plan is None):
            note(text)
    if plan is not None:
        from edgeunet.bundle.figures import report_of_bundle

        print_plan(report_of_bundle(exported.bundle))
        note(f"predicted on {plan.engine}: {format_bytes(plan.predicted_bytes)}")
    print_promise(manifest)
    if plan is None and not order.request.whole:
        note(why_whole(order.request, size, tuned=tuned))
    advice = None
    if manifest.cpu is not None:
        advice = about_int8(order.precision, processors_of(order.cpu))
    if advice is not None:
        note(advice)
    if order.precision is Precision.FP16:
        note(
            "onnxruntime computes fp16 in fp32 on most CPUs: there parity shows the graph is right"
        )


def about_int8(precision: Precision, processors: Sequence[ProcessorClass]) -> str | None:
    """Return a sentence about what INT8 gains on the processors of an export; None for no gain.

    For the figures see docs/findings/latency.md and docs/findings/int8.md.
    """
    fast = [one for one in processors if one.fast_in_int8]
    if precision is Precision.FP16 or (precision is Precision.FP32 and not fast):
        return None
    if len(processors) == 1:
        where = f"on {processors[0].title}"
    elif len(fast) == len(processors):
        where = "on these processors"
    else:
        where = "on processors with 8-bit dot products (VNNI on x86-64, asimddp on ARM64)"
    if precision is Precision.FP32:
        return (
            f"{where} int8 takes about half the time of fp32, for about 0.1 dB: export --int8 "
            "measures the loss"
        )
    if not fast:
        return f"{where} int8 takes about as long as fp32, and more memory"
    if len(fast) == len(processors):
        return f"{where} int8 takes about half the time of fp32"
    return f"{where} int8 takes about half the time of fp32; on others about as long"


def _contract_document(network: ForeignNetwork | None) -> dict[str, Any] | None:
    """Return what every tensor of a foreign file is, in the words of the options."""
    if network is None:
        return None
    return {
        "file": network.file,
        "sha256": network.sha256,
        "inputs": {entry.name: str(entry) for entry in network.inputs},
        "outputs": {entry.name: str(entry) for entry in network.pathways}
        | dict.fromkeys(network.left_out, "none"),
    }


def print_contract(
    network: ForeignNetwork, frame_size: tuple[int, int], precision: Precision
) -> None:
    """Print what every tensor of a foreign file is, and what it becomes in the bundle."""
    rows = [("input", i.name, str(i), _input_text(i, frame_size)) for i in network.inputs]
    rows += [("output", o.name, str(o), _answer_text(o, frame_size)) for o in network.pathways]
    rows += [("output", name, "none", "-") for name in network.left_out]
    print_table(
        f"contract of {network.file}; --input and --output change it",
        ("", "in the file", "is", "in the bundle"),
        rows,
        text_columns=4,
    )
    if network.halves and precision is not Precision.FP16:
        note(f"{network.file} has 16-bit floats; the bundle has its numbers as 32-bit floats")
    if network.remembers:
        note(
            f"{network.file} reads the {network.earlier + 1} newest frames; before the first one "
            "of a clip it reads that one again. An answer comes with the newest frame, whichever "
            "of them it is about"
        )


def _input_text(entry: ForeignInput, size: tuple[int, int]) -> str:
    if entry.fill is not None:
        return "the same for all frames"
    picture = f"{format_size(*size)} BGR"
    if entry.level is not None:
        picture += f", and a channel of {entry.level:g}"
    if entry.frames > 1:
        return f"frame and the {entry.frames - 1} before it, {picture}"
    return f"the frame {entry.earlier} before, {picture}" if entry.earlier else f"frame, {picture}"


def _answer_text(entry: ForeignOutput, size: tuple[int, int]) -> str:
    height, width = (side * entry.scale for side in size)
    if entry.head is Task.DENOISE:
        return f"{entry.output}, {format_size(height, width)} BGR"
    if entry.head is Task.SEGMENT:
        return f"{entry.output}, {format_size(height, width)} class numbers"
    return f"{entry.output}, {len(entry.classes)} {'probabilities' if entry.softmax else 'numbers'}"


def _print_parity(title: str, figures: Sequence[ParityFigure]) -> None:
    print_table(
        title,
        ("frame", "output", "measure", "value", "limit"),
        [
            (
                f.frame,
                f.output,
                _METRICS[f.metric],
                "equal" if f.value is None else f"{f.value:.4g}",
                "-" if f.limit is None else f"{f.limit:.4g}",
            )
            for f in figures
        ],
        text_columns=3,
    )


def _print_memory(title: str, memory: MemoryEntry) -> None:
    figures = {
        "skip bytes": memory.skip_bytes,
        "peak live bytes": memory.peak_live_bytes,
        "arena bytes": memory.arena_bytes,
        "I/O bytes": memory.io_bytes,
        "weight bytes": memory.weight_bytes,
    }
    print_table(title, tuple(figures), [tuple(map(format_bytes, figures.values()))], text_columns=0)


def _plan_document(plan: FramePlanEntry, stages: Sequence[StageEntry]) -> dict[str, Any]:
    return {
        "level": plan.level,
        "recompute_ratio": plan.recompute_ratio,
        "engine": plan.engine,
        "predicted_bytes": plan.predicted_bytes,
        "budget_bytes": plan.budget_bytes,
        "stages": [
            {
                "name": stage.name,
                "tile": None
                if stage.window is None
                else format_size(stage.window.height, stage.window.width),
            }
            for stage in stages
        ],
    }
