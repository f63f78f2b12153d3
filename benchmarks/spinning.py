"""What does it cost that onnxruntime's threads spin while they wait for work?

    python -m benchmarks.spinning [--frames N] [--size HxW]

Each bundle is loaded twice into one process, once with ``EDGEUNET_SPINNING=on`` (the library's
default) and once without, and both run the same frame in turn. Outputs must be equal to the last
bit, or the script stops. The figures are medians of ratios, without over with spinning: wall time,
and processor time of all threads. ``load`` is the machine's load average when a row was begun: on
a busy machine spinning threads also keep others from working. Adds rows to
``results/spinning.csv``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from edgeunet import api
from edgeunet.cli.console import note, print_table
from edgeunet.ort.onnxruntime_session import SPINNING
from edgeunet.run.executor import Executor
from edgeunet.units import parse_size

NAME = "spinning"
SUBJECTS = (("unetmm", "fp32", "none"), ("unetmm", "fp32", "auto"), ("unetmm", "int8", "auto"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=7)
    parser.add_argument("--size", type=parse_size, default=(720, 1280))
    arguments = parser.parse_args()
    path = RESULTS / f"{NAME}.csv"
    rows = read_csv(path) if path.exists() else []
    table = []
    with tempfile.TemporaryDirectory() as folder:
        for model, precision, windows in SUBJECTS:
            load = os.getloadavg()[0]
            bundle = api.export(
                model,
                size=arguments.size,
                precision=precision,
                windows="auto" if windows == "auto" else None,
                out=Path(folder) / f"{model}-{precision}-{windows}.bundle",
            )
            for threads in (1, os.cpu_count() or 1):
                wall, processor = _ratios(bundle, threads, arguments.frames)
                row = {
                    "model": model,
                    "precision": precision,
                    "windows": windows,
                    "size": f"{arguments.size[0]}x{arguments.size[1]}",
                    "threads": threads,
                    "load": round(load, 1),
                    "wall_ratio": round(wall, 3),
                    "processor_ratio": round(processor, 3),
                    "frames": arguments.frames,
                }
                rows.append({**row, **provenance()})
                table.append(tuple(str(value) for value in row.values()))
                note(str(row))
    print_table("without spinning over with it", tuple(row), table, text_columns=3)
    note(f"wrote {write_csv(NAME, rows)}")


def _ratios(bundle: api.Bundle, threads: int, frames: int) -> tuple[float, float]:
    """Return the medians of the ratios of wall time and of processor time."""
    manifest = bundle.manifest
    random = np.random.default_rng(0)
    frame = random.integers(0, 256, (manifest.height, manifest.width, 3), dtype=np.uint8)
    executors = {}
    for setting in ("on", "off"):
        os.environ[SPINNING] = setting
        executors[setting] = Executor(bundle, "onnxruntime", threads=threads)
    answers = {
        setting: executor.run(frame)["denoised"].copy() for setting, executor in executors.items()
    }
    if not np.array_equal(answers["on"], answers["off"]):
        raise SystemExit("the outputs differ")
    seconds: dict[str, list[tuple[float, float]]] = {"on": [], "off": []}
    for _ in range(frames):
        for setting, executor in executors.items():
            wall, processor = time.perf_counter(), time.process_time()
            executor.run(frame)
            taken = time.perf_counter() - wall, time.process_time() - processor
            seconds[setting].append(taken)
    for executor in executors.values():
        executor.close()
    pairs = list(zip(seconds["off"], seconds["on"], strict=True))
    wall_ratio, processor_ratio = (
        statistics.median(off[figure] / on[figure] for off, on in pairs) for figure in (0, 1)
    )
    return wall_ratio, processor_ratio


if __name__ == "__main__":
    main()
