"""Is the memory that is predicted what a bundle needs on other processors?

    make emulated
    python -m benchmarks.emulated [--machines here,avx2] [--accuracy 0.01] [--resume]

The region of onnxruntime's arena, packed weights included: as the manifest predicts it, and the
smallest in which a bundle runs, by trials in a process of its own on each processor of
``tests/emulated``. ARM64 under qemu takes minutes for a trial of FP32.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from edgeunet import api
from edgeunet.specs import Precision
from tests.emulated.machines import MACHINES, Machine, machine

# Graphs whose weights onnxruntime packs into the arena, INT8 and transposed convolutions, run past
# any limit: its subtraction wraps around. Their smallest region is not found this way.
CASES = [
    (model, Precision.FP32, run)
    for model in ("unetmm", "joint", "unetmm-naf")
    for run in ("whole", "windows")
]
SIZE = (128, 160)
WINDOWS = (64, 64)
WIDTH = 16
_LONGEST_SECONDS = 7200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", default=",".join(one.name for one in MACHINES))
    parser.add_argument("--accuracy", type=float, default=0.01, help="a share of the result")
    parser.add_argument("--bundles", type=Path, help="where bundles are kept between runs")
    parser.add_argument("--resume", action="store_true", help="keep the rows that are there")
    arguments = parser.parse_args()
    path = RESULTS / "emulated.csv"
    rows = read_csv(path) if arguments.resume and path.is_file() else []
    done = {(row["machine"], row["model"], row["precision"], row["run"]) for row in rows}
    machines = [machine(name) for name in arguments.machines.split(",")]
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch:
        folder = arguments.bundles or Path(scratch)
        for one in machines:
            why = one.lacking()
            if why is not None:
                print(f"{one.name}: {why}")
                continue
            for model, precision, run in CASES:
                if (one.name, model, str(precision), run) in done:
                    continue
                bundle = _bundle(folder, model, precision, run)
                rows.append(_row(one, bundle, Path(scratch), arguments.accuracy))
                rows[-1].update(model=model, precision=str(precision), run=run)
                write_csv(path, rows, provenance())
                print(*rows[-1].values(), flush=True)
    _summarise(rows)


def _bundle(folder: Path, model: str, precision: Precision, run: str) -> Path:
    path = folder / f"{model}-{precision}-{run}.bundle"
    if not path.is_dir():
        api.export(
            model,
            size=SIZE,
            width=WIDTH,
            precision=precision,
            windows=WINDOWS if run == "windows" else None,
            out=path,
        )
    return path


def _row(one: Machine, bundle: Path, scratch: Path, accuracy: float) -> dict[str, object]:
    order = {
        "bundle": str(bundle),
        "cpuinfo": one.cpuinfo,
        "folder": str(scratch),
        "accuracy": accuracy,
    }
    done = one.run("tests.emulated.region", json.dumps(order), timeout_seconds=_LONGEST_SECONDS)
    if done.returncode:
        raise SystemExit(f"{one.name}: {done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        "machine": one.name,
        "processor": found["processor"],
        "model": "",
        "precision": "",
        "run": "",
        "predicted_region_bytes": found["predicted_bytes"],
        "needed_region_bytes": found["needed_bytes"],
    }


def _summarise(rows: list[dict[str, object]]) -> None:
    """Print, per processor, how far predictions are off and how many fall short."""
    for name in dict.fromkeys(str(row["processor"]) for row in rows):
        shares = [
            int(str(row["predicted_region_bytes"])) / int(str(row["needed_region_bytes"]))
            for row in rows
            if row["processor"] == name
        ]
        short = sum(share < 1 for share in shares)
        print(
            f"{name}: predicted / needed {min(shares):.2f} to {max(shares):.2f}, "
            f"in the middle {statistics.median(shares):.2f}; {short} of {len(shares)} fall short"
        )


if __name__ == "__main__":
    main()
