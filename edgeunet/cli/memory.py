"""``edgeunet memory``: what a network, a bundle or an ONNX file needs, before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from edgeunet.cli.choices import missing_package, read_width
from edgeunet.cli.console import note, print_json, print_table
from edgeunet.errors import BundleError, UsageError
from edgeunet.specs import Precision
from edgeunet.units import format_bytes, format_size, parse_size

if TYPE_CHECKING:
    from edgeunet.engine.measure import Measurement
    from edgeunet.memory.report import MemoryReport

_BAR_CELLS = 24


@dataclass(frozen=True)
class _Wanted:
    """What the command line says about the graph; None where it says nothing."""

    size: tuple[int, int] | None
    precision: Precision | None
    width: int | None


@dataclass(frozen=True)
class _Subject:
    """A report and the files of the graph it is about."""

    report: MemoryReport
    graphs: tuple[Path, ...]


def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|BUNDLE|FILE.onnx",
            help="A recipe's name or .toml file, a bundle folder, or an ONNX file.",
            show_default=False,
        ),
    ],
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Frame size of a MODEL; the recipe's unless given."),
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Number format of a MODEL; fp32 unless given.")
    ] = None,
    width: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Width of a MODEL: tiny, small, base, or a number of channels."
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Also run it here and measure what the engine takes."),
    ] = False,
    plot: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Draw the timeline as .png or .svg; give it twice for both.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of tables.")
    ] = False,
) -> None:
    """Say how much memory a network needs, where its peak is and what is alive there."""
    wanted = _Wanted(None if size is None else parse_size(size), precision, read_width(width))
    pictures = tuple(plot or ())
    _check_pictures(pictures)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="edgeunet-")))
        subject = _subject(target, wanted, folder if measure else None)
        measured = None
        if measure:
            from edgeunet.engine.measure import measure as measure_graphs

            note("measuring: running the graph in a process of its own ...")
            measured = measure_graphs(subject.graphs)
            if measured.engine == "onnxruntime" and subject.report.precision is Precision.FP16:
                note("onnxruntime computes fp16 in fp32 on most CPUs: the estimate is for a GPU")
    if pictures:
        from edgeunet.memory.plot import draw

        draw([subject.report], pictures)
        for path in pictures:
            note(f"wrote {path}")
    if as_json:
        document = subject.report.document()
        if measured is not None:
            document["measured_bytes"] = measured.measured_bytes
        print_json(document)
    else:
        _print_report(subject.report, measured)


def _check_pictures(paths: Sequence[Path]) -> None:
    """Refuse names that cannot be drawn before the work is done."""
    if not paths:
        return
    try:
        from edgeunet.memory.plot import check_suffix
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="--plot", extra="plot") from error
    for path in paths:
        check_suffix(path)


def _subject(target: str, wanted: _Wanted, folder: Path | None) -> _Subject:
    """Analyse what the target names; a recipe's graph is written to ``folder`` if given."""
    path = Path(target)
    if path.suffix.lower() == ".onnx":
        return _of_file(path, wanted)
    from edgeunet.bundle.manifest import FILE_NAME
    from edgeunet.recipes import recipe_names

    looks_like_folder = target.endswith("/") or path.suffix == ".bundle" or path.is_dir()
    is_bundle = (path / FILE_NAME).is_file()
    if is_bundle or (looks_like_folder and target not in recipe_names()):
        return _of_bundle(path, wanted)
    return _of_recipe(target, wanted, folder)


def _of_file(path: Path, wanted: _Wanted) -> _Subject:
    from edgeunet.graph.view import view_of_file
    from edgeunet.memory.report import analyse

    report = analyse(view_of_file(path), model=path.name)
    _refuse_contradictions(path.name, "file", wanted, report)
    return _Subject(report, (path,))


def _of_bundle(path: Path, wanted: _Wanted) -> _Subject:
    from edgeunet.bundle import open_bundle
    from edgeunet.graph.view import view_of_file
    from edgeunet.memory.report import analyse

    bundle = open_bundle(path)
    manifest = bundle.manifest
    if len(manifest.stages) != 1:
        raise BundleError(
            f"{path.name} runs in {len(manifest.stages)} stages; this version analyses one",
            hint="analyse one of its graphs: edgeunet memory BUNDLE/STAGE.onnx",
        )
    graph = bundle.file(manifest.stages[0].graph)
    report = replace(
        analyse(view_of_file(graph), model=manifest.name),
        frame=(manifest.height, manifest.width),
        precision=manifest.precision,
    )
    _refuse_contradictions(path.name, "bundle", wanted, report)
    return _Subject(report, (graph,))


def _of_recipe(target: str, wanted: _Wanted, folder: Path | None) -> _Subject:
    from edgeunet.recipes import load_recipe

    recipe = load_recipe(target).with_width(wanted.width)
    try:
        from edgeunet.convert.network_graph import graph_of_recipe
        from edgeunet.graph.view import view_of_model, write_model
    except ModuleNotFoundError as error:
        purpose = f"making the graph of {recipe.name}"
        raise missing_package(error, purpose=purpose, extra="export") from error
    from edgeunet.memory.report import analyse

    height, width = wanted.size or recipe.export.size
    model = graph_of_recipe(recipe, height, width, wanted.precision or Precision.FP32)
    report = analyse(view_of_model(model), model=recipe.name)
    if folder is None:
        return _Subject(report, ())
    graph = folder / "graph.onnx"
    write_model(model, graph)
    return _Subject(report, (graph,))


def _refuse_contradictions(name: str, kind: str, wanted: _Wanted, report: MemoryReport) -> None:
    """A file is what it is: say so instead of ignoring an option."""
    hint = f"leave the option out, or give a model's name instead of a {kind}"
    if wanted.size is not None and wanted.size != report.frame:
        fixed = f"is fixed at {report.size}" if report.frame else "has no frame input"
        raise UsageError(
            f"--size {format_size(*wanted.size)} contradicts {name}, which {fixed}", hint=hint
        )
    if wanted.precision is not None and wanted.precision is not report.precision:
        raise UsageError(
            f"--precision {wanted.precision} contradicts {name}, which is {report.precision}",
            hint=hint,
        )
    if wanted.width is not None:
        raise UsageError(f"--width cannot change {name}: its channels are fixed", hint=hint)


def _print_report(report: MemoryReport, measured: Measurement | None) -> None:
    facts = " · ".join(fact for fact in (report.model, report.size, report.precision) if fact)
    view_gain = (
        f"; reshapes that copied would add {format_bytes(report.view_gain_bytes)}"
        if report.view_gain_bytes
        else ""
    )
    figures = [
        ("skip", "encoder tensors held for the decoder when the bottleneck starts", "skip_bytes"),
        ("peak live", f"most that is alive at once, a lower bound{view_gain}", "peak_live_bytes"),
        (
            "arena",
            f"the peak with real offsets, {report.plan.alignment_bytes} B aligned "
            f"({report.arena_gap_percent:+.1f} % on the peak)",
            "arena_bytes",
        ),
        ("input/output", "the caller's buffers, not in the peak", "io_bytes"),
        ("weights", "stored in the graph, not in the peak", "weight_bytes"),
    ]
    print_table(
        f"{facts}: estimated from the graph",
        ("figure", "what it is", "estimated"),
        [(name, what, format_bytes(getattr(report, key))) for name, what, key in figures],
        text_columns=2,
    )
    if measured is not None:
        _print_measured(measured)
    _print_peak(report)
    _print_timeline(report)


def _print_measured(measured: Measurement) -> None:
    above = "process high-water mark above the loaded engine, outputs included"
    print_table(
        f"measured: {measured.engine}, {len(measured.frames_bytes)} frames, a process of its own",
        ("figure", "what it is", "measured"),
        [
            ("first frame", above, format_bytes(measured.first_frame_bytes)),
            ("later frames", "the same, the highest of them", format_bytes(measured.steady_bytes)),
        ],
        text_columns=2,
    )


def _print_peak(report: MemoryReport) -> None:
    step = report.steps[report.peak_step]
    alive = sorted(report.live_at_peak, key=lambda tensor: (tensor.role, -tensor.size_bytes))
    where = f"step {step.index} of {len(report.steps)}"
    print_table(
        f"alive at the peak: {step.node} ({step.op_type}), {where}",
        ("role", "tensor", "shape", "type", "steps", "size"),
        [
            (
                str(tensor.role),
                tensor.name,
                "x".join(map(str, tensor.shape)),
                tensor.dtype,
                f"[{tensor.start}, {tensor.end})",
                format_bytes(tensor.size_bytes),
            )
            for tensor in alive
        ],
        text_columns=4,
    )


def _print_timeline(report: MemoryReport) -> None:
    rows = []
    for summary in report.summaries:
        stage, peak = summary.stage, summary.peak
        rows.append(
            (
                f"{stage.part} {stage.label}",
                _bar(peak.skip_bytes, peak.live_bytes, report.peak_live_bytes),
                f"[{stage.start}, {stage.end})",
                format_bytes(peak.live_bytes),
                format_bytes(peak.skip_bytes),
            )
        )
    print_table(
        "through the network: the peak of every level (█ skips, ░ working set)",
        ("level", "live", "steps", "peak", "skips"),
        rows,
        text_columns=2,
    )


def _bar(skip_bytes: int, live_bytes: int, peak_bytes: int) -> str:
    cells = _BAR_CELLS / max(1, peak_bytes)
    skip, live = round(skip_bytes * cells), round(live_bytes * cells)
    return "█" * skip + "░" * (live - skip)
