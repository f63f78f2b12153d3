"""``edgeunet memory BUNDLE`` on a device: what the manifest says, without reading a graph.

Graphs are read with onnx_ir, which devices do not have. Then there is no timeline and no list of
what is alive at the peak; the figures were computed at the export.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeunet.boards import find_board
from edgeunet.bundle import open_bundle
from edgeunet.choosing.networks import is_bundle
from edgeunet.cli.console import note, print_json, print_table
from edgeunet.cli.memory_device import print_fit
from edgeunet.cli.memory_tables import print_measured
from edgeunet.processors import PROCESSOR_CLASSES, this_processor
from edgeunet.run.promises import promise_of
from edgeunet.units import format_bytes, format_size

if TYPE_CHECKING:
    from edgeunet.bundle.manifest import Manifest
    from edgeunet.choosing.memory import Wanted
    from edgeunet.run.measured import Measurement

_FIGURES = (
    ("skip", "encoder tensors held for the decoder when the bottleneck starts", "skip_bytes"),
    ("peak live", "most that is alive at once, a lower bound", "peak_live_bytes"),
    ("arena", "the peak with real offsets", "arena_bytes"),
    ("held", "handed from stage to stage, within peak and arena", "held_bytes"),
    ("input/output", "the caller's buffers, not in the peak", "io_bytes"),
    ("weights", "stored in the graph, not in the peak", "weight_bytes"),
)


@dataclass(frozen=True)
class Measuring:
    """What ``--measure`` runs with.

    engine: its name, or auto.
    threads: of the CPU; None takes every core.
    workers: windows that run at a time; None for those of the bundle's plan.
    """

    engine: str = "auto"
    threads: int | None = None
    workers: int | None = None


def measured_by(measuring: Measuring, target: Path) -> Measurement:
    """Run frames of a bundle or an ONNX file in a process of its own, and say so.

    Raises EngineError when that fails, and UsageError for threads or workers that cannot be.
    """
    from edgeunet.run.measured import measure

    note("measuring: running frames in a process of its own ...")
    return measure(
        target, engine=measuring.engine, threads=measuring.threads, workers=measuring.workers
    )


def reads_no_graphs(target: str) -> bool:
    """Return whether a target is a bundle whose graphs cannot be read here."""
    return is_bundle(target) and importlib.util.find_spec("onnx_ir") is None


def print_promise(manifest: Manifest) -> None:
    """Print what onnxruntime is expected to take on each class of processors."""
    cpu = manifest.cpu
    if cpu is None:
        return
    titles = {one.name: one.title for one in PROCESSOR_CLASSES}
    here = this_processor().name
    budget = "" if cpu.budget_bytes is None else f", budget {format_bytes(cpu.budget_bytes)}"
    print_table(
        f"predicted on onnxruntime, {cpu.threads} threads{budget}",
        ("processor", "predicted", "arena"),
        [
            (
                titles.get(name, name) + (" (this one)" if name == here else ""),
                format_bytes(entry.predicted_bytes),
                format_bytes(entry.region_bytes),
            )
            for entry in cpu.processors
            for name in entry.classes
        ],
        text_columns=1,
    )


def promise_document(manifest: Manifest) -> dict[str, Any] | None:
    """Return the same as ``edgeunet memory --json`` prints it."""
    cpu = manifest.cpu
    if cpu is None:
        return None
    return {
        "cpu": cpu.name,
        "threads": cpu.threads,
        "budget_bytes": cpu.budget_bytes,
        "this_processor": this_processor().name,
        "predicted_bytes": {
            name: entry.predicted_bytes for entry in cpu.processors for name in entry.classes
        },
    }


def memory_from_manifest(
    path: Path, wanted: Wanted, measuring: Measuring | None, *, board: str | None, as_json: bool
) -> None:
    """Print the figures of a bundle's manifest, and measure it if that is asked for.

    Raises UsageError for options that only a MODEL can follow.
    """
    manifest = open_bundle(path).manifest
    size = (manifest.height, manifest.width)
    wanted.refuse_for(path.name, "bundle", size=size, precision=manifest.precision)
    measured = None if measuring is None else measured_by(measuring, path)
    promise = promise_of(manifest)
    fit = None if board is None else _fit(manifest, promise.predicted_bytes, board)
    if as_json:
        document = _document(manifest, promise.predicted_bytes)
        if fit is not None:
            document["board"] = fit.document()
        if measured is not None:
            if measured.predicted_bytes is not None:
                document["predicted_here_bytes"] = measured.predicted_bytes
            document["measured_bytes"] = measured.measured_bytes
        print_json(document)
        return
    _print(manifest, promise.predicted_bytes, measured)
    for line in promise.notes:
        note(line)
    note("from the manifest; a timeline needs the graphs: pip install 'edgeunet[memory]'")
    if fit is not None:
        print_fit(fit)


def _print(manifest: Manifest, predicted: int | None, measured: Measurement | None) -> None:
    size = format_size(manifest.height, manifest.width)
    rows = [
        (name, what, format_bytes(getattr(manifest.memory, key))) for name, what, key in _FIGURES
    ]
    if predicted is not None:
        rows.append(("predicted", "what onnxruntime will take here", format_bytes(predicted)))
    print_table(
        f"{manifest.name}, {size}, {manifest.precision}: computed at the export",
        ("figure", "what it is", "estimated"),
        rows,
        text_columns=2,
    )
    if manifest.plan is not None:
        print_table(
            "the frame plan",
            ("stage", "window"),
            [
                (
                    stage.name,
                    "once"
                    if stage.window is None
                    else format_size(stage.window.height, stage.window.width),
                )
                for stage in manifest.stages
            ],
            text_columns=2,
        )
    print_promise(manifest)
    if measured is not None:
        print_measured(measured)


def _document(manifest: Manifest, predicted: int | None) -> dict[str, Any]:
    return {
        "model": manifest.name,
        "size": format_size(manifest.height, manifest.width),
        "precision": str(manifest.precision),
        **{key: getattr(manifest.memory, key) for _, _, key in _FIGURES},
        "predicted_bytes": predicted,
        "processors": promise_document(manifest),
    }


def _fit(manifest: Manifest, predicted: int | None, board: str) -> Any:
    from edgeunet.analysis.board_fit import BoardFit

    memory = manifest.memory
    activations = max(memory.arena_bytes, predicted or 0)
    return BoardFit(find_board(board), activations, memory.weight_bytes, memory.io_bytes)
