"""The whole way from a recipe to a bundle on disk."""

from __future__ import annotations

import hashlib
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import onnx_ir as ir

from edgeunet import __version__
from edgeunet.bundle import Bundle, check_target, write_bundle
from edgeunet.bundle.manifest import (
    SCHEMA_VERSION,
    ClassEntry,
    Manifest,
    MemoryEntry,
    OutputEntry,
    ParityEntry,
    StageEntry,
    TensorEntry,
)
from edgeunet.convert.network_graph import (
    check_frame_size,
    check_precision,
    frame_module,
    module_to_graph,
    network_for_export,
    within_memory,
)
from edgeunet.convert.parity import ParityFigure, check_parity, parity_frames, require_parity
from edgeunet.files import check_writable, naming
from edgeunet.graph.values import static_shape
from edgeunet.graph.view import view_of_model
from edgeunet.memory.report import analyse
from edgeunet.recipes import Recipe
from edgeunet.specs import Precision, Session

GRAPH_FILE = "whole.onnx"
_TOOLS = ("torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "numpy")


@dataclass(frozen=True)
class Exported:
    """A written bundle and what its parity check found."""

    bundle: Bundle
    parity: list[ParityFigure]


def export_bundle(
    recipe: Recipe,
    target: Path,
    *,
    height: int,
    width: int,
    precision: Precision,
    open_session: Callable[[Path], Session],
    weights: Path | None,
    report: Callable[[str], None] = lambda text: None,
) -> Exported:
    """Export, check parity, analyse, and write ``target`` whole or not at all.

    weights: a safetensors file, or None for random ones.
    Raises WeightsError and ParityError as their names say, UsageError for a frame of a size or
    a precision this cannot make, BundleError when ``target`` must not be replaced, OSError when
    it cannot be written, EdgeUnetError when the memory is too small.
    """
    check_precision(precision)
    check_frame_size(recipe, height, width)
    check_target(target)
    check_writable(target)
    with within_memory(recipe, height, width):
        return _export(recipe, target, height, width, precision, open_session, weights, report)


def _export(
    recipe: Recipe,
    target: Path,
    height: int,
    width: int,
    precision: Precision,
    open_session: Callable[[Path], Session],
    weights: Path | None,
    report: Callable[[str], None],
) -> Exported:
    report("building the network")
    network = network_for_export(recipe, weights)
    module = frame_module(network, recipe)
    report("exporting to ONNX")
    model = module_to_graph(module, recipe, height, width, precision)
    view = analyse(view_of_model(model), model=recipe.name)
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch:
        graph = Path(scratch) / GRAPH_FILE
        with naming(graph):
            ir.save(model, graph)
        report("comparing with torch FP32")
        with open_session(graph) as session:
            figures = check_parity(module, session, recipe, precision, parity_frames(height, width))
        require_parity(figures)
        report("writing the bundle")
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            name=target.name.removesuffix(".bundle"),
            recipe=recipe,
            weights=weights.name if weights is not None else "random",
            weights_sha256=_weights_digest(weights),
            height=height,
            width=width,
            precision=precision,
            stages=(_whole_frame_stage(model),),
            outputs=_outputs(recipe),
            parity=tuple(
                ParityEntry(
                    frame=f.frame, output=f.output, metric=f.metric, value=f.value, limit=f.limit
                )
                for f in figures
            ),
            memory=MemoryEntry(
                skip_bytes=view.skip_bytes,
                peak_live_bytes=view.peak_live_bytes,
                arena_bytes=view.arena_bytes,
                io_bytes=view.io_bytes,
                weight_bytes=view.weight_bytes,
            ),
            tools=_tool_versions(),
            files={},
        )
        bundle = write_bundle(target, manifest, {GRAPH_FILE: graph.read_bytes()})
    return Exported(bundle, figures)


def _whole_frame_stage(model: ir.Model) -> StageEntry:
    graph = model.graph
    return StageEntry(
        name="whole",
        graph=GRAPH_FILE,
        inputs=tuple(_tensor(value) for value in graph.inputs),
        outputs=tuple(_tensor(value) for value in graph.outputs),
    )


def _tensor(value: ir.Value) -> TensorEntry:
    shape = static_shape(value)
    if shape is None or value.dtype is None or value.name is None:
        raise RuntimeError(f"{value!r} has no static type")
    return TensorEntry(name=value.name, shape=shape, dtype=value.dtype.numpy().name)


def _outputs(recipe: Recipe) -> tuple[OutputEntry, ...]:
    return tuple(
        OutputEntry(
            name=pathway.output,
            task=pathway.head,
            classes=tuple(ClassEntry(name=c.name, colour=c.colour) for c in pathway.classes),
        )
        for pathway in recipe.pathways
    )


def _weights_digest(weights: Path | None) -> str:
    return "" if weights is None else hashlib.sha256(weights.read_bytes()).hexdigest()


def _tool_versions() -> dict[str, str]:
    versions = {"edgeunet": __version__, "python": platform.python_version()}
    for name in _TOOLS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
