"""Does any damaged file end a reader in a traceback, a crash, a hang, or more than 1 GiB?

    python -m benchmarks.fuzz [--seconds N] [--reader NAME]... [--found FOLDER]

Every reader of ``tests/fuzz/readers.py`` gets damaged files for N seconds, drawn by hypothesis from
whole ones, in a process of its own. Set TMPDIR to a folder in memory (/dev/shm): thousands of
files are written. The process writes an input before it reads it, so that one
that ends the process is kept. Inputs that end in a fault are written to the folder, one for each
kind of fault; those that are mended go into ``tests/fuzz/found/``, where the suite reads them
again. The command ends with code 1 if there were faults. Rows go to ``results/fuzz.csv``, where
those of other readers stay: inputs, the share that a reader took (``read_percent``), the slowest in
seconds of processor time, and the most memory that reading one input took, in MiB.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from edgeunet.cli.console import note, print_table
from tests.fuzz.readers import READERS, damaged_by

NAME = "fuzz"
_MOST_BYTES = 1 << 30
# Of address space, so that a fault does not take the machine's memory.
_CEILING_BYTES = 6 << 30
# An input is taken for a hang when it takes this long of the processor, or of the clock: other
# processes can stop this one for minutes.
_HANG_PROCESSOR_SECONDS, _HANG_SECONDS = 90.0, 900.0
_FILES_OF_AN_EXAMPLE = 20


class _TimeOverError(Exception):
    """The seconds of a process are used up."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--reader", action="append", choices=list(READERS))
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        _read_until(json.loads(arguments.child))
        return 0
    rows = []
    for name in arguments.reader or READERS:
        row = _of_reader(name, arguments.seconds, arguments.found)
        note(str(row))
        rows.append(row)
    print_table("readers", tuple(rows[0]), [tuple(map(str, row.values())) for row in rows])
    facts = provenance(("pillow", "opencv-python", "onnx", "msgspec", "safetensors", "hypothesis"))
    path = RESULTS / f"{NAME}.csv"
    fed = {row["reader"] for row in rows}
    kept = [row for row in (read_csv(path) if path.exists() else []) if row["reader"] not in fed]
    note(f"wrote {write_csv(NAME, [*kept, *rows], facts)}")
    return int(any(row["faults"] for row in rows))


def _of_reader(name: str, seconds: float, found: Path) -> dict[str, object]:
    """Feed one reader, in as many processes as are ended by what they read."""
    totals = {"inputs": 0, "read": 0, "slowest": 0.0, "most_bytes": 0}
    faults: set[str] = set()
    end, start = time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as folder:
        while (left := end - time.monotonic()) > 1:
            order = {
                "reader": name, "seconds": left, "seed": start, "folder": folder,
                "found": str(found), "known": sorted(faults),
            }  # fmt: skip
            fault = _in_process(order, Path(folder))
            answer = Path(folder) / "answer.json"
            if answer.exists():
                told = json.loads(answer.read_text())
                answer.unlink()
                faults |= set(told["faults"])
                totals["inputs"] += told["inputs"]
                totals["read"] += told["read"]
                totals["slowest"] = max(totals["slowest"], told["slowest"])
                totals["most_bytes"] = max(totals["most_bytes"], told["most_bytes"])
            if fault is not None:
                data = (Path(folder) / "input").read_bytes()
                _keep(found, name, fault, data)
                faults.add(fault)
            start += 1
    for fault in sorted(faults):
        note(f"{name}: {fault}")
    return {
        "reader": name,
        "seconds": round(seconds),
        "inputs": totals["inputs"],
        "read_percent": round(100 * totals["read"] / max(1, totals["inputs"]), 1),
        "slowest_seconds": round(totals["slowest"], 2),
        "most_mib": round(totals["most_bytes"] / (1 << 20)),
        "faults": len(faults),
    }


def _in_process(order: dict[str, object], folder: Path) -> str | None:
    """Run one process; return how it was ended before its time, None if it was not."""
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fuzz", "--child", json.dumps(order)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    current = folder / "input"
    written_s, begun_s = 0.0, 0.0
    while True:
        try:
            _, told = child.communicate(timeout=10)
            break
        except subprocess.TimeoutExpired:
            if not current.exists():
                continue
            used_s = _processor_seconds(child.pid)
            if current.stat().st_mtime != written_s:
                written_s, begun_s = current.stat().st_mtime, used_s
            elif (
                used_s - begun_s > _HANG_PROCESSOR_SECONDS
                or time.time() - written_s > _HANG_SECONDS
            ):
                child.kill()
                child.communicate()
                return f"hang: more than {used_s - begun_s:.0f} s"
    if child.returncode == 0:
        return None
    last = (told.strip().splitlines() or ["no message"])[-1]
    return f"crash: code {child.returncode}, {last[:120]}"


def _processor_seconds(process: int) -> float:
    """Return the processor time of a process so far (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _keep(found: Path, reader: str, fault: str, data: bytes) -> None:
    folder = found / reader.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(data).hexdigest()[:12]
    (folder / name).write_bytes(data)
    (folder / f"{name}.txt").write_text(f"{fault}\n")


def _read_until(order: dict[str, object]) -> None:
    """Read damaged files until the seconds are over, and write what was seen to answer.json."""
    reader = READERS[str(order["reader"])]
    folder, found = Path(str(order["folder"])), Path(str(order["found"]))
    known = set(order["known"])  # type: ignore[call-overload]
    seen = {"inputs": 0, "read": 0, "slowest": 0.0, "most_bytes": 0}
    resource.setrlimit(resource.RLIMIT_AS, (_CEILING_BYTES, _CEILING_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seeds = reader.seeds()
    for data in seeds[:3]:
        reader.ending(data, folder)
    end = time.monotonic() + float(order["seconds"])  # type: ignore[arg-type]

    @seed(int(order["seed"]))  # type: ignore[call-overload]
    @settings(
        max_examples=10**9,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=True))
    def feed(random: Random) -> None:
        # hypothesis takes milliseconds for each example, so that one stands for many files.
        for _ in range(_FILES_OF_AN_EXAMPLE):
            if time.monotonic() > end:
                raise _TimeOverError
            feed_one(damaged_by(random, seeds))

    def feed_one(data: bytes) -> None:
        (folder / "input").write_bytes(data)
        before = _reset_high_water_bytes()
        begun = time.process_time()
        fault, was_read = reader.ending(data, folder)
        seen["inputs"] += 1
        seen["slowest"] = max(seen["slowest"], time.process_time() - begun)
        above = _status_bytes("VmHWM") - before
        if fault is None and above > _MOST_BYTES:
            fault = f"memory: {above >> 20} MiB"
        seen["most_bytes"] = max(seen["most_bytes"], above)
        # Numbers and names in a message are no other kind of fault.
        kind = None if fault is None else re.sub(r"[\d'\"].*", "", fault)
        if fault is not None and kind not in known:
            known.add(str(kind))
            _keep(found, str(order["reader"]), fault, data)
        seen["read"] += int(was_read)

    with contextlib.suppress(_TimeOverError):
        feed()
    (folder / "answer.json").write_text(json.dumps({**seen, "faults": sorted(known)}))


def _reset_high_water_bytes() -> int:
    """Let the process's high-water mark begin anew, and return the memory that it has (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status_bytes("VmRSS")


def _status_bytes(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024


if __name__ == "__main__":
    sys.exit(main())
