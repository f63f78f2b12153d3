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
from edgeunet.processors import processor_name

RESULTS = Path(__file__).parents[1] / "results"
_PACKAGES = ("edgeunet", "torch", "onnxruntime", "numpy")


def provenance(tools: Sequence[str] = ()) -> dict[str, str]:
    """Return device, versions and date: columns of every row. tools: more packages to name."""
    facts = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "device": processor_name(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
    }
    for name in (*_PACKAGES, *tools):
        try:
            facts[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            facts[name] = ""
    return facts


def write_csv(
    name: str | Path, rows: Sequence[Mapping[str, object]], facts: Mapping[str, str] | None = None
) -> Path:
    """Write ``results/NAME.csv``, or a file: the rows, each with the provenance behind it.

    facts: the provenance; a row that has its own keeps it.
    """
    known = provenance() if facts is None else facts
    path = name if isinstance(name, Path) else RESULTS / f"{name}.csv"
    with replacing_file(path) as beside, beside.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys([*rows[0], *known])))
        writer.writeheader()
        writer.writerows({**known, **row} for row in rows)
    return path


def read_csv(path: Path) -> list[dict[str, object]]:
    with path.open(newline="") as stream:
        return [dict(row) for row in csv.DictReader(stream)]
