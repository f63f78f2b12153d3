"""``edgeunet memory``: what a network, a bundle or an ONNX file needs, before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from edgeunet.analysis.board_fit import fit_on
from edgeunet.boards import find_board
from edgeunet.cli.choices import is_bundle, missing_package, read_plan_request, read_width
from edgeunet.cli.console import note, print_json
from edgeunet.cli.memory_device import device_document, predicted_plans, print_device, print_fit
from edgeunet.cli.memory_tables import print_report, why_whole
from edgeunet.cli.options import AsJson
from edgeunet.errors import UsageError
from edgeunet.planning.request import PlanRequest
from edgeunet.specs import Precision
from edgeunet.units import format_size, parse_size

if TYPE_CHECKING:
    from edgeunet.analysis.memory_report import MemoryReport
    from edgeunet.recipes import Recipe


@dataclass(frozen=True)
class _Wanted:
    """What the command line says about the graph; None where it says nothing.

    planned: a plan is asked for. fixed: one that only a MODEL can have.
    """

    size: tuple[int, int] | None
    precision: Precision | None
    width: int | None
    request: PlanRequest
    planned: bool
    fixed: bool


@dataclass(frozen=True)
class _Subject:
    """A report, what can be run of it, and for a plan the report of the whole frame."""

    report: MemoryReport
    runnable: Path | None
    whole: MemoryReport | None = None


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
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            metavar="BYTES",
            help="Plan a MODEL for this much activation memory, like 128MiB.",
        ),
    ] = None,
    tile: Annotated[
        str | None,
        typer.Option("--tile", metavar="HxW|auto|none", help="Windows a MODEL is run in."),
    ] = None,
    board: Annotated[
        str | None,
        typer.Option(
            "--board",
            metavar="ID",
            help="Say whether it fits a Jetson module; plan a MODEL for its usable memory.",
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Also run it here and measure what the engine takes."),
    ] = False,
    engine: Annotated[
        str, typer.Option("--engine", help="What --measure runs: auto, onnxruntime or tensorrt.")
    ] = "auto",
    plot: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Draw the timeline as .png or .svg; give it twice for both.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how much memory a network needs, where, and for what."""
    wanted = _Wanted(
        size=None if size is None else parse_size(size),
        precision=precision,
        width=read_width(width),
        request=read_plan_request(budget, tile, board),
        planned=not budget is tile is board is None,
        fixed=not budget is tile is None,
    )
    if engine != "auto" and not measure:
        raise UsageError(
            f"--engine {engine} says what to measure with, and nothing is measured",
            hint="add --measure, or leave it out",
        )
    pictures = tuple(plot or ())
    _check_pictures(pictures)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="edgeunet-")))
        subject = _subject(target, wanted, folder if measure else None, draws=bool(pictures))
        measured = None
        if measure and subject.runnable is not None:
            from edgeunet.run.measured import measure as measure_frames

            note("measuring: running frames in a process of its own ...")
            measured = measure_frames(subject.runnable, engine=engine)
            if measured.engine == "onnxruntime" and subject.report.precision is Precision.FP16:
                note("onnxruntime computes fp16 in fp32 on most CPUs: the estimate is for a GPU")
    if pictures:
        from edgeunet.analysis.memory_plot import draw

        draw([r for r in (subject.whole, subject.report) if r is not None], pictures)
        for path in pictures:
            note(f"wrote {path}")
    device = None if measured is None else measured.device
    plans = {}
    if device is not None and subject.runnable is not None:
        plans = predicted_plans(subject.runnable)
    fit = None if board is None else fit_on(subject.report, find_board(board))
    if as_json:
        document = subject.report.document()
        if fit is not None:
            document["board"] = fit.document()
        if measured is not None:
            if device is not None:
                document["device"] = device_document(device, plans)
            document["measured_bytes"] = measured.measured_bytes
        print_json(document)
        return
    print_report(subject.report, measured)
    if device is not None:
        print_device(device, plans)
    if fit is not None:
        print_fit(fit)


def _check_pictures(paths: Sequence[Path]) -> None:
    """Refuse names that cannot be drawn before the work is done."""
    if not paths:
        return
    try:
        from edgeunet.analysis.memory_plot import check_suffix
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="--plot", extra="plot") from error
    for path in paths:
        check_suffix(path)


def _subject(target: str, wanted: _Wanted, folder: Path | None, *, draws: bool) -> _Subject:
    """Analyse what the target names.

    folder: a recipe's bundle is written there, if given. draws: a plan is drawn beside the whole
    frame, which is then analysed as well.
    """
    path = Path(target)
    if path.suffix.lower() == ".onnx":
        return _of_file(path, wanted)
    if is_bundle(target):
        return _of_bundle(path, wanted)
    return _of_recipe(target, wanted, folder, draws=draws)


def _of_file(path: Path, wanted: _Wanted) -> _Subject:
    from edgeunet.analysis.memory_report import analyse
    from edgeunet.graph.summary import view_of_file

    report = analyse(view_of_file(path), model=path.name)
    _refuse_contradictions(path.name, "file", wanted, report)
    return _Subject(report, path)


def _of_bundle(path: Path, wanted: _Wanted) -> _Subject:
    from edgeunet.bundle import open_bundle
    from edgeunet.bundle.figures import report_of_bundle

    report = report_of_bundle(open_bundle(path))
    _refuse_contradictions(path.name, "bundle", wanted, report)
    return _Subject(report, path)


def _of_recipe(target: str, wanted: _Wanted, folder: Path | None, *, draws: bool) -> _Subject:
    from edgeunet.recipes import load_recipe

    recipe = load_recipe(target).with_width(wanted.width)
    try:
        return _of_loaded_recipe(recipe, wanted, folder, draws=draws)
    except ModuleNotFoundError as error:
        purpose = f"making the graph of {recipe.name}"
        raise missing_package(error, purpose=purpose, extra="export") from error


def _of_loaded_recipe(
    recipe: Recipe, wanted: _Wanted, folder: Path | None, *, draws: bool
) -> _Subject:
    from edgeunet.convert.exporting import ExportOrder, draft_bundle
    from edgeunet.convert.network_graph import graphs_of_recipe
    from edgeunet.convert.network_plan import report_of_frame, report_of_request

    height, width = wanted.size or recipe.export.size
    precision = wanted.precision or Precision.FP32
    graphs = graphs_of_recipe(recipe)
    plan, whole = None, None
    if wanted.planned:
        plan, report = report_of_request(graphs, height, width, precision, wanted.request)
        if not plan.tiled and not wanted.request.whole:
            note(why_whole(wanted.request, (height, width)))
        if plan.tiled and draws:
            whole = report_of_frame(graphs, height, width, precision)
    else:
        report = report_of_frame(graphs, height, width, precision)
    if folder is None:
        return _Subject(report, None, whole)
    order = ExportOrder(recipe, height, width, precision, request=wanted.request)
    target = folder / f"{recipe.name}.bundle"
    return _Subject(report, draft_bundle(order, target, graphs=graphs, plan=plan).path, whole)


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
    if wanted.fixed:
        raise UsageError(
            f"--budget and --tile cannot change {name}: it is planned already", hint=hint
        )
    if wanted.width is not None:
        raise UsageError(f"--width cannot change {name}: its channels are fixed", hint=hint)
