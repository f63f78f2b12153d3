"""What does every network take and how long, whole and tiled, beside what others take?

    python -m benchmarks.memory [--quick] [--networks unetmm,joint] [--sizes 1080x1920] [--resume]

Rows that are not asked for stay as they are, with the versions and the date of their own.

For every network of width 16, frame size, precision, and for whole frames and the default tiles:
what the plan says (``arena_bytes`` is planned, ``predicted_bytes`` what the engine is expected to
take on this processor; in FP16, which is for GPUs, what TensorRT is) and what a process of its own
took (``measured_bytes``: the highest of the frames above the loaded model, as ``edgeunet memory
--measure`` has it). How long frames take is what ``latency.py`` says.
``ratio_to_nafnet`` is measured over measured, whole-frame ``nafnet`` in FP32 at the same size.

Outputs are compared before anything is measured: whole frames and peers with torch FP32, tiles
with the whole frame; a difference beyond the limits ends the run. ``largest_difference`` is in
8-bit steps, ``different_share`` of all bytes. A row without figures says why in ``note``.

FP16 bundles are for GPUs: the CPU computes them in FP32, so their measured columns stay empty.
Weights are random: memory and time do not depend on them.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.helpers.fresh import answers_of, measurement_of
from benchmarks.helpers.peers import PEERS, TORCH
from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from benchmarks.helpers.subjects import (
    NETWORKS,
    PEER_NETWORKS,
    PEER_SIZE,
    REFERENCE,
    SIZES,
    TILED,
    WHOLE,
    Case,
    Subject,
    cases_of,
)
from edgeunet.bundle import Bundle
from edgeunet.cli.console import note, print_table
from edgeunet.errors import EdgeUnetError, EngineError, MissingPackageError
from edgeunet.planning.frame_plan import FramePlan
from edgeunet.run.promises import promise_of
from edgeunet.specs import Array, Precision
from edgeunet.units import MIB, format_size, parse_size

QUICK_NETWORKS = ("addunet", "unetmm", "joint")
QUICK_PEER_NETWORKS = ("unetmm",)
QUICK_SIZE = (480, 640)
# Tiles that take longer are not what anybody waits for: they are checked and not measured.
LONGEST_FRAME_SECONDS = 60.0
LONGEST_TORCH_SECONDS = 900.0
# Of the bytes of a frame.
DIFFERENT_FROM = {"torch": 1e-3, "whole frame": 1e-5}
FP16_NOTE = "onnxruntime computes fp16 in fp32 on this CPU: computed figures only"
TOOLS = ("openvino",)

FACTS = ("tile", "level", "skip_bytes", "held_bytes", "peak_live_bytes", "arena_bytes")
MEASURED = ("measured_bytes", "prediction_ratio")
COMPARED = ("largest_difference", "different_share", "compared_with")
COLUMNS = (
    *("model", "size", "precision", "run", "budget"),
    *(*FACTS, "predicted_bytes", *MEASURED, "recompute_ratio", "ratio_to_nafnet"),
    *(*COMPARED, "note"),
)
# What is printed, under shorter names.
SHOWN = {
    "tile": "tile",
    "skip_bytes": "skip",
    "held_bytes": "held",
    "peak_live_bytes": "live",
    "arena_bytes": "planned",
    "predicted_bytes": "predicted",
    "measured_bytes": "measured",
    "prediction_ratio": "pred./meas.",
    "recompute_ratio": "recompute",
    "ratio_to_nafnet": "/nafnet",
    "largest_difference": "differs by",
    "different_share": "in",
}
Row = dict[str, object]


def main() -> None:
    arguments = _arguments()
    sizes = [QUICK_SIZE] if arguments.quick else SIZES
    networks: Sequence[str] = QUICK_NETWORKS if arguments.quick else NETWORKS
    if arguments.sizes:
        sizes = [parse_size(text) for text in arguments.sizes.split(",")]
    if arguments.networks:
        networks = arguments.networks.split(",")
    _require_tools(TOOLS if arguments.peers else ())
    out = arguments.out or (
        Path(tempfile.gettempdir()) / "memory_quick.csv"
        if arguments.quick
        else RESULTS / "memory.csv"
    )
    facts = provenance(TOOLS)
    # Rows of other networks and sizes stay, with their versions and date.
    rows = read_csv(out) if out.is_file() else []
    fresh = [row for row in rows if arguments.resume and facts.items() <= row.items()]
    done = {_key(row) for row in fresh}
    for size in sizes:
        for model in networks:
            beside = PEER_NETWORKS if size == PEER_SIZE else QUICK_PEER_NETWORKS
            peers = arguments.peers and model in beside and size in (PEER_SIZE, QUICK_SIZE)
            cases = [case for case in cases_of(model, size, peers=peers) if case.key not in done]
            if arguments.quick and not peers:
                cases = [case for case in cases if case.precision is Precision.FP32]
            for row in rows_of(model, size, cases):
                _put(rows, {**row, **facts})
                _compare_with_reference(rows)
                write_csv(out, rows, facts)
    if rows:
        _print(rows)
    print(out)


def rows_of(model: str, size: tuple[int, int], cases: Sequence[Case]) -> Iterator[Row]:
    """Yield the rows of one network at one size. Exits when an output is wrong."""
    if not cases:
        return
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:
        bench = _Bench(Subject(model, size, Path(folder)), Path(folder) / "answers.npz")
        for case in cases:
            note(" ".join(word for word in case.key if word))
            row: Row = dict.fromkeys(COLUMNS, "")
            row.update(zip(COLUMNS[:5], case.key, strict=True))
            try:
                bench.fill(row, case)
            except EdgeUnetError as error:
                row.update(dict.fromkeys((*MEASURED, "ratio_to_nafnet"), ""), note=error.message)
            yield row


class _Bench:
    """Fills the rows of one subject; outputs that others are compared with are kept."""

    def __init__(self, subject: Subject, scratch: Path) -> None:
        self._subject = subject
        self._scratch = scratch
        self._kept: dict[str, dict[str, Array]] = {}

    def fill(self, row: Row, case: Case) -> None:
        bundle = None
        if case.run not in PEERS:
            plan = self._subject.plan(case)
            bundle = self._subject.bundle(case, plan)
            row.update(_computed(plan, bundle))
            if case.run == TILED and not plan.windowed:
                row["note"] = "the plan is the whole frame"
        if case.precision is Precision.FP16:
            row["note"] = FP16_NOTE
            return
        order = self._subject.order(case.run, bundle)
        seconds = self._check(row, case, order)
        if case.run == TILED and seconds > LONGEST_FRAME_SECONDS:
            row["note"] = f"one frame takes {seconds:.0f} s: not measured"
            return
        found = measurement_of(order)
        row["measured_bytes"] = found.measured_bytes
        if isinstance(predicted := row["predicted_bytes"], int):
            row["prediction_ratio"] = round(predicted / found.measured_bytes, 3)

    def _check(self, row: Row, case: Case, order: dict[str, object]) -> float:
        """Compare one frame's outputs with what they must be; return the frame's seconds."""
        given, seconds = answers_of(order, self._scratch)
        if case.run == TORCH:
            self._kept[TORCH] = given
            return seconds
        if case.run == WHOLE:
            self._kept[WHOLE] = given
        against = "whole frame" if case.run == TILED else "torch"
        try:
            wanted = self._reference(WHOLE if case.run == TILED else TORCH)
        except EngineError as error:
            row["note"] = f"not compared with {against}: {error.message}"
            return seconds
        apart = self._subject.difference(given, wanted)
        row["largest_difference"] = apart.largest
        row["different_share"] = f"{apart.share:.2g}"
        row["compared_with"] = against
        if not apart.within(DIFFERENT_FROM[against]):
            raise SystemExit(f"{' '.join(case.key)} differs from {against}: {apart}")
        return seconds

    def _reference(self, run: str) -> dict[str, Array]:
        if run not in self._kept:
            bundle = None
            if run == WHOLE:
                case = Case(self._subject.recipe.name, self._subject.size, Precision.FP32, WHOLE)
                bundle = self._subject.bundle(case, self._subject.plan(case))
            order = self._subject.order(run, bundle)
            limit = LONGEST_TORCH_SECONDS if run == TORCH else None
            self._kept[run], _ = answers_of(order, self._scratch, limit)
        return self._kept[run]


def _computed(plan: FramePlan, bundle: Bundle) -> Row:
    memory = bundle.manifest.memory
    windows = [stage.window for stage in plan.stages if stage.window is not None]
    predicted_bytes = plan.prediction.total_bytes
    if bundle.manifest.precision is Precision.FP32:
        predicted_bytes = promise_of(bundle.manifest).predicted_bytes or predicted_bytes
    return {
        "tile": format_size(*max(windows, key=lambda window: window[0] * window[1]))
        if windows
        else "",
        "level": plan.level,
        "skip_bytes": memory.skip_bytes,
        "held_bytes": memory.held_bytes,
        "peak_live_bytes": memory.peak_live_bytes,
        "arena_bytes": memory.arena_bytes,
        "predicted_bytes": predicted_bytes,
        "recompute_ratio": round(plan.recompute_ratio, 3),
    }


def _put(rows: list[Row], row: Row) -> None:
    """Put a row in the place of the one that it measures again, or behind the others."""
    for index, known in enumerate(rows):
        if _key(known) == _key(row):
            rows[index] = row
            return
    rows.append(row)


def _compare_with_reference(rows: Sequence[Row]) -> None:
    """Fill in ratio_to_nafnet wherever both figures are there, and of one version."""
    whole = {
        (row["size"], row["onnxruntime"]): int(str(row["measured_bytes"]))
        for row in rows
        if (row["model"], row["precision"], row["run"]) == (REFERENCE, Precision.FP32, WHOLE)
        and row["measured_bytes"] != ""
    }
    for row in rows:
        of = (row["size"], row["onnxruntime"])
        if row["measured_bytes"] != "" and of in whole:
            ratio = int(str(row["measured_bytes"])) / whole[of]
            row["ratio_to_nafnet"] = round(ratio, 3)


def _key(row: Row) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in COLUMNS[:5])


def _print(rows: Sequence[Row]) -> None:
    cells = [
        [" ".join(word for word in _key(row) if word), *(_cell(name, row[name]) for name in SHOWN)]
        for row in rows
    ]
    print_table("MiB", ("", *SHOWN.values()), cells)
    for text in dict.fromkeys(str(row["note"]) for row in rows if row["note"]):
        print(f"{sum(row['note'] == text for row in rows)} rows: {text}")


def _cell(name: str, value: object) -> str:
    text = str(value)
    return f"{int(text) / MIB:.1f}" if name.endswith("_bytes") and text else text


def _require_tools(names: Sequence[str]) -> None:
    for name in names:
        if importlib.util.find_spec(name) is None:
            error = MissingPackageError(name, purpose="this benchmark", extra="bench")
            raise SystemExit(f"error: {error.message}\nhint: {error.hint}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", help="names with commas; default: all")
    parser.add_argument("--sizes", help="HxW with commas; default: 720p, 1080p and 4K")
    parser.add_argument("--quick", action="store_true", help="480x640 and three networks")
    parser.add_argument(
        "--peers",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="torch, onnxruntime's defaults and OpenVINO at 1080x1920",
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep rows of the same versions and the same day"
    )
    parser.add_argument("--out", type=Path, help="default: results/memory.csv, not for --quick")
    return parser.parse_args()


if __name__ == "__main__":
    main()
