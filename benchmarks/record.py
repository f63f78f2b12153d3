"""What every benchmark ends in: a table on the screen and a CSV that says where it is from."""

from __future__ import annotations

import csv
import datetime
import os
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from edgeunet.files import replacing_file

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("edgeunet", "torch", "onnxruntime", "numpy")


def provenance() -> dict[str, str]:
    """Return device, versions and date: columns of every row."""
    facts = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "device": _processor(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
    }
    for name in _PACKAGES:
        try:
            facts[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            facts[name] = ""
    return facts


def write_csv(name: str, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write ``results/NAME.csv``: the rows, each with the provenance behind it."""
    facts = provenance()
    path = RESULTS / f"{name}.csv"
    with replacing_file(path) as beside, beside.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], *facts])
        writer.writeheader()
        writer.writerows({**row, **facts} for row in rows)
    return path


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
