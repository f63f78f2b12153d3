"""``edgeunet calibrate``: make a calibration set from images, clips and cameras."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeunet.calibration import FOLDER
from edgeunet.choosing.networks import missing_package
from edgeunet.cli.console import note, print_json, print_table, progress, warn
from edgeunet.cli.options import AsJson, ImageBits, Seed
from edgeunet.errors import UsageError
from edgeunet.units import format_size, parse_size

if TYPE_CHECKING:
    from edgeunet.calibration.making import MadeSet

_SIGMAS = "0,15,25,50"
_LEVELS = 6
_NAMED_PICTURES = 5


def command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="A folder of images, an image, a video, a camera: whatever edgeunet run reads.",
            show_default=False,
        ),
    ],
    name: Annotated[str, typer.Option("--name", metavar="SET", help="Name of the set.")],
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames", metavar="N", help="Number of frames; default: 64, or as many as differ."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            metavar="HxW",
            help="Size of every frame; larger pictures are cut into several frames.",
        ),
    ] = None,
    sigma: Annotated[
        str,
        typer.Option(
            "--sigma",
            metavar="LIST|FROM..TO",
            help="Noise levels in 8-bit units, like 0,15,25,50; 0..50 for six from 0 to 50.",
        ),
    ] = _SIGMAS,
    seed: Seed = 0,
    licence: Annotated[
        list[str] | None,
        typer.Option(
            "--licence",
            metavar="TEXT",
            help="Licence of the pictures: one for all, or one per INPUT.",
        ),
    ] = None,
    copy: Annotated[
        bool,
        typer.Option(
            "--copy", help="Store the frames as PNG beside the set; always done for cameras."
        ),
    ] = False,
    consecutive: Annotated[
        bool,
        typer.Option(
            "--consecutive",
            help="The pictures of a folder are the frames of one clip, in the order of their "
            "names; for networks that read several.",
        ),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", help="Largest number of pictures of each INPUT."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder that SET.toml is written to.")
    ] = FOLDER,
    image_bits: ImageBits = None,
    as_json: AsJson = False,
) -> None:
    """Make a calibration set for INT8 from your pictures."""
    try:
        from edgeunet.calibration.making import make_set
        from edgeunet.calibration.set_order import SetOrder
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="making a calibration set", extra="export") from error
    order = SetOrder(
        inputs=inputs,
        name=name,
        folder=out,
        frames=frames,
        size=None if size is None else parse_size(size),
        sigmas=_read_sigmas(sigma),
        seed=seed,
        licences=licence or [],
        copy=copy,
        limit=limit,
        image_bits=image_bits,
        consecutive=consecutive,
    )
    with progress(" pictures") as bar:
        task = bar.add_task("looking", total=None, rate="")
        made = make_set(order, lambda done, total: bar.update(task, completed=done, total=total))
    _report(made, as_json=as_json)


def _read_sigmas(text: str) -> tuple[float, ...]:
    from edgeunet.evaluate.protocol import parse_sigmas

    ends = re.fullmatch(r"([\d.]+)\.\.([\d.]+)", text.strip())
    if ends is None:
        return parse_sigmas(text)
    low, high = parse_sigmas(f"{ends[1]},{ends[2]}")
    if low > high:
        raise UsageError(f"--sigma {text} goes down", hint=f"write {ends[2]}..{ends[1]}")
    step = (high - low) / (_LEVELS - 1)
    return tuple(round(low + step * index, 2) for index in range(_LEVELS))


def _report(made: MadeSet, *, as_json: bool) -> None:
    survey, calibration = made.survey, made.calibration
    for line in survey.warnings[:_NAMED_PICTURES]:
        warn(line)
    for line in survey.left_out[:_NAMED_PICTURES]:
        warn(f"left out: {line}")
    if len(survey.left_out) > _NAMED_PICTURES:
        warn(f"left out: {len(survey.left_out) - _NAMED_PICTURES} more")
    levels = Counter(member.sigma for member in calibration.members)
    size = format_size(calibration.height, calibration.width)
    document: dict[str, Any] = {
        "set": str(made.path),
        "name": calibration.name,
        "size": size,
        "members": len(calibration.members),
        "distinct_frames": made.distinct,
        "brightness": [round(level, 1) for level in made.brightness],
        "sigmas": {f"{sigma:g}": levels[sigma] for sigma in sorted(levels)},
        "licence": calibration.licence,
        "stored": None if made.store is None else str(made.store),
        "pictures": survey.pictures,
        "candidates": survey.candidates,
        "near_duplicates": survey.near_duplicates,
        "left_out": survey.left_out,
    }
    if as_json:
        print_json(document)
        return
    low, high = made.brightness
    print_table(
        f"calibration set {calibration.name}, frames of {size}",
        ("members", "different frames", "mean brightness", "noise levels"),
        [
            (
                str(len(calibration.members)),
                str(made.distinct),
                f"{low:.0f} to {high:.0f}",
                ", ".join(f"{count} at {sigma}" for sigma, count in document["sigmas"].items()),
            )
        ],
        text_columns=0,
    )
    note(
        f"chosen from {survey.candidates} windows of {survey.pictures} pictures; "
        f"{survey.near_duplicates} near-duplicates left out"
    )
    if made.store is not None:
        note(f"stored the frames in {made.store}")
    if not calibration.licence or calibration.licence == "not stated":
        note("nobody knows what may be done with the pictures: say so with --licence")
    note(f"wrote {made.path}")
    word = calibration.name if made.path.parent == FOLDER else made.path
    note(f"use it: edgeunet export --model MODEL (or --onnx FILE) --int8 --calibration {word}")
