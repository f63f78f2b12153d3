"""What becomes of every network of the zoo: is it cut, what runs whole, and what does that cost?

    python -m benchmarks.foreign_cuts [--networks "U-Net,SwinIR"] [--size 720x1280]

All networks of ``tests/foreign/zoo.py`` with the few channels that they have there, MONAI's, and
the trained detector, at the largest size up to the given one that they take. Nothing is run: the
bytes are predictions, of whole frames and of ``--tile auto``. That windows are right is checked by
``tests/foreign/test_zoo.py`` and, with 720x1280, by ``benchmarks/foreign.py``.

A part runs whole if the plan has operators that no window can run, means over the frame included;
the largest and its bytes are named. Writes ``results/foreign_cuts.csv``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from edgeunet.choosing.foreign import choose_file
from edgeunet.cli.console import note, print_table
from edgeunet.convert.network_plan import planner_of
from edgeunet.errors import EdgeUnetError
from edgeunet.foreign.contract_text import NOTHING_SAID
from edgeunet.planning.request import PlanRequest
from edgeunet.planning.requested_plan import choose_plan
from edgeunet.specs import Precision
from edgeunet.units import MIB, format_size, parse_size
from tests.foreign.zoo import ZOO, Animal, detector, monai_zoo

_CSV = "foreign_cuts.csv"
_SHOWN = ("network", "size", "outcome", "whole_mib", "auto_mib", "share", "operator", "held_mib")
_DETECTOR = "PP-OCRv4 detector"
_DETECTOR_MULTIPLE = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default="", help="names, by commas; all unless given")
    parser.add_argument("--size", default="720x1280")
    arguments = parser.parse_args()
    facts = provenance()
    wanted = [name for name in arguments.networks.split(",") if name]
    # Rows of other networks stay, with their date.
    known = read_csv(RESULTS / _CSV) if (RESULTS / _CSV).is_file() else []
    found = {str(row["network"]): row for row in known}
    for name, path, size in _files(parse_size(arguments.size), wanted):
        row: dict[str, object] = {"network": name, "size": format_size(*size)}
        row |= {**_row(path, size), **facts}
        found[name] = row
        note(" ".join(f"{key} {value}" for key, value in row.items()))
        write_csv(RESULTS / _CSV, list(found.values()), facts)
    rows = list(found.values())
    print_table(
        "networks of others, predicted",
        _SHOWN,
        [tuple(str(row[key]) for key in _SHOWN) for row in rows],
        text_columns=3,
    )


def _files(size: tuple[int, int], wanted: list[str]) -> Iterator[tuple[str, Path, tuple[int, int]]]:
    animals: dict[str, Animal] = {**ZOO, **dict(monai_zoo())}
    for name, animal in animals.items():
        if wanted and name not in wanted:
            continue
        with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:
            fitting = animal.fitting(size)
            yield name, animal.write(Path(folder) / "network.onnx", fitting), fitting
    path = detector()
    if path is not None and (not wanted or _DETECTOR in wanted):
        height, width = (side // _DETECTOR_MULTIPLE * _DETECTOR_MULTIPLE for side in size)
        yield _DETECTOR, path, (height, width)


def _row(path: Path, size: tuple[int, int]) -> dict[str, object]:
    try:
        choice = choose_file(path, NOTHING_SAID, size)
        planner = planner_of(choice.graphs, *size, Precision.FP32)
        whole, auto = planner.whole(), choose_plan(planner, PlanRequest(auto=True))
    except EdgeUnetError as error:
        return {**dict.fromkeys(_SHOWN[2:], ""), "outcome": "refused", "operator": error.message}
    windows = [planned for planned in auto.stages if planned.window is not None]
    held = sorted(
        (one for planned in auto.stages for one in auto.operators_of(planned)),
        key=lambda one: -one.size_bytes,
    )
    outcome = "whole" if not windows else "a part whole" if held else "in windows"
    before, after = whole.prediction.total_bytes, auto.prediction.total_bytes
    return {
        "outcome": outcome,
        "whole_mib": f"{before / MIB:.1f}",
        "auto_mib": f"{after / MIB:.1f}",
        "share": round(after / before, 3),
        "operator": held[0].why.split(" cannot")[0] if held else "",
        "held_mib": f"{held[0].size_bytes / MIB:.2f}" if held else "",
        "operators": len(held),
        "recompute_ratio": round(auto.recompute_ratio, 3),
    }


if __name__ == "__main__":
    main()
