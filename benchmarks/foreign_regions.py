"""Are regions predicted for networks of others large enough, and how much too large?

    python -m benchmarks.foreign_regions [--networks SegFormer,SwinIR] [--size 192x256]

Every network of the zoo in ``tests/foreign``, as a bundle of whole frames and with ``--tile auto``,
runs one frame without an arena, where every allocation is seen. ``needed_region_bytes`` is the
smallest region in which all of them find room, twice in turn, by the imitated arena.
``predicted_region_bytes`` is what is predicted from the graphs alone. ``stages_equal`` counts the
stages whose allocations from 2 KiB on are those that are predicted, one by one. Ends with 1 where a
region is too small. Writes ``results/foreign_regions.csv``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.emulated import needed_region, serves
from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from edgeunet.bundle import Bundle
from edgeunet.choosing.foreign import choose_file
from edgeunet.cli.console import note
from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.foreign.contract_text import NOTHING_SAID
from edgeunet.graph.summary import view_of_file
from edgeunet.imitation.prediction import region_bytes, whole_allocations
from edgeunet.planning.request import WHOLE_FRAME, PlanRequest
from edgeunet.processors import this_processor
from edgeunet.specs import Precision
from edgeunet.units import format_size, parse_size
from tests.emulated import traced
from tests.foreign.zoo import ZOO, monai_zoo
from tests.imitation.ordered_sizes import ordered, sizes_of

_LEAST_BYTES = 2048
_RUNS = {"whole": WHOLE_FRAME, "--tile auto": PlanRequest(auto=True)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", help="names with commas; default: all")
    parser.add_argument("--size", default="192x256")
    parser.add_argument("--out", type=Path, default=RESULTS / "foreign_regions.csv")
    arguments = parser.parse_args()
    zoo = {**ZOO, **dict(monai_zoo())}
    names = arguments.networks.split(",") if arguments.networks else list(zoo)
    facts = provenance()
    known = read_csv(arguments.out) if arguments.out.is_file() else []
    rows = [row for row in known if row["network"] not in names]
    for name in names:
        with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:
            size = zoo[name].fitting(parse_size(arguments.size))
            path = zoo[name].write(Path(folder) / "network.onnx", size)
            choice = choose_file(path, NOTHING_SAID, size)
            for run, request in _RUNS.items():
                order = ExportOrder(choice.network, *size, Precision.FP32, request=request)
                target = Path(folder) / f"{request.auto}.bundle"
                bundle = draft_bundle(order, target, graphs=choice.graphs)
                rows.append({"network": name, "size": format_size(*size), "run": run})
                rows[-1] |= _regions(bundle, size)
                note(" ".join(map(str, rows[-1].values())))
        write_csv(arguments.out, rows, facts)
    ratios = [float(str(row["ratio"])) for row in rows]
    note(f"median {statistics.median(ratios):.3f}, least {min(ratios)}, most {max(ratios)}")
    return 0 if all(str(row["holds"]) == "True" for row in rows) else 1


def _regions(bundle: Bundle, size: tuple[int, int]) -> dict[str, object]:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    np.save(bundle.path / "frame.npy", frame)
    answer = traced.main(
        {
            "bundle": str(bundle.path),
            "frame": str(bundle.path / "frame.npy"),
            "answers": str(bundle.path / "answers.npz"),
            "region_bytes": None,
            "threads": 1,
        }
    )
    graphs = [bundle.file(stage.graph) for stage in bundle.manifest.stages]
    found = [whole_allocations(view_of_file(one), this_processor(), threads=1) for one in graphs]
    seen = [(stage["kept"], stage["events"]) for stage in answer["stages"]]
    equal = 0
    for one, (kept, events) in zip(found, seen, strict=True):
        sizes = [event if event > 0 else -events[-1 - event] for event in events]
        predicted = [sizes_of(each, _LEAST_BYTES) for each in (one, *one.others)]
        equal += sorted(one.kept_bytes) == sorted(kept) and (
            ordered(sizes, _LEAST_BYTES) in predicted
        )
    region = region_bytes([(one, 1) for one in found], other_threads=())
    needed = needed_region(seen)
    return {
        "stages": len(graphs),
        "stages_equal": equal,
        "predicted_region_bytes": region,
        "needed_region_bytes": needed,
        "ratio": round(region / needed, 3),
        "holds": serves(region, seen),
    }


if __name__ == "__main__":
    sys.exit(main())
