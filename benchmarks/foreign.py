"""What do networks of others take at 720x1280, whole and in windows, beside onnxruntime?

    python -m benchmarks.foreign [--networks U-Net,DnCNN] [--size 720x1280] [--resume]

Fourteen networks of the zoo in ``tests/foreign``, of 16 to 48 channels, with random weights.
Each is an ONNX file that torch's exporters wrote. Three rows: the file with onnxruntime's own
options, our bundle of whole frames, and our bundle with ``--tile auto``.

Right before fast: the plan's windows are first run in floats, and compared with the whole frame;
the script stops when they differ by more than 1e-5 of the largest number. Then the bundle is
exported as a user would, with its parity check against the file.

``predicted_bytes`` is what is predicted for this processor; ``measured_bytes`` is the highest of
three frames above the loaded model, in a process of its own.
``time_ratio`` is processor time on one thread over that of onnxruntime with its own options: the
three run in turns in one process, and the median of the ratios is the figure. Writes
``results/foreign.csv``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.helpers.foreign_subjects import AS_IT_COMES, NETWORKS, TILED, WHOLE, ForeignSubject
from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from edgeunet.cli.console import note, print_table
from edgeunet.errors import EdgeUnetError
from edgeunet.units import MIB, parse_size

TOLERANCE = 1e-5
SHOWN = (
    *("network", "run", "predicted_mib", "measured_mib", "prediction_ratio", "to_default"),
    *("recompute_ratio", "time_ratio"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--size", default="720x1280")
    parser.add_argument("--resume", action="store_true", help="keep the rows that are there")
    parser.add_argument("--out", type=Path, default=RESULTS / "foreign.csv")
    arguments = parser.parse_args()
    facts = provenance()
    rows = read_csv(arguments.out) if arguments.resume and arguments.out.is_file() else []
    done = {row["network"] for row in rows}
    for name in arguments.networks.split(","):
        if name in done:
            continue
        with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:
            note(name)
            rows += _rows(ForeignSubject(name, parse_size(arguments.size), Path(folder)))
        write_csv(arguments.out, rows, facts)
    _print(rows)
    note(f"wrote {arguments.out}")


def _rows(subject: ForeignSubject) -> list[dict[str, object]]:
    """Return three rows of one network. Exits when its windows are wrong."""
    error = subject.largest_difference()
    if error > TOLERANCE:
        raise SystemExit(f"{subject.name}: windows differ from the whole frame by {error:.1e}")
    found = []
    default_bytes = 0
    ratios = subject.time_ratios()
    levels = subject.levels
    for run in (AS_IT_COMES, WHOLE, TILED):
        measured = subject.measured_bytes(run)
        default_bytes = default_bytes or measured
        plan = subject.plan(run)
        predicted = subject.predicted_bytes(run)
        found.append(
            {
                "network": subject.name,
                "size": subject.size_text,
                "run": run,
                "levels": levels,
                "windows": "" if plan is None else subject.windows_text(plan),
                "predicted_bytes": "" if predicted is None else predicted,
                "measured_bytes": measured,
                "prediction_ratio": "" if predicted is None else round(predicted / measured, 3),
                "to_default": round(measured / default_bytes, 3),
                "recompute_ratio": "" if plan is None else round(plan.recompute_ratio, 3),
                "time_ratio": round(ratios[run], 3),
                "largest_difference": f"{error:.1e}" if run == TILED else "",
                "parity_db": subject.parity_db if run == TILED else "",
            }
        )
        note(" ".join(f"{key} {value}" for key, value in found[-1].items()))
    return found


def _print(rows: list[dict[str, object]]) -> None:
    table = []
    for row in rows:
        cells = {
            **{key: str(value) for key, value in row.items()},
            "predicted_mib": _mib(row["predicted_bytes"]),
            "measured_mib": _mib(row["measured_bytes"]),
        }
        table.append(tuple(cells[name] for name in SHOWN))
    print_table("networks of others", SHOWN, table, text_columns=2)
    tiled = [row for row in rows if row["run"] == TILED]
    descending = [float(str(row["to_default"])) for row in tiled if int(str(row["levels"])) > 1]
    ratios = [row["prediction_ratio"] for row in rows if row["prediction_ratio"] != ""]
    errors = [abs(float(str(ratio)) - 1) for ratio in ratios]
    if descending:
        note(f"windows over onnxruntime's own, with descents: median {np.median(descending):.3f}")
    if errors:
        note(f"prediction: median {statistics.median(errors):.1%}, largest {max(errors):.1%}")


def _mib(size_bytes: object) -> str:
    return "" if size_bytes == "" else f"{int(str(size_bytes)) / MIB:.1f}"


if __name__ == "__main__":
    try:
        main()
    except EdgeUnetError as error:
        raise SystemExit(f"error: {error.message}\nhint: {error.hint}") from error
