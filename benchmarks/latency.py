"""How long does a frame take, beside onnxruntime's defaults and other engines?

    python -m benchmarks.latency [--quick] [--sizes 720x1280,1080x1920] [--networks unetmm,joint]
        [--threads 1,2] [--rounds N] [--peers openvino,ncnn,mnn] [--folder KEPT] [--prepare]

For every network, frame size and number of threads, these run a frame in turn: the plain export
under onnxruntime's defaults; our bundles, whole, with ``--tile auto`` and with ``--budget 200MiB``,
in FP32 and INT8, with threads that spin and threads that do not, with one and two workers (exported
for them); and other engines on the network as torch exports it. ncnn and MNN take floats and give
floats: what turns bytes into floats and back is not in their times.

``--folder`` keeps what is exported for the next call, and ``--prepare`` only exports. Rows of other
networks, sizes and numbers of threads stay in the CSV, so the table can be made in pieces.
``priority`` says whether the script ran at real-time priority, as ``chrt -f 20 python -m ...``
does: then other programs on the machine stand still, but Linux takes a twentieth of the time away.

Outputs are compared with those of onnxruntime's defaults before anything is timed, and a
difference beyond the limits ends the run; a network that ncnn or MNN converted wrongly is left out.
``differing_share`` is of all bytes, ``psnr_db`` of the image. The figures of a row are medians over
the rounds: ``wall_ms`` and ``processor_ms`` (of all threads), and both over those of the defaults
in the same round. ``predicted_mib`` is what the bundle is predicted to take here. ``load`` is the
machine's load average when the rounds began. ``--quick`` is ``unetmm`` at 1080x1920 without peers
but OpenVINO, and without the variants of spinning and workers; it takes some minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.helpers.latency_peers import MNN, NCNN, LeftOutError, open_float_peer, why_not
from benchmarks.helpers.peers import ONNXRUNTIME, OPENVINO, Run, open_peer, write_plain_onnx
from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from edgeunet import api
from edgeunet.bundle import Bundle, open_bundle
from edgeunet.choosing.networks import choose_weights
from edgeunet.cli.console import note, print_table
from edgeunet.errors import BudgetError, UsageError
from edgeunet.metrics import psnr_db
from edgeunet.ort.onnxruntime_session import SPINNING
from edgeunet.photographs import fill_frame, shipped_photographs
from edgeunet.recipes import Recipe, load_recipe
from edgeunet.run.executor import Executor
from edgeunet.run.promises import promise_of
from edgeunet.specs import Image
from edgeunet.units import format_size, parse_size

NAME = "latency"
TOOLS = ("openvino", "ncnn", "MNN")
SIZES = "720x1280,1080x1920"
BUDGET = "200MiB"
REFERENCE = "onnxruntime defaults"
FP32, INT8 = "fp32", "int8"
# Limits of the comparison with onnxruntime's defaults: share of bytes, by one step of 255.
MOST_DIFFERING = 1e-2
LEAST_PSNR_DB = {FP32: 55.0, INT8: 25.0}
LEAST_EQUAL_LABELS = {FP32: 0.999, INT8: 0.8}
# Threads that spin after a run would otherwise spin into the next one's time.
_PAUSE_SECONDS = 0.08


@dataclass(frozen=True)
class Variant:
    """One way to run a frame. windows: none, auto or a budget; empty for other engines."""

    run: str
    precision: str = FP32
    windows: str = ""
    spinning: bool = False
    workers: int = 1


@dataclass(frozen=True)
class Opened:
    """A way to run a frame that is loaded, and how far its output is from the reference's."""

    variant: Variant
    run: Run
    psnr_db: float
    differing_share: float


def variants_of(peers: list[str], *, quick: bool, several: bool) -> list[Variant]:
    """Return what is compared, the reference first. several: whether there are several threads."""
    found = [Variant(REFERENCE)]
    for precision in (FP32, INT8):
        for windows in ("none", "auto", BUDGET):
            if precision == INT8 and windows == BUDGET:
                continue
            ours = Variant("edgeunet", precision, windows)
            found.append(ours)
            # One thread has nobody to wait for, and one window at a time.
            if several and not quick:
                found.append(replace(ours, spinning=True))
                if windows != "none":
                    found.append(replace(ours, workers=2))
    return [*found, *(Variant(peer) for peer in peers)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sizes")
    parser.add_argument("--networks")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers")
    parser.add_argument("--folder", type=Path, help="where bundles are kept")
    parser.add_argument("--prepare", action="store_true", help="export only")
    parser.add_argument("--out", type=Path, default=RESULTS / f"{NAME}.csv")
    arguments = parser.parse_args()
    quick = arguments.quick
    sizes = (arguments.sizes or ("1080x1920" if quick else SIZES)).split(",")
    networks = (arguments.networks or ("unetmm" if quick else "unetmm,joint")).split(",")
    peers = _known_peers(arguments.peers or ("openvino" if quick else "openvino,ncnn,mnn"))
    rows = read_csv(arguments.out) if arguments.out.exists() else []
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch:
        for model in networks:
            for size in map(parse_size, sizes):
                folder = (arguments.folder or Path(scratch)) / f"{model}-{format_size(*size)}"
                folder.mkdir(parents=True, exist_ok=True)
                for threads in map(int, arguments.threads.split(",")):
                    variants = variants_of(peers, quick=quick, several=threads > 1)
                    bench = Bench(model, size, threads, folder)
                    if arguments.prepare:
                        bench.prepare(variants)
                        continue
                    made = [{**row, **provenance(TOOLS)} for row in bench.rows(variants, arguments)]
                    rows = [row for row in rows if _place(row) != _place(made[0])] + made
                    write_csv(arguments.out, sorted(rows, key=_place))
    if arguments.prepare:
        return
    shown = ("model", "size", "precision", "run", "windows", "spinning", "workers", "threads")
    figures = ("wall_ms", "wall_ratio", "processor_ratio", "psnr_db", "differing_share")
    table = [tuple(str(row[name]) for name in (*shown, *figures)) for row in rows]
    print_table("a frame over onnxruntime's defaults", (*shown, *figures), table, text_columns=6)
    note(f"wrote {arguments.out}")


class Bench:
    """One network at one frame size with one number of threads."""

    def __init__(self, model: str, size: tuple[int, int], threads: int, folder: Path) -> None:
        self._recipe: Recipe = load_recipe(model)
        self._size, self._threads, self._folder = size, threads, folder
        weights = choose_weights(model, self._recipe, None, random_weights=False)
        assert weights is not None
        self._weights = weights
        self._graph = folder / "plain.onnx"
        if not self._graph.exists():
            write_plain_onnx(self._recipe, weights, size, self._graph)
        photograph = next(iter(shipped_photographs().values()))
        frame = fill_frame(photograph, *size)[:, :, ::-1].astype(np.int16)
        noise = np.random.default_rng(0).normal(0, 10, frame.shape)
        self._image: Image = np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8)

    def prepare(self, variants: list[Variant]) -> None:
        """Export the bundles of all variants; a note says which cannot be."""
        for variant in variants:
            if variant.run == "edgeunet":
                try:
                    self._bundle(variant)
                except (UsageError, BudgetError) as error:
                    note(f"left out: {error.message}")

    def rows(
        self, variants: list[Variant], arguments: argparse.Namespace
    ) -> Iterator[dict[str, object]]:
        """Yield a row for every variant that can run here; a note says why another cannot."""
        with contextlib.ExitStack() as stack:
            opened: list[Opened] = []
            for variant in variants:
                why = why_not(variant.run)
                if why is not None:
                    note(f"{variant.run} left out: {why}")
                    continue
                try:
                    run = self._open(variant, stack)
                    opened.append(self._checked(variant, run, opened))
                except (UsageError, BudgetError, LeftOutError) as error:
                    note(f"left out: {error.message}")
            load = os.getloadavg()[0]
            seconds = _in_turn(opened, arguments.rounds)
        for one, taken in zip(opened, seconds, strict=True):
            yield {
                "model": self._recipe.name,
                "size": format_size(*self._size),
                "precision": one.variant.precision,
                "run": one.variant.run,
                "windows": one.variant.windows,
                "spinning": _spins(one.variant),
                "workers": one.variant.workers,
                "threads": self._threads,
                "predicted_mib": self._predicted(one.variant),
                "priority": _priority(),
                "load": round(load, 1),
                "wall_ms": round(1e3 * statistics.median(wall for wall, _ in taken), 1),
                "processor_ms": round(1e3 * statistics.median(used for _, used in taken), 1),
                "wall_ratio": _ratio(taken, seconds[0], 0),
                "processor_ratio": _ratio(taken, seconds[0], 1),
                "psnr_db": round(one.psnr_db, 2),
                "differing_share": f"{one.differing_share:.2e}",
                "rounds": arguments.rounds,
            }

    def _open(self, variant: Variant, stack: contextlib.ExitStack) -> Run:
        note(f"{self._recipe.name} {format_size(*self._size)} {self._threads} threads: {variant}")
        if variant.run == "edgeunet":
            os.environ[SPINNING] = "on" if variant.spinning else "off"
            bundle = self._bundle(variant)
            executor = Executor(
                bundle, "onnxruntime", threads=self._threads, workers=variant.workers
            )
            stack.callback(executor.close)
            return lambda: executor.run(self._image)
        if variant.run in (NCNN, MNN):
            return open_float_peer(
                variant.run, self._recipe, self._weights, self._image, self._threads, self._folder
            )
        peer = ONNXRUNTIME if variant.run == REFERENCE else OPENVINO
        order = {"graph": str(self._graph), "threads": self._threads}
        return open_peer(peer, order, self._image)

    def _bundle(self, variant: Variant) -> Bundle:
        path = self._folder / f"{variant.precision}-{variant.windows}-{variant.workers}.bundle"
        if path.exists():
            return open_bundle(path)
        return api.export(
            self._recipe.name,
            size=self._size,
            precision=variant.precision,
            windows="auto" if variant.windows == "auto" else None,
            budget=variant.windows if variant.windows == BUDGET else None,
            workers=variant.workers if variant.workers > 1 else None,
            out=path,
        )

    def _predicted(self, variant: Variant) -> float | str:
        """Return the MiB that a bundle is predicted to take on this processor, else nothing."""
        if variant.run != "edgeunet":
            return ""
        predicted = promise_of(self._bundle(variant).manifest, self._threads).predicted_bytes
        return "" if predicted is None else round(predicted / 2**20, 1)

    def _checked(self, variant: Variant, run: Run, opened: list[Opened]) -> Opened:
        """Compare a variant's answers with the reference's; ends the run when they are wrong."""
        answers = {name: np.array(answer) for name, answer in run().items()}
        if not opened:
            self._wanted = answers
        for name, answer in answers.items():
            if answer.shape != self._wanted[name].shape:
                text = f"{name} of shape {answer.shape}, not {self._wanted[name].shape}"
                raise LeftOutError(f"wrong output: {variant}, {text}")
        image, wanted = answers["denoised"], self._wanted["denoised"]
        apart = np.abs(image.astype(np.int16) - wanted)
        share = float(np.count_nonzero(apart)) / apart.size
        decibels = min(99.0, psnr_db(image, wanted, peak=255.0))
        wrong = decibels < LEAST_PSNR_DB[variant.precision]
        if variant.precision == FP32:
            wrong |= share > MOST_DIFFERING or int(apart.max()) > 1
        if "labels" in self._wanted:
            equal = float(np.mean(answers["labels"] == self._wanted["labels"]))
            wrong |= equal < LEAST_EQUAL_LABELS[variant.precision]
        if wrong:
            text = f"wrong output: {variant}, {decibels:.1f} dB, {share:.2e} of bytes"
            if variant.run in (NCNN, MNN):
                # Not every network comes through their converters.
                raise LeftOutError(text)
            raise SystemExit(text)
        return Opened(variant, run, decibels, share)


def _in_turn(opened: list[Opened], rounds: int) -> list[list[tuple[float, float]]]:
    """Return (wall seconds, processor seconds) of every round, for each run."""
    seconds: list[list[tuple[float, float]]] = [[] for _ in opened]
    for _ in range(rounds):
        for one, taken in zip(opened, seconds, strict=True):
            taken.append(_timed(one.run))
            time.sleep(_PAUSE_SECONDS)
    return seconds


def _timed(run: Callable[[], object]) -> tuple[float, float]:
    wall, used = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - used


def _ratio(
    taken: list[tuple[float, float]], reference: list[tuple[float, float]], figure: int
) -> float:
    pairs = zip(taken, reference, strict=True)
    return round(statistics.median(one[figure] / other[figure] for one, other in pairs), 3)


def _place(row: Mapping[str, object]) -> tuple[str, int, int]:
    """Return what rows are measured together by: network, rows of pixels, threads."""
    return str(row["model"]), int(str(row["size"]).split("x")[0]), int(str(row["threads"]))


def _priority() -> str:
    real_time = os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR)
    return "real-time" if real_time else "normal"


def _spins(variant: Variant) -> str:
    if variant.run == REFERENCE:
        return "on"
    return ("on" if variant.spinning else "off") if variant.run == "edgeunet" else ""


def _known_peers(text: str) -> list[str]:
    known = {"openvino": OPENVINO, "ncnn": NCNN, "mnn": MNN}
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"there is no peer {unknown[0]!r}; known: {', '.join(known)}")
    return [known[name] for name in names]


if __name__ == "__main__":
    main()
