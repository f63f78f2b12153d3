"""Do several workers take the memory that is predicted for them?

    python -m benchmarks.workers [--size 720x1280] [--folder KEPT]

Bundles are exported for one worker and for two. Each runs frames in a process of its own, on as
many threads as it has workers. ``measured_mib`` is the highest of the frames above the loaded
bundle; ``predicted_mib`` is for this processor.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.helpers.record import provenance, write_csv
from edgeunet import api
from edgeunet.bundle import open_bundle
from edgeunet.cli.console import note, print_table
from edgeunet.run.measured import measure
from edgeunet.run.promises import promise_of
from edgeunet.units import format_size, parse_size

NAME = "workers"
CASES = (("fp32", "auto"), ("fp32", "120MiB"), ("int8", "auto"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=parse_size, default=(720, 1280))
    parser.add_argument("--folder", type=Path, help="where benchmarks.latency kept its bundles")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    size = arguments.size
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch:
        folder = (arguments.folder or Path(scratch)) / f"unetmm-{format_size(*size)}"
        for precision, windows in CASES:
            for workers in (1, 2):
                path = folder / f"{precision}-{windows}-{workers}.bundle"
                if path.exists():
                    bundle = open_bundle(path)
                else:
                    bundle = api.export(
                        "unetmm",
                        size=size,
                        precision=precision,
                        windows="auto" if windows == "auto" else None,
                        budget=None if windows == "auto" else windows,
                        workers=workers if workers > 1 else None,
                        out=path,
                    )
                predicted = promise_of(bundle.manifest, workers).predicted_bytes
                taken = measure(path, engine="onnxruntime", threads=workers, workers=workers)
                assert predicted is not None
                row: dict[str, object] = {
                    "model": "unetmm",
                    "size": format_size(*size),
                    "precision": precision,
                    "windows": windows,
                    "workers": workers,
                    "predicted_mib": round(predicted / 2**20, 1),
                    "measured_mib": round(taken.measured_bytes / 2**20, 1),
                }
                rows.append({**row, **provenance()})
                note(str(row))
    table = [tuple(str(row[name]) for name in list(row)[:7]) for row in rows]
    print_table("memory of workers", tuple(row)[:7], table, text_columns=4)
    note(f"wrote {write_csv(NAME, rows)}")


if __name__ == "__main__":
    main()
