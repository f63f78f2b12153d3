"""Does the memory that calibrating takes stay the same, however many frames there are?

    python -m benchmarks.calibration --data FOLDER... [--frames 16,64,512] [--size 360x480]

For every number of frames: a set is made of the images, and the ranges of a network are measured on
it, each in a process of its own. ``choosing_bytes`` and ``measuring_bytes`` are high-water marks
above what the process had loaded; ``process_bytes`` is the highest that the measuring process ever
had, torch and its export of the graph included. It stops when that is above --most.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.helpers.record import RESULTS, provenance, write_csv
from edgeunet.calibration import load_calibration_set
from edgeunet.calibration.making import make_set
from edgeunet.calibration.set_order import SetOrder
from edgeunet.choosing.networks import choose_weights
from edgeunet.cli.console import print_table
from edgeunet.convert.int8_order import Int8Order
from edgeunet.convert.network_graph import graphs_of_recipe
from edgeunet.convert.quantizing import ranges_of
from edgeunet.errors import EdgeUnetError
from edgeunet.recipes import load_recipe
from edgeunet.run.measured import ask, measure_runs
from edgeunet.specs import Engine, Precision
from edgeunet.units import GIB, MIB, format_bytes, format_size, parse_bytes, parse_size

_FRAMES = "16,64,512"
_SIGMAS = (0.0, 15.0, 25.0, 50.0)
_LONGEST_SECONDS = 4 * 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", required=True, help="folders of images")
    parser.add_argument("--model", default="unetmm")
    parser.add_argument("--frames", default=_FRAMES)
    parser.add_argument("--size", default="360x480")
    parser.add_argument("--most", default="2GiB", help="of memory")
    arguments = parser.parse_args()
    most = parse_bytes(arguments.most)
    facts = provenance()
    rows: list[Mapping[str, object]] = []
    for text in arguments.frames.split(","):
        with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:
            order = {
                "data": [str(Path(path).resolve()) for path in arguments.data],
                "model": arguments.model,
                "frames": int(text),
                "size": parse_size(arguments.size),
                "folder": folder,
            }
            rows.append(_row(order))
        rows.sort(key=lambda row: _number(row, "frames"))
        write_csv(RESULTS / "calibration.csv", rows, facts)
        print(f"{text} frames done", flush=True)
    print_table(
        f"calibrating {arguments.model} at {arguments.size}",
        ("frames", "different", "choosing", "measuring", "whole process", "seconds"),
        [
            (
                str(row["frames"]),
                str(row["distinct_frames"]),
                format_bytes(_number(row, "choosing_bytes")),
                format_bytes(_number(row, "measuring_bytes")),
                format_bytes(_number(row, "process_bytes")),
                f"{_number(row, 'choosing_seconds') + _number(row, 'measuring_seconds'):.0f}",
            )
            for row in rows
        ],
        text_columns=0,
    )
    if any(_number(row, "process_bytes") > most for row in rows):
        raise SystemExit(f"more than {most / GIB:g} GiB")


def _row(order: Mapping[str, Any]) -> dict[str, object]:
    chosen = _ask({**order, "task": "choose"})
    measured = _ask({**order, "task": "measure"})
    return {
        "model": order["model"],
        "size": format_size(*order["size"]),
        "frames": order["frames"],
        "distinct_frames": chosen["distinct"],
        "pictures": chosen["pictures"],
        "choosing_bytes": chosen["peak_bytes"],
        "measuring_bytes": measured["peak_bytes"],
        "process_bytes": measured["process_bytes"],
        "process_mib": round(measured["process_bytes"] / MIB, 1),
        "choosing_seconds": round(chosen["seconds"], 1),
        "measuring_seconds": round(measured["seconds"], 1),
        "fidelity_db": measured["fidelity_db"],
    }


def _ask(order: Mapping[str, Any]) -> dict[str, Any]:
    return ask("benchmarks.calibration", order, timeout_seconds=_LONGEST_SECONDS)


def _number(row: Mapping[str, object], key: str) -> float:
    return float(str(row[key]))


def _choose(order: Mapping[str, Any]) -> dict[str, Any]:
    wanted = SetOrder(
        order["data"],
        "frames",
        Path(order["folder"]),
        order["frames"],
        (order["size"][0], order["size"][1]),
        _SIGMAS,
    )
    found: dict[str, Any] = {}

    def run() -> None:
        made = make_set(wanted, lambda done, total: None)
        found.update(distinct=made.distinct, pictures=made.survey.pictures)

    return {**_peak(run), **found}


def _measure(order: Mapping[str, Any]) -> dict[str, Any]:
    recipe = load_recipe(order["model"])
    weights = choose_weights(order["model"], recipe)
    calibration = load_calibration_set(f"{order['folder']}/frames.toml")
    graphs = graphs_of_recipe(recipe, weights)
    height, width = order["size"]
    model = graphs.at(height, width, Precision.FP32)
    found: dict[str, Any] = {}

    def run() -> None:
        ranges = ranges_of(model, recipe, Int8Order(calibration, None, Engine.ONNXRUNTIME))
        best = ranges.fidelity_db[Engine.ONNXRUNTIME]
        found.update(fidelity_db=max(best.values()))

    return {**_peak(run), **found}


def _peak(run: Callable[[], None]) -> dict[str, Any]:
    """Run something once; return its high-water mark above what was loaded, and the process's."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    measured = measure_runs(run, "calibration", 1)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "peak_bytes": measured.frames_bytes[0],
        "process_bytes": max(before, after) * 1024,
        "seconds": measured.frames_seconds[0],
    }


def _answer(text: str) -> int:
    order = json.loads(text)
    try:
        answer = _choose(order) if order["task"] == "choose" else _measure(order)
    except EdgeUnetError as error:
        answer = {"error": error.message, "hint": error.hint}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("{"):
        sys.exit(_answer(sys.argv[1]))
    main()
