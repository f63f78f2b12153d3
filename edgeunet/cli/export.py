"""``edgeunet export``: export a recipe to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeunet.choosing.export_subject import NetworkOptions, choose_network, export_order
from edgeunet.choosing.foreign import ForeignChoice, is_onnx_file
from edgeunet.cli.build import (
    build_with_defaults,
    check_buildable,
    plans_document,
    print_plans,
)
from edgeunet.cli.choices import (
    read_plan_request,
    read_precision,
    read_width,
)
from edgeunet.cli.console import note, print_json
from edgeunet.cli.export_tables import export_document, print_contract, print_export
from edgeunet.cli.int8 import read_int8, write_sensitivity
from edgeunet.cli.options import AsJson, Budget, Cpu, Size, Tile, Weights, Width, Workers
from edgeunet.cli.triton import check_served, serve_bundle
from edgeunet.errors import UsageError, near_match
from edgeunet.specs import FrameType, Precision
from edgeunet.units import parse_size

if TYPE_CHECKING:
    from edgeunet.convert.sensitivity import Selection

_FRAME_TYPES = {"uint8": FrameType.UINT8, "float": FrameType.FLOAT32}


def command(
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="A recipe's name, or a path to one."),
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option("--onnx", metavar="FILE", help="A network of your own, in place of a MODEL."),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=WORDS",
            help="For --onnx: what an input is: nchw|nhwc,rgb|bgr|gray,0..1,mean=N,std=N, or "
            "fill=N for one that is the same for all frames, earlier=N for the frame N before, "
            "frames=N for several frames in one input, oldest first, level=N for one channel more.",
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            metavar="NAME=WORDS",
            help="For --onnx: what an output is: image, labels (class numbers), logits (a score "
            "per class), vector (numbers as they are) or none; then linear|nearest for logits of "
            "another size, threshold=N for one channel, or words of --input for an image.",
        ),
    ] = None,
    size: Size = None,
    width: Width = None,
    fp32: Annotated[bool, typer.Option("--fp32", help="32-bit floats (default).")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="16-bit floats.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="8-bit integers.")] = False,
    weights: Weights = None,
    random_weights: Annotated[
        bool,
        typer.Option(
            "--random-weights", help="Use untrained weights, to measure memory and speed."
        ),
    ] = False,
    frame: Annotated[
        str,
        typer.Option(
            "--frame",
            metavar="uint8|float",
            help="Type of the input frames; float is for TensorRT before 8.5 (JetPack 4).",
        ),
    ] = "uint8",
    budget: Budget = None,
    cpu: Cpu = None,
    tile: Tile = None,
    workers: Workers = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            "--calibration",
            metavar="SET",
            help="For --int8: a calibration set's name, or its path.",
        ),
    ] = None,
    target_engine: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="onnxruntime|tensorrt",
            help="For --int8: the engine that runs the integer graph.",
        ),
    ] = None,
    max_drop: Annotated[
        str | None,
        typer.Option(
            "--max-drop",
            metavar="dB",
            help="For --int8: largest loss of PSNR; some convolutions stay in floats for it.",
        ),
    ] = None,
    sensitivity: Annotated[
        Path | None,
        typer.Option(
            "--sensitivity",
            metavar="FILE",
            help="For --int8: write the loss of each convolution, as .json, .png or .svg.",
        ),
    ] = None,
    board: Annotated[
        str | None,
        typer.Option(
            "--board", metavar="ID", help="A Jetson module: its usable memory is the budget."
        ),
    ] = None,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune", help="Time windows on this machine; take the fastest plan that fits."
        ),
    ] = False,
    triton: Annotated[
        Path | None,
        typer.Option(
            "--triton",
            metavar="DIR",
            help="Also write the bundle into a Triton model repository; see edgeunet triton.",
        ),
    ] = None,
    build: Annotated[
        bool,
        typer.Option("--build", help="Also build TensorRT plans, for the GPU of this machine."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The bundle folder to write.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Export a network to a bundle, checked against its source."""
    precision = read_precision(fp32=fp32, fp16=fp16, int8=int8)
    frame_type = _read_frame_type(frame, precision)
    wanted = choose_network(
        NetworkOptions(
            model=_named_network(model, onnx),
            size=None if size is None else parse_size(size),
            width=read_width(width),
            weights=weights,
            random_weights=random_weights,
            inputs=tuple(inputs or ()),
            outputs=tuple(outputs or ()),
        ),
        frame_type,
    )
    request = read_plan_request(budget, tile, board, tune=tune, workers=workers)
    if tune:
        _check_tuned(precision)
    selections: list[Selection] = []
    int8_wanted = read_int8(
        precision,
        wanted.network,
        calibration=calibration,
        target=target_engine,
        max_drop=max_drop,
        sensitivity=sensitivity,
        keeps_ranges=wanted.keeps_ranges(calibration),
        on_selection=selections.append,
    )
    if build:
        # Checked before the network is exported, which may take minutes.
        check_buildable()
    target = out if out is not None else wanted.bundle_path(precision)
    if out is None and frame_type is FrameType.FLOAT32:
        target = target.with_name(f"{target.stem}-float{target.suffix}")
    served = None if triton is None else check_served(triton, target, request)
    from edgeunet.run.timing import time_graph

    order = export_order(
        wanted,
        precision,
        request=request,
        int8=int8_wanted,
        cpu=cpu,
        board=board,
        frame_type=frame_type,
        time_graph=time_graph if tune else None,
    )
    from edgeunet.convert.exporting import export_bundle
    from edgeunet.run.executor import Executor

    exported = export_bundle(
        order,
        target,
        open_runner=Executor,
        graphs=wanted.graphs,
        report=note,
    )
    if sensitivity is not None:
        for selection in selections:
            write_sensitivity(sensitivity, selection, target.name)
    if triton is not None and served is not None:
        serve_bundle(exported.bundle, served, triton)
    document = export_document(order, exported)
    plans = build_with_defaults(exported.bundle) if build else []
    if build:
        document["plans"] = plans_document(plans, exported.bundle)
    if as_json:
        print_json(document)
        return
    if isinstance(wanted, ForeignChoice):
        print_contract(wanted.network, wanted.size, precision)
    print_export(order, exported, selections, tuned=tune)
    if build:
        print_plans(plans, exported.bundle)
    note(f"wrote {target}")


def _named_network(model: str | None, onnx: Path | None) -> str:
    """Return the recipe or the file. Raises UsageError unless there is exactly one."""
    if (model is None) == (onnx is None):
        raise UsageError(
            "no network is given" if model is None else "two networks are given",
            hint="give --model MODEL for one of edgeunet, or --onnx FILE for one of your own",
        )
    if onnx is not None and not is_onnx_file(str(onnx)):
        raise UsageError(f"{str(onnx)!r} is no ONNX file", hint="give a file that ends in .onnx")
    return str(onnx or model)


def _check_tuned(precision: Precision) -> None:
    """Raise UsageError for a precision whose windows cannot be timed."""
    if precision is Precision.INT8:
        raise UsageError(
            "--tune does not time INT8 windows in this version",
            hint="leave --tune out, or export --fp32",
        )
    if precision is not Precision.FP32:
        raise UsageError(
            f"--tune times onnxruntime on this machine, and {precision} is for a GPU",
            hint="leave --tune out, or export --fp32",
        )


def _read_frame_type(text: str, precision: Precision) -> FrameType:
    """Return ``--frame``. Raises UsageError for an unknown type, or one without INT8."""
    if text not in _FRAME_TYPES:
        raise UsageError(
            f"there is no frame {text!r}",
            hint=near_match(text, tuple(_FRAME_TYPES)) + "known: uint8, float",
        )
    found = _FRAME_TYPES[text]
    if found is FrameType.FLOAT32 and precision is Precision.INT8:
        raise UsageError(
            "--frame float is for TensorRT before 8.5, for which no INT8 graph is made",
            hint="export --fp16 or --fp32, or leave --frame out",
        )
    return found
