"""Does a bundle take the memory that is predicted, and give its answers, on other processors?

    make emulated
    python -m benchmarks.emulated [--machines here,avx2] [--keep FOLDER]

For each processor of ``tests/emulated``, network, precision, and whole frames or windows:

- the region of onnxruntime's arena, packed weights included, as it is predicted for that class, and
  the smallest one that every allocation of a frame fits in. The allocations are traced on that
  processor and replayed in the imitated arena. On x86 an arena of the predicted size is also filled
  for real, and its regions are counted: a second one means that it was too small;
- how many numbers of the answer differ from those of the first processor, by how much at most, and
  how much PSNR INT8 loses to FP32 on that processor.

With ``--keep`` what was traced is not traced again. ARM64 under qemu takes up to a minute for a
bundle. All bundles of a processor run in one process, one after the other.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.helpers.record import RESULTS, provenance, write_csv
from edgeunet import api
from edgeunet.bundle import Bundle, open_bundle
from edgeunet.graph.summary import view_of_file
from edgeunet.imitation.onnxruntime_arena import DEAD_BYTES, Arena
from edgeunet.imitation.prediction import region_bytes, whole_allocations
from edgeunet.metrics import psnr_db
from edgeunet.photographs import fill_frame, shipped_photographs
from edgeunet.specs import Array, Precision
from tests.emulated.machines import MACHINES, Ask, Machine, machine
from tests.imitation.recorded import Record, Trace, write_record

NETWORKS = ("unetmm", "joint", "unet", "unetmm-naf")
CASES = [
    (model, precision, run)
    for model in NETWORKS
    for precision in (Precision.FP32, Precision.INT8)
    for run in ("whole", "windows")
]
SIZE = (64, 96)
WINDOWS = (48, 48)
SIGMA = 25
# Of these no weights ship at the recipe's own width.
UNTRAINED = ("unet",)
# With one thread the memory does not depend on this computer's cores.
THREADS = 1
_STEP_BYTES = 1024

Case = tuple[str, Precision, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    every = ",".join(one.name for one in MACHINES if one.name != "haswell")
    parser.add_argument("--machines", default=every, help="the first one is compared with")
    parser.add_argument("--keep", type=Path, help="where bundles and traces are kept between runs")
    parser.add_argument("--kept-only", action="store_true", help="trace nothing: only what is kept")
    parser.add_argument("--record", type=Path, help="a file for graphs and traces, for the tests")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    machines = [machine(name) for name in arguments.machines.split(",")]
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch:
        bench = _Bench((arguments.keep or Path(scratch)).resolve(), machines[0])
        for one in machines:
            why = one.lacking()
            if why is not None and not arguments.kept_only:
                print(f"{one.name}: {why}")
                continue
            if not arguments.kept_only:
                bench.trace(one)
            for case in CASES:
                if bench.kept(one, case).is_file():
                    rows.append(bench.row(one, case))
                    print(*rows[-1].values(), flush=True)
            write_csv(RESULTS / "emulated.csv", rows, provenance())
        if arguments.record is not None:
            write_record(arguments.record, bench.record(machines))
    _summarise(rows)


class _Bench:
    """The cases, with their bundles, traces and answers in a folder.

    reference: the machine that answers are compared with.
    """

    def __init__(self, folder: Path, reference: Machine) -> None:
        self._folder, self._reference = folder, reference
        clean = fill_frame(shipped_photographs()["astronaut"], *SIZE)[..., ::-1]
        noise = np.random.default_rng(0).normal(0, SIGMA, clean.shape)
        self._clean = clean
        self._frame = folder / "frame.npy"
        np.save(self._frame, np.rint(clean + noise).clip(0, 255).astype(np.uint8))

    def kept(self, one: Machine, case: Case) -> Path:
        """Return the file of a trace."""
        return self._folder / f"{one.name}-{_words(case)}.json"

    def trace(self, one: Machine) -> None:
        """Run every case on a machine that was not run there before."""
        missing = [case for case in CASES if not self.kept(one, case).is_file()]
        if not missing:
            return
        told = []
        if one.cpuinfo is not None:
            told = [str(self._folder / f"{one.name}.txt")]
            Path(told[0]).write_text(one.cpuinfo)
        with one.serving("tests.emulated.traced", *told) as ask:
            for case in missing:
                self._trace(one, case, self.bundle(case), ask)

    def _trace(self, one: Machine, case: Case, bundle: Bundle, ask: Ask) -> None:
        # Filling an arena takes two more frames, which is long under qemu.
        region = None if one.prefix else predicted_region(bundle, one)
        order: dict[str, object] = {
            "bundle": str(bundle.path),
            "frame": str(self._frame),
            "answers": str(self._answers(one, case)),
            "region_bytes": region,
            "threads": THREADS,
        }
        found = {**ask(order), "region_bytes": region}
        self.kept(one, case).write_text(json.dumps(found))
        print(f"{one.name}: {_words(case)}", flush=True)

    def bundle(self, case: Case) -> Bundle:
        model, precision, run = case
        path = self._folder / f"{_words(case)}.bundle"
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

    def record(self, machines: Sequence[Machine]) -> Record:
        """Return what every case is made of, and what was traced of it on some machines."""
        graphs, traces = {}, {}
        for case in CASES:
            bundle = self.bundle(case)
            views = [view_of_file(bundle.file(stage.graph)) for stage in bundle.manifest.stages]
            graphs[_words(case)] = views
            for one in machines:
                found = json.loads(self.kept(one, case).read_text())
                stages = [Trace(stage["kept"], stage["events"]) for stage in found["stages"]]
                traces[f"{one.name}-{_words(case)}"] = stages
        return Record(graphs, traces)

    def row(self, one: Machine, case: Case) -> dict[str, object]:
        found = json.loads(self.kept(one, case).read_text())
        stages = [(stage["kept"], stage["events"]) for stage in found["stages"]]
        predicted, needed = predicted_region(self.bundle(case), one), needed_region(stages)
        model, precision, run = case
        return {
            "machine": one.name,
            "processor": found["processor"],
            "model": model,
            "precision": str(precision),
            "run": run,
            "predicted_region_bytes": predicted,
            "needed_region_bytes": needed,
            "predicted_ratio": round(predicted / needed, 4),
            "holds": serves(predicted, stages),
            "regions": "" if found["regions"] is None else len(found["regions"]),
            **self._differences(one, case),
            "loss_db": self._loss_db(one, case),
        }

    def _differences(self, one: Machine, case: Case) -> dict[str, object]:
        """Return the share of bytes that differ, by how much, and the share of labels."""
        if not self._answers(self._reference, case).is_file():
            return {"differing_share": "", "most_steps": "", "labels_share": ""}
        here, there = self._arrays(self._reference, case), self._arrays(one, case)
        steps = np.abs(here["denoised"].astype(int) - there["denoised"].astype(int))
        labels = "labels" in here and float(np.mean(here["labels"] != there["labels"]))
        return {
            "differing_share": f"{np.mean(steps > 0):.6f}",
            "most_steps": int(steps.max()),
            "labels_share": "" if labels is False else f"{labels:.6f}",
        }

    def _loss_db(self, one: Machine, case: Case) -> object:
        """Return the PSNR to the clean photograph that INT8 loses to FP32 on this machine."""
        model, precision, run = case
        floats: Case = (model, Precision.FP32, run)
        if precision is not Precision.INT8 or not self._answers(one, floats).is_file():
            return ""
        return f"{self._psnr_db(one, floats) - self._psnr_db(one, case):.4f}"

    def _psnr_db(self, one: Machine, case: Case) -> float:
        return psnr_db(self._arrays(one, case)["denoised"][0], self._clean, peak=255)

    def _answers(self, one: Machine, case: Case) -> Path:
        return self._folder / f"{one.name}-{_words(case)}.npz"

    def _arrays(self, one: Machine, case: Case) -> Mapping[str, Array]:
        return dict(np.load(self._answers(one, case)))


def _words(case: Case) -> str:
    return "-".join(map(str, case))


def predicted_region(bundle: Bundle, one: Machine) -> int:
    """Return the region that is predicted for a bundle on a machine's class."""
    runs = []
    for stage in bundle.manifest.stages:
        view = view_of_file(bundle.file(stage.graph))
        runs.append((whole_allocations(view, one.kind, THREADS), 1))
    return region_bytes(runs, other_threads=())


def needed_region(stages: Sequence[tuple[Sequence[int], Sequence[int]]]) -> int:
    """Return the smallest region in which what was traced is served, to a kibibyte.

    stages: (weights packed into the arena, events of a run), as ``traced.py`` gives them.
    """
    kept = sum(sum(weights) for weights, _ in stages)
    size_bytes = max(1, kept + max((_live_bytes(events) for _, events in stages), default=0))
    while not serves(size_bytes, stages):
        size_bytes += _STEP_BYTES
    return size_bytes


def _live_bytes(events: Sequence[int]) -> int:
    """Return the most bytes that are in use at once."""
    live = most = 0
    for event in events:
        live += event if event > 0 else -events[-1 - event]
        most = max(most, live)
    return most


def serves(size_bytes: int, stages: Sequence[tuple[Sequence[int], Sequence[int]]]) -> bool:
    """Return whether a region serves all stages, twice in turn."""
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
        of_one = [row for row in rows if row["machine"] == name]
        shares = [float(str(row["predicted_ratio"])) for row in of_one]
        short = sum(not row["holds"] for row in of_one)
        print(
            f"{name}: predicted / needed {min(shares):.3f} to {max(shares):.3f}, "
            f"in the middle {statistics.median(shares):.3f}; {short} of {len(shares)} fall short"
        )


if __name__ == "__main__":
    main()
