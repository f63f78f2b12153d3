"""Export a recipe to a bundle on disk."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Protocol

import msgspec

from edgeunet import __version__
from edgeunet.analysis.memory_report import analyse
from edgeunet.bundle import Bundle, check_target, write_bundle
from edgeunet.bundle.manifest import (
    SCHEMA_VERSION,
    ClassEntry,
    FramePlanEntry,
    Manifest,
    MemoryEntry,
    OutputEntry,
    ParityEntry,
    StageEntry,
    StateEntry,
)
from edgeunet.bundle.tensors import buffer_bytes
from edgeunet.contracts import ForeignNetwork
from edgeunet.convert import remembering_parity
from edgeunet.convert.int8_order import Int8Order
from edgeunet.convert.kernel_parity import check_kernels, require_kernels
from edgeunet.convert.network_graph import (
    Graphs,
    check_frame_size,
    check_precision,
    graphs_of_recipe,
    within_memory,
)
from edgeunet.convert.network_plan import TimeGraph, plan_frames, report_of, target_of
from edgeunet.convert.parity import (
    ParityFigure,
    check_parity,
    packed_sheet,
    parity_sheets,
    require_parity,
    shortfalls,
)
from edgeunet.convert.quantizing import make_quantizer, quantization_entry
from edgeunet.convert.staging import cpu_entry, memory_entry, plan_entry, write_stages, write_whole
from edgeunet.errors import UsageError
from edgeunet.files import check_writable, naming
from edgeunet.graph.for_engine import finish, read_frame_late
from edgeunet.graph.summary import view_of_model
from edgeunet.network_facts import NetworkFacts
from edgeunet.planning.frame_plan import FramePlan
from edgeunet.planning.processor_memory import memory_of_graph
from edgeunet.planning.request import WHOLE_FRAME, PlanRequest
from edgeunet.processors import processors_of
from edgeunet.recipes import Recipe
from edgeunet.specs import (
    COUNT,
    COUNT_NEXT,
    FUSED,
    FUSED_NEXT,
    PREVIOUS,
    Engine,
    FrameType,
    Precision,
    Task,
    earlier_frame,
)

_TOOLS = ("torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "numpy")


class Runner(remembering_parity.RememberingRunner, Protocol):
    """A loaded bundle: maps a frame, (H, W, 3) uint8 BGR, to its outputs by name."""

    def close(self) -> None: ...


class OpenRunner(Protocol):
    """Loads a bundle into the engine that parity is checked on.

    integer_kernels: whether INT8 is computed by them, or in floats between the quantizers.
    """

    def __call__(self, bundle: Bundle, *, integer_kernels: bool = True) -> Runner: ...


@dataclass(frozen=True)
class Exported:
    """A written bundle and the figures of its parity check.

    reference: what it was compared with.
    """

    bundle: Bundle
    parity: list[ParityFigure]
    reference: str


@dataclass(frozen=True)
class ExportOrder:
    """The options of an export.

    network: a recipe, or a foreign network.
    height, width: of the frame, in pixels.
    weights: a recipe's safetensors file, or None for random weights.
    request: whole frames, or windows.
    time_graph: if given, the fastest windows are chosen by timing; otherwise those with the least
        arithmetic.
    int8: options of the quantization, for INT8.
    frame_type: type of the frames that the graphs read.
    cpu: the processors that the memory is promised for; see ``processors.processors_of``.
    """

    network: NetworkFacts
    height: int
    width: int
    precision: Precision
    weights: Path | None = None
    request: PlanRequest = WHOLE_FRAME
    time_graph: TimeGraph | None = None
    int8: Int8Order | None = None
    frame_type: FrameType = FrameType.UINT8
    cpu: str | None = None


def export_bundle(
    order: ExportOrder,
    target: Path,
    *,
    open_runner: OpenRunner,
    graphs: Graphs | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Exported:
    """Export a network, check parity, analyse memory, and write ``target`` whole or not at all.

    graphs: of the order's network; made here for a recipe unless given.
    report: called with sentences about the progress.

    Raises WeightsError and ParityError, UsageError for an impossible frame size or precision,
    BudgetError when nothing fits, BundleError when ``target`` must not be replaced, OSError when it
    cannot be written, and EdgeUnetError when the memory is too small.
    """
    check_precision(order.precision, order.int8)
    _check_remembering(order)
    check_frame_size(order.network, order.height, order.width)
    check_target(target)
    check_writable(target)
    with (
        within_memory(order.network, order.height, order.width),
        tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch,
    ):
        if graphs is None:
            report("building the network")
            graphs = _graphs(order)
        draft = _draft(order, graphs, Path(scratch) / target.name, report)
        reference = graphs.reference(order.height, order.width)
        report(f"comparing with {reference.title}")
        sheets = parity_sheets(order.height, order.width)
        with contextlib.closing(open_runner(draft)) as runner:
            figures = graphs.further_parity(order.height, order.width)
            if order.network.remembers and isinstance(reference, remembering_parity.ClipReference):
                figures += remembering_parity.check_clips(
                    reference, runner, order.network, order.precision, sheets
                )
            else:
                figures += check_parity(
                    reference, runner.run, order.network, order.precision, sheets
                )
            require_parity(figures, reference.title)
            if order.precision is Precision.INT8:
                report("comparing the integer kernels with floats")
                with contextlib.closing(open_runner(draft, integer_kernels=False)) as floats:
                    sheet = packed_sheet(order.height, order.width)
                    if order.network.remembers:
                        sheet = remembering_parity.after_a_clip(sheet, runner, floats)
                    kernels = check_kernels(runner.run, floats.run, order.network, sheet)
                require_kernels(kernels)
                figures += kernels
        for text in shortfalls(figures, order.network):
            report(text)
        report("writing the bundle")
        manifest = msgspec.structs.replace(
            draft.manifest, parity=tuple(_parity_entry(figure) for figure in figures)
        )
        files: dict[str, bytes | Path] = {name: draft.file(name) for name in draft.manifest.files}
        bundle = write_bundle(target, manifest, files)
    return Exported(bundle, figures, reference.title)


def draft_bundle(
    order: ExportOrder,
    target: Path,
    *,
    graphs: Graphs | None = None,
    plan: FramePlan | None = None,
) -> Bundle:
    """Write a bundle without a parity check, to measure memory and time.

    graphs: of the order's network, if they exist already.
    plan: of this order, if it exists already.
    Raises the errors of ``export_bundle``.
    """
    check_precision(order.precision, order.int8)
    _check_remembering(order)
    check_frame_size(order.network, order.height, order.width)
    with within_memory(order.network, order.height, order.width):
        return _draft(order, graphs or _graphs(order), target, lambda text: None, plan)


def _graphs(order: ExportOrder) -> Graphs:
    if not isinstance(order.network, Recipe):
        raise TypeError("the graphs of a foreign network are given")
    return graphs_of_recipe(order.network, order.weights, order.frame_type)


def _check_remembering(order: ExportOrder) -> None:
    """Raise UsageError for what networks that remember frames do not have."""
    if order.frame_type is FrameType.FLOAT32 and order.network.remembers:
        raise UsageError(
            f"{order.network.name} remembers frames in bytes, so it has no float frames",
            hint="leave --frame float out",
        )


def _draft(
    order: ExportOrder,
    graphs: Graphs,
    target: Path,
    report: Callable[[str], None],
    plan: FramePlan | None = None,
) -> Bundle:
    facts, engine = order.network, target_of(order.precision)
    processors = processors_of(order.cpu)
    quantizer = None
    if order.int8 is not None:
        quantizer = make_quantizer(order.int8, graphs, report)
        engine = quantizer.engine
    if plan is None and (order.request != WHOLE_FRAME or order.network.remembers):
        report("planning")
        plan = plan_frames(
            graphs,
            order.height,
            order.width,
            order.precision,
            order.request,
            time_graph=order.time_graph,
            quantizer=quantizer,
            processors=processors,
        )
    report("exporting to ONNX")
    on_cpu = engine is Engine.ONNXRUNTIME
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch:
        folder = Path(scratch)
        with naming(folder):
            if plan is None or not plan.staged:
                size = (order.height, order.width)
                model = graphs.at(*size, order.precision, quantizer)
                finish(model, engine, processors)
                figures = analyse(view_of_model(model), model=facts.name)
                read_frame_late(model, engine)
                stages = write_whole(model, folder)
                view = view_of_model(model)
                taken = memory_of_graph(view, processors) if on_cpu else ()
                entry = None
            else:
                stages = write_stages(plan, folder)
                figures = report_of(plan, facts.name, order.precision)
                taken = plan.memory if on_cpu else ()
                entry = plan_entry(plan, order.request.budget_bytes)
        region = max((one.region_bytes for one in taken), default=0)
        memory = memory_entry(figures, region)
        manifest = _manifest(order, target.name.removesuffix(".bundle"), stages, memory, entry)
        if taken:
            budget = order.request.activation_bytes(memory.weight_bytes)
            beside = _beside_engine(manifest, plan)
            promise = cpu_entry(order.cpu, budget, taken, beside)
            manifest = msgspec.structs.replace(manifest, cpu=promise)
        if order.int8 is not None and quantizer is not None:
            manifest = msgspec.structs.replace(
                manifest,
                calibration=order.int8.calibration.name,
                quantization=quantization_entry(order.int8, quantizer),
            )
        return write_bundle(target, manifest, {s.graph: folder / s.graph for s in stages})


def _beside_engine(manifest: Manifest, plan: FramePlan | None) -> int:
    """Return the bytes of the buffers: frame, outputs, held tensors, and the current window."""
    if plan is None or not plan.staged:
        return buffer_bytes(manifest)
    return plan.prediction.total_bytes - plan.prediction.engine_bytes


def _manifest(
    order: ExportOrder,
    name: str,
    stages: tuple[StageEntry, ...],
    memory: MemoryEntry,
    plan: FramePlanEntry | None,
) -> Manifest:
    network = order.network
    foreign = network if isinstance(network, ForeignNetwork) else None
    weights, digest = "random", ""
    if foreign is not None:
        weights, digest = foreign.file, foreign.sha256
    elif order.weights is not None:
        weights = order.weights.name
        digest = hashlib.sha256(order.weights.read_bytes()).hexdigest()
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        recipe=network if isinstance(network, Recipe) else None,
        foreign=foreign,
        weights=weights,
        weights_sha256=digest,
        height=order.height,
        width=order.width,
        precision=order.precision,
        stages=stages,
        outputs=_outputs(order),
        frame_type=order.frame_type,
        parity=(),
        memory=memory,
        tools=_tool_versions(),
        files={},
        plan=plan,
        states=_states(order.network),
    )


def _parity_entry(figure: ParityFigure) -> ParityEntry:
    return ParityEntry(
        frame=figure.frame,
        output=figure.output,
        metric=figure.metric,
        value=figure.value,
        limit=figure.limit,
    )


def _outputs(order: ExportOrder) -> tuple[OutputEntry, ...]:
    return tuple(
        OutputEntry(
            name=pathway.output,
            task=pathway.head,
            classes=tuple(ClassEntry(name=c.name, colour=c.colour) for c in pathway.classes),
            shape=None
            if pathway.scale == 1
            else (1, order.height * pathway.scale, order.width * pathway.scale, 3),
        )
        for pathway in order.network.pathways
    )


def _states(network: NetworkFacts) -> tuple[StateEntry, ...]:
    """Return what the bundle of a network keeps from frame to frame."""
    if isinstance(network, ForeignNetwork):
        return tuple(
            StateEntry(name=earlier_frame(age), made_by=earlier_frame(age - 1), repeats_first=True)
            for age in range(network.earlier, 0, -1)
        )
    if not isinstance(network, Recipe) or not network.remembers:
        return ()
    denoised = next(one.output for one in network.pathways if one.head is Task.DENOISE)
    found = [
        StateEntry(name=PREVIOUS, made_by=denoised),
        StateEntry(name=COUNT, made_by=COUNT_NEXT),
    ]
    if network.network.temporal == "fuse":
        found.append(StateEntry(name=FUSED, made_by=FUSED_NEXT))
    return tuple(found)


def _tool_versions() -> dict[str, str]:
    versions = {"edgeunet": __version__, "python": platform.python_version()}
    for name in _TOOLS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
