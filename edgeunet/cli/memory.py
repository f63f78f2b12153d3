"""``edgeunet memory``: the memory that a network, a bundle or an ONNX file needs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from edgeunet.analysis.board_fit import fit_on
from edgeunet.boards import find_board
from edgeunet.bundle import open_bundle
from edgeunet.choosing.memory import Wanted, subject_of
from edgeunet.choosing.networks import is_bundle, missing_package
from edgeunet.choosing.plan_choice import cpu_choice, planned_engine
from edgeunet.cli.choices import read_width, read_windows
from edgeunet.cli.console import note, print_json
from edgeunet.cli.memory_bundle import (
    Measuring,
    measured_by,
    memory_from_manifest,
    print_promise,
    promise_document,
    reads_no_graphs,
)
from edgeunet.cli.memory_device import device_document, print_device, print_fit
from edgeunet.cli.memory_tables import print_report, why_whole
from edgeunet.cli.options import AsJson, Budget, Cpu, Size, Threads, Tile, Width, Workers
from edgeunet.cli.tensorrt_table import predicted_bytes
from edgeunet.errors import UsageError
from edgeunet.specs import Precision
from edgeunet.units import parse_bytes, parse_size


def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|BUNDLE|FILE.onnx",
            help="A recipe's name or .toml file, a bundle folder, or an ONNX file.",
            show_default=False,
        ),
    ],
    size: Size = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Number format of a MODEL; default: fp32.")
    ] = None,
    width: Width = None,
    budget: Budget = None,
    cpu: Cpu = None,
    tile: Tile = None,
    workers: Workers = None,
    board: Annotated[
        str | None,
        typer.Option(
            "--board",
            metavar="ID",
            help="Check whether it fits a Jetson module; plan a MODEL for its usable memory.",
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Also run it here and measure the memory of the engine."),
    ] = False,
    engine: Annotated[
        str, typer.Option("--engine", help="Engine of --measure: auto, onnxruntime or tensorrt.")
    ] = "auto",
    threads: Threads = None,
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
    """Compute how much memory a network needs, where, and for what."""
    # A bundle is planned already: its workers are those that run it.
    run_by = workers if is_bundle(target) else None
    wanted = Wanted(
        size=None if size is None else parse_size(size),
        precision=precision,
        width=read_width(width),
        budget_bytes=None if budget is None else parse_bytes(budget),
        windows=read_windows(tile),
        board=board,
        cpu=cpu_choice(cpu, board, planned_engine(precision)),
        workers=workers if run_by is None else None,
    )
    if not measure:
        _refuse_unmeasured(engine, threads, run_by)
    measuring = Measuring(engine, threads, run_by) if measure else None
    pictures = tuple(plot or ())
    _check_pictures(pictures)
    if reads_no_graphs(target) and not pictures:
        memory_from_manifest(Path(target), wanted, measuring, board=board, as_json=as_json)
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="edgeunet-")))
        subject = subject_of(
            target, wanted, folder=folder if measure else None, compares=bool(pictures)
        )
        if subject.taken:
            note(subject.taken)
        if subject.runs_whole is not None and subject.report.frame is not None:
            note(why_whole(subject.runs_whole, subject.report.frame))
        measured = None
        if measuring is not None and subject.runnable is not None:
            measured = measured_by(measuring, subject.runnable)
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
        plans = predicted_bytes(open_bundle(subject.runnable))
    fit = None if board is None else fit_on(subject.report, find_board(board))
    manifest = open_bundle(Path(target)).manifest if is_bundle(target) else None
    if as_json:
        document = subject.report.document()
        if manifest is not None:
            document["processors"] = promise_document(manifest)
        if fit is not None:
            document["board"] = fit.document()
        if measured is not None:
            if device is not None:
                document["device"] = device_document(device, plans)
            if measured.predicted_bytes is not None:
                document["predicted_here_bytes"] = measured.predicted_bytes
            document["measured_bytes"] = measured.measured_bytes
        print_json(document)
        return
    print_report(subject.report, measured)
    if manifest is not None:
        print_promise(manifest)
    if device is not None:
        print_device(device, plans)
    if fit is not None:
        print_fit(fit)


def _refuse_unmeasured(engine: str, threads: int | None, workers: int | None) -> None:
    """Raise UsageError for options that only say how it is measured."""
    given = {"engine": None if engine == "auto" else engine, "threads": threads, "workers": workers}
    for option, value in given.items():
        if value is not None:
            raise UsageError(
                f"--{option} {value} says what to measure with, and nothing is measured",
                hint="add --measure, or leave it out",
            )


def _check_pictures(paths: Sequence[Path]) -> None:
    """Raise UsageError for file names that cannot be drawn, before the work is done."""
    if not paths:
        return
    try:
        from edgeunet.analysis.memory_plot import check_suffix
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="--plot", extra="plot") from error
    for path in paths:
        check_suffix(path)
