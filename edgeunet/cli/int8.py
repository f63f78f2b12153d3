"""What ``edgeunet export --int8`` reads and prints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgeunet.bundle.manifest import QuantizationEntry
from edgeunet.calibrations import (
    FOLDER,
    CalibrationSet,
    calibration_names,
    calibration_path,
    read_set,
)
from edgeunet.cli.console import print_table
from edgeunet.errors import UsageError, near_match
from edgeunet.recipes import Recipe
from edgeunet.specs import Engine, Precision

if TYPE_CHECKING:
    from edgeunet.convert.quantizing import Int8Order

_DEFAULT_SET = "photographs"


@dataclass(frozen=True)
class Int8Choice:
    """The set of frames, the engine, and the PSNR that may be lost.

    folder: where ranges are kept. shipped: of a set that ships, the folder it ships in.
    """

    calibration: CalibrationSet
    folder: Path
    shipped: Path | None
    engine: Engine
    max_drop_db: float | None


def read_int8(
    precision: Precision,
    calibration: str | None,
    target: str | None,
    max_drop: str | None = None,
) -> Int8Choice | None:
    """Read what only --int8 has; None for another precision."""
    if precision is not Precision.INT8:
        flags = {"--calibration": calibration, "--target": target, "--max-drop": max_drop}
        for flag, given in flags.items():
            if given is not None:
                raise UsageError(
                    f"{flag} is for INT8, and the export is {precision}",
                    hint=f"add --int8, or leave {flag} out",
                )
        return None
    names = [str(engine) for engine in Engine]
    if target is not None and target not in names:
        raise UsageError(
            f"there is no target {target!r}",
            hint=near_match(target, names) + f"known: {', '.join(names)}",
        )
    name = calibration or _DEFAULT_SET
    path = calibration_path(name)
    # What a package installed is not the user's to write to, even where it could be.
    ships = name in calibration_names()
    return Int8Choice(
        read_set(path),
        FOLDER if ships else path.parent,
        path.parent if ships else None,
        Engine(target) if target else Engine.ONNXRUNTIME,
        None if max_drop is None else _decibels(max_drop),
    )


def _decibels(text: str) -> float:
    number = re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?) ?(?:dB)?", text, re.IGNORECASE)
    if number is None or float(number[1]) == 0.0:
        raise UsageError(
            f"--max-drop {text!r} is no loss that could be allowed",
            hint="give one above zero in decibels, like 0.1dB",
        )
    return float(number[1])


def int8_order(choice: Int8Choice, recipe: Recipe, weights: Path | None) -> Int8Order:
    """Return the order to quantize. Ranges of random weights are not kept: they never return."""
    from edgeunet.convert.quantizing import Int8Order
    from edgeunet.quantize.calibrators import Calibrator
    from edgeunet.stream.clips import open_clip

    kind = recipe.export.int8_calibrator
    return Int8Order(
        choice.calibration,
        None if weights is None else choice.folder,
        choice.engine,
        None if kind is None else Calibrator(kind),
        choice.max_drop_db,
        choice.shipped,
        open_clip,
    )


def int8_document(entry: QuantizationEntry | None) -> dict[str, Any] | None:
    return None if entry is None else msgspec.structs.asdict(entry)


def print_int8(entry: QuantizationEntry, calibration: str | None) -> None:
    """Say what is computed in 8 bits, and what stayed in floats."""
    inside, every = entry.convolutions
    print_table(
        f"INT8 for {entry.target}, ranges by {entry.calibrator} on {calibration}",
        ("convolutions in 8 bits", "share of MACs", "kept in floats"),
        [(f"{inside} of {every}", f"{entry.macs_share:.1%}", ", ".join(entry.kept) or "none")],
        text_columns=0,
    )
