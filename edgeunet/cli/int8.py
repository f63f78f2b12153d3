"""The options and the tables of ``edgeunet export --int8``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgeunet.bundle.manifest import MemoryEntry, QuantizationEntry
from edgeunet.choosing.int8 import int8_order
from edgeunet.choosing.networks import missing_package
from edgeunet.cli.console import note, print_table
from edgeunet.convert.int8_order import Int8Order
from edgeunet.errors import UsageError, near_match
from edgeunet.files import check_writable, replacing_file
from edgeunet.network_facts import NetworkFacts
from edgeunet.recipes import Recipe
from edgeunet.specs import Engine, Precision
from edgeunet.units import format_bytes

if TYPE_CHECKING:
    from edgeunet.convert.sensitivity import Selection

_DOCUMENT = ".json"
_PICTURES = (".png", ".svg")
# Number of printed lines of a ranking.
_SHOWN_LAYERS = 10


def read_int8(
    precision: Precision,
    network: NetworkFacts,
    *,
    calibration: str | None = None,
    target: str | None = None,
    max_drop: str | None = None,
    sensitivity: Path | None = None,
    keeps_ranges: bool = True,
    on_selection: Callable[[Selection], None] | None = None,
) -> Int8Order | None:
    """Return the order for INT8; None for another precision.

    sensitivity: the file that the ranking will be written to.
    on_selection: called with the ranking, which is measured for --sensitivity and for --max-drop.
    Raises UsageError for an option without --int8.
    """
    if precision is not Precision.INT8:
        flags = {
            "--calibration": calibration,
            "--target": target,
            "--max-drop": max_drop,
            "--sensitivity": sensitivity,
        }
        for flag, given in flags.items():
            if given is not None:
                raise UsageError(
                    f"{flag} is for INT8, and the export is {precision}",
                    hint=f"add --int8, or leave {flag} out",
                )
        return None
    engine = Engine.ONNXRUNTIME if target is None else _read_engine(target)
    if sensitivity is not None:
        _check_sensitivity(sensitivity)
    return int8_order(
        network,
        calibration=calibration,
        engine=engine,
        max_drop_db=None if max_drop is None else _decibels(max_drop),
        keeps_ranges=keeps_ranges,
        on_selection=None if sensitivity is None else on_selection,
    )


def _read_engine(text: str) -> Engine:
    names = [str(engine) for engine in Engine]
    if text not in names:
        raise UsageError(
            f"there is no target {text!r}",
            hint=near_match(text, names) + f"known: {', '.join(names)}",
        )
    return Engine(text)


def _check_sensitivity(path: Path) -> None:
    """Raise UsageError for a file name that would fail only after the work."""
    if path.suffix.lower() not in (_DOCUMENT, *_PICTURES):
        raise UsageError(
            f"--sensitivity {str(path)!r}: its ending says no known format",
            hint=f"end the name in {_DOCUMENT}, or for a picture in {' or '.join(_PICTURES)}",
        )
    if path.suffix.lower() in _PICTURES:
        try:
            import edgeunet.calibration.sensitivity_plot  # noqa: F401 - only whether it can be
        except ModuleNotFoundError as error:
            raise missing_package(error, purpose="--sensitivity", extra="plot") from error
        check_writable(path)
    check_writable(path.with_suffix(_DOCUMENT))


def _decibels(text: str) -> float:
    number = re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?) ?(?:dB)?", text, re.IGNORECASE)
    if number is None or float(number[1]) == 0.0:
        raise UsageError(
            f"--max-drop {text!r} is no loss that could be allowed",
            hint="give one above zero in decibels, like 0.1dB",
        )
    return float(number[1])


def int8_notes(network: NetworkFacts, memory: MemoryEntry, *, whole: bool) -> Iterator[str]:
    """Yield notes about gains of INT8 that this export does not have. whole: not in windows."""
    if isinstance(network, Recipe) and network.network.block == "naf":
        yield (
            "NAF blocks normalize and gate in floats, with conversions around each: INT8 saves "
            "memory there rather than time; residual blocks, as in unetmm, stay in integers"
        )
    copies = memory.region_bytes - memory.arena_bytes
    if whole and copies > 0:
        yield (
            f"of the {format_bytes(memory.region_bytes)} that onnxruntime is predicted to take, "
            f"{format_bytes(copies)} are copies its integer kernels make of their input: "
            "--tile auto takes less"
        )


def write_sensitivity(path: Path, selection: Selection, title: str) -> None:
    """Write the ranking as JSON, or as a picture, by the ending of the file name."""
    document = {
        "title": title,
        "loss_db": round(selection.loss_db, 5),
        "miou_points": selection.miou_points,
        "kept": [layer.name for layer in selection.kept],
        "convolutions": [asdict(layer) for layer in selection.ranking],
    }
    target = path.with_suffix(_DOCUMENT)
    with replacing_file(target) as beside:
        beside.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    note(f"wrote {target}")
    if path.suffix.lower() in _PICTURES:
        from edgeunet.calibration.sensitivity_plot import Bar, draw_losses

        kept = {layer.number for layer in selection.kept}
        bars = [Bar(one.name, one.loss_db, one.number in kept) for one in selection.ranking]
        draw_losses(bars, title, path)
        note(f"wrote {path}")


def print_sensitivity(selection: Selection) -> None:
    """Print the first convolutions of the ranking."""
    ranking = selection.ranking
    kept = {layer.number for layer in selection.kept}
    print_table(
        f"the {min(_SHOWN_LAYERS, len(ranking))} of {len(ranking)} convolutions that lose most "
        "alone",
        ("convolution", "dB", "points of mIoU", "share of MACs", "in"),
        [
            (
                layer.name,
                f"{layer.loss_db:.3f}",
                "-" if layer.miou_points is None else f"{layer.miou_points:.2f}",
                f"{layer.macs_share:.1%}",
                "floats" if layer.number in kept else "8 bits",
            )
            for layer in ranking[:_SHOWN_LAYERS]
        ],
    )


def int8_document(entry: QuantizationEntry | None) -> dict[str, Any] | None:
    return None if entry is None else msgspec.structs.asdict(entry)


def print_int8(entry: QuantizationEntry, calibration: str | None) -> None:
    """Print what is computed in 8 bits, and what stays in floats."""
    inside, every = entry.convolutions
    print_table(
        f"INT8 for {entry.target}, ranges by {entry.calibrator} on {calibration}",
        ("convolutions in 8 bits", "share of MACs", "kept in floats"),
        # Which ones, and why each, was said when they were chosen.
        [(f"{inside} of {every}", f"{entry.macs_share:.1%}", str(len(entry.kept)))],
        text_columns=0,
    )
