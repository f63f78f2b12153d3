"""Is the memory that is predicted what a bundle takes on other processors?

    make emulated
    python -m benchmarks.emulated [--machines here,avx2] [--keep FOLDER]

For each processor of ``tests/emulated``, network, precision, and whole frames or windows: the
region of onnxruntime's arena, packed weights included, as it is predicted for that class, and the
smallest one that every allocation of a run fits in. The allocations are traced on that processor,
in a process of its own, and replayed in the imitated arena. On x86 an arena of the predicted size
is also filled for real, and its regions are counted: a second one means that it was too small.

ARM64 under qemu takes about a minute for a bundle.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.helpers.record import RESULTS, provenance, write_csv
from edgeunet import api
from edgeunet.bundle import Bundle, open_bundle
from edgeunet.graph.summary import view_of_file
from edgeunet.imitation.onnxruntime_arena import DEAD_BYTES, Arena
from edgeunet.imitation.prediction import region_bytes, whole_allocations
from edgeunet.specs import Precision
from tests.emulated.machines import Machine, machine

NETWORKS = ("unetmm", "joint", "unet", "unetmm-naf")
CASES = [
    (model, precision, run)
    for model in NETWORKS
    for precision in (Precision.FP32, Precision.INT8)
    for run in ("whole", "windows")
]
SIZE = (128, 160)
WINDOWS = (64, 64)
# Of these no weights ship at the recipe's own width.
UNTRAINED = ("unet",)
# With one thread the memory does not depend on this computer's cores.
THREADS = 1
_STEP = 1.002
_LONGEST_SECONDS = 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", default="here,avx512,avx2,cortex-a76,cortex-a72")
    parser.add_argument("--keep", type=Path, help="where bundles and traces are kept between runs")
    parser.add_argument("--kept-only", action="store_true", help="trace nothing: only what is kept")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch:
        folder = arguments.keep or Path(scratch)
        for one in [machine(name) for name in arguments.machines.split(",")]:
            why = one.lacking()
            if why is not None and not arguments.kept_only:
                print(f"{one.name}: {why}")
                continue
            for model, precision, run in CASES:
                if arguments.kept_only and not _kept(folder, one, model, precision, run).is_file():
                    continue
                bundle = _bundle(folder, model, precision, run)
                row = _row(one, bundle, folder)
                rows.append({**row, "model": model, "precision": str(precision), "run": run})
                write_csv(RESULTS / "emulated.csv", rows, provenance())
                print(*rows[-1].values(), flush=True)
    _summarise(rows)


def _bundle(folder: Path, model: str, precision: Precision, run: str) -> Bundle:
    path = folder / f"{model}-{precision}-{run}.bundle"
    if path.is_dir():
        return open_bundle(path)
    return api.export(
        model,
        size=SIZE,
        precision=precision,
        windows=WINDOWS if run == "windows" else None,
        random_weights=model in UNTRAINED,
        out=path,
    )


def _kept(folder: Path, one: Machine, *words: object) -> Path:
    """Return the file of a trace."""
    return folder / f"{one.name}-{'-'.join(map(str, words))}.json"


def _row(one: Machine, bundle: Bundle, folder: Path) -> dict[str, object]:
    predicted = predicted_region(bundle, one)
    kept = _kept(folder, one, bundle.path.stem)
    if not kept.is_file():
        # Filling an arena takes two more frames, which is long under qemu.
        native = not one.prefix
        order = {
            "bundle": str(bundle.path),
            "cpuinfo": one.cpuinfo,
            "folder": str(folder),
            "region_bytes": predicted if native else None,
            "threads": THREADS,
        }
        done = one.run("tests.emulated.traced", json.dumps(order), timeout_seconds=_LONGEST_SECONDS)
        if done.returncode:
            raise SystemExit(f"{one.name}: {done.stderr}")
        kept.write_text(done.stdout.splitlines()[-1])
    found = json.loads(kept.read_text())
    stages = [(stage["kept"], stage["events"]) for stage in found["stages"].values()]
    needed = needed_region(stages)
    return {
        "machine": one.name,
        "processor": found["processor"],
        "model": "",
        "precision": "",
        "run": "",
        "predicted_region_bytes": predicted,
        "needed_region_bytes": needed,
        "predicted_ratio": round(predicted / needed, 4),
        "regions": "" if found["regions"] is None else len(found["regions"]),
    }


def predicted_region(bundle: Bundle, one: Machine) -> int:
    """Return the region that is predicted for a bundle on a machine's class."""
    runs = []
    for stage in bundle.manifest.stages:
        view = view_of_file(bundle.file(stage.graph))
        runs.append((whole_allocations(view, one.kind, THREADS), 1))
    return region_bytes(runs)


def needed_region(stages: Sequence[tuple[Sequence[int], Sequence[int]]]) -> int:
    """Return the smallest region in which what was traced is served.

    stages: (weights packed into the arena, events of a run), as ``traced.py`` gives them.
    """
    size_bytes = max(1, sum(sum(kept) for kept, _ in stages))
    while not _serves(size_bytes, stages):
        size_bytes = int(size_bytes * _STEP) + 256
    return size_bytes


def _serves(size_bytes: int, stages: Sequence[tuple[Sequence[int], Sequence[int]]]) -> bool:
    arena = Arena(size_bytes, DEAD_BYTES)
    for kept, _ in stages:
        for each in kept:
            arena.take(each)
    for _, events in [*stages, *stages]:
        pieces = {}
        for index, event in enumerate(events):
            if event > 0:
                pieces[index] = arena.take(event)
                if arena.regions > 1:
                    return False
            else:
                arena.give(pieces.pop(-1 - event))
    return arena.regions <= 1


def _summarise(rows: list[dict[str, object]]) -> None:
    """Print, per processor, how far predictions are off and how many fall short."""
    for name in dict.fromkeys(str(row["machine"]) for row in rows):
        shares = [float(str(row["predicted_ratio"])) for row in rows if row["machine"] == name]
        short = sum(share < 1 for share in shares)
        print(
            f"{name}: predicted / needed {min(shares):.3f} to {max(shares):.3f}, "
            f"in the middle {statistics.median(shares):.3f}; {short} of {len(shares)} fall short"
        )


if __name__ == "__main__":
    main()
