"""On this GPU: is every engine right, does memory agree with what was predicted, how fast is it?

One command, ten minutes, one JSON in ``results/``. Every figure stands beside the roofline: the
least time that the bytes and operations counted in the graphs take at the speed that was measured.
Without a GPU everything that needs one is left out with the reason; ``--dry-run`` shows that on
tiny networks, and writes no result. A board without torch is given bundles that were exported
elsewhere, and compares with onnxruntime on its CPU: ``python -m benchmarks.gpu a.bundle b.bundle``.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.helpers.gpu_parity import Check, Frame, against_onnxruntime, against_torch
from benchmarks.helpers.gpu_peers import PEERS, open_peer
from benchmarks.helpers.record import RESULTS, provenance
from benchmarks.helpers.roofline import (
    Peaks,
    count,
    measured_bytes_per_s,
    measured_operations_per_s,
)
from edgeunet.analysis.memory_report import MemoryReport
from edgeunet.bundle import Bundle, open_bundle
from edgeunet.bundle.figures import report_of_bundle
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.engine.cuda import open_device
from edgeunet.engine.cuda.settings import GRAPH, TRANSFERS, read_settings
from edgeunet.errors import EdgeUnetError
from edgeunet.files import replacing_file
from edgeunet.planning.request import PlanRequest
from edgeunet.recipes import load_recipe
from edgeunet.run.executor import Executor
from edgeunet.run.measured import measure
from edgeunet.specs import Precision
from edgeunet.units import format_size

MINUTES = 10.0
WARM_UP = 10
_PERCENTILES = (50, 95, 99)
# The choices that README calls measured: each against the other, in turns.
SWITCHES: tuple[dict[str, str], ...] = (
    {TRANSFERS: "mapped", GRAPH: "on"},
    {TRANSFERS: "copied", GRAPH: "on"},
    {TRANSFERS: "mapped", GRAPH: "off"},
    {TRANSFERS: "copied", GRAPH: "off"},
)


@dataclass(frozen=True)
class Made:
    """A bundle, what compares an engine's answers, and torch's network where there is a torch."""

    bundle: Bundle
    check: Check
    module: Any = None


@dataclass(frozen=True)
class Subject:
    """A network as it is run: in windows of ``tile``, or whole. width: None is the recipe's own.

    random: with random weights, not the shipped ones.
    """

    model: str
    precision: Precision
    size: tuple[int, int]
    window: tuple[int, int] | None = None
    width: int | None = None
    random: bool = False

    @property
    def key(self) -> str:
        run = "whole" if self.window is None else f"in {format_size(*self.window)}"
        return f"{self.model} {self.precision} {format_size(*self.size)} {run}"


FRAME_SIZE, TILE = (720, 1280), (256, 256)
SUBJECTS = (
    Subject("unetmm", Precision.FP16, FRAME_SIZE),
    Subject("unetmm", Precision.FP16, FRAME_SIZE, TILE),
    Subject("unetmm", Precision.FP32, FRAME_SIZE),
    Subject("nafnet", Precision.FP16, FRAME_SIZE, random=True),
    Subject("joint", Precision.FP16, FRAME_SIZE, TILE, random=True),
)
DRY = (Subject("unetmm", Precision.FP32, (48, 64), (48, 48), width=4, random=True),)


class Clock:
    """What is left of the minutes; whoever comes too late is left out, and said to be."""

    def __init__(self, minutes: float) -> None:
        self._end_s = time.monotonic() + 60 * minutes

    @property
    def left_s(self) -> float:
        return self._end_s - time.monotonic()


def gpu_facts() -> dict[str, Any]:
    """Return the GPU, or why there is none, and how fast its memory is."""
    settings = read_settings()
    try:
        with open_device(settings.backend, settings.ordinal) as device:
            facts = asdict(device.facts)
            return {**facts, "cuda": device.backend, "bytes_per_s": measured_bytes_per_s(device)}
    except EdgeUnetError as error:
        return {"skipped": error.message}


def make(subject: Subject, folder: Path) -> Made:
    """Export the bundle."""
    from edgeunet.convert.exporting import ExportOrder, draft_bundle
    from edgeunet.convert.network_graph import frame_module, network_for_export

    recipe = load_recipe(subject.model).with_width(subject.width)
    weights = None if subject.random else shipped_weights(subject.model, recipe)
    request = PlanRequest(window=subject.window) if subject.window else PlanRequest(whole=True)
    order = ExportOrder(recipe, *subject.size, subject.precision, weights, request=request)
    seed = importlib.import_module("torch").manual_seed
    seed(0)
    bundle = draft_bundle(order, folder / f"{subject.key.replace(' ', '-')}.bundle")
    # Random weights are drawn again, the same.
    seed(0)
    module = frame_module(network_for_export(recipe, weights), recipe)
    check = functools.partial(against_torch, module, recipe, subject.precision, subject.size)
    return Made(bundle, check, module)


def given(path: Path) -> tuple[Subject, Made]:
    """Return a bundle that is there already."""
    bundle = open_bundle(path)
    manifest = bundle.manifest
    windows = [stage.window for stage in manifest.stages if stage.window is not None]
    subject = Subject(
        manifest.name,
        manifest.precision,
        (manifest.height, manifest.width),
        (windows[0].height, windows[0].width) if windows else None,
    )
    return subject, Made(bundle, functools.partial(against_onnxruntime, bundle))


def build(bundle: Bundle) -> dict[str, Any]:
    """Build every plan; return how long each took and what its compiler said."""
    from edgeunet.engine.trt.build_options import BuildOptions
    from edgeunet.engine.trt.bundles import build_bundle
    from edgeunet.engine.trt.plans import Gpu
    from edgeunet.engine.trt.provider import load_provider

    provider = load_provider()
    settings = read_settings()
    with open_device(settings.backend, settings.ordinal) as device:
        gpu = Gpu(device.facts.name, device.facts.compute_capability_text)
        with device.active():
            plans = build_bundle(bundle, provider, BuildOptions(), gpu)
    return {
        "tensorrt": provider.version_text,
        "stages": {plan.info.stage: {"seconds": plan.info.seconds} for plan in plans},
    }


def timed(run: Frame, size: tuple[int, int], seconds: float) -> dict[str, Any]:
    """Return latencies over as many frames as fit the time; ten at least, after a warm-up."""
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for _ in range(WARM_UP):
        run(image)
    times_ms: list[float] = []
    end = time.perf_counter() + seconds
    while len(times_ms) < WARM_UP or time.perf_counter() < end:
        start = time.perf_counter()
        run(image)
        times_ms.append(1e3 * (time.perf_counter() - start))
    latency = {f"p{p}": float(np.percentile(times_ms, p)) for p in _PERCENTILES}
    return {
        "frames": len(times_ms),
        "latency_ms": latency,
        "frames_per_second": 1e3 / float(np.mean(times_ms)),
    }


def engine_row(subject: Subject, name: str, opened: Callable[[], Any], seconds: float) -> Any:
    """Run one engine: parity, then time. What cannot be had has its reason in ``skipped``."""
    try:
        run, check, close = opened()
    except (EdgeUnetError, RuntimeError) as error:  # torch's own failures are RuntimeError
        return {"engine": name, "skipped": str(error).splitlines()[0]}
    try:
        row = {} if check is None else {"parity": check(run)}
        return {"engine": name, **row, **timed(run, subject.size, seconds)}
    except (EdgeUnetError, RuntimeError) as error:
        return {"engine": name, "failed": str(error).splitlines()[0]}
    finally:
        close()


def executor_opener(bundle: Bundle, engine: str, check: Check | None) -> Callable[[], Any]:
    def opened() -> Any:
        executor = Executor(bundle, engine)
        return executor.run, check, executor.close

    return opened


def peer_opener(name: str, bundle: Bundle, module: Any) -> Callable[[], Any]:
    # Its parity is torch's own business; only its time is compared.
    return lambda: (open_peer(name, bundle, module), None, lambda: None)


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def subject_rows(subject: Subject, made: Made, clock: Clock, gpu: Any) -> Any:
    """Return everything about one subject."""
    bundle = made.bundle
    counted = count(bundle)
    operations = None if "skipped" in gpu else measured_operations_per_s(subject.precision)
    peaks = Peaks(gpu.get("bytes_per_s"), operations)
    report = report_of_bundle(bundle)
    found: dict[str, Any] = {
        "subject": subject.key,
        "counted": asdict(counted),
        "peaks": asdict(peaks),
        "least_ms": peaks.least_ms(counted),
        "predicted_bytes": report.held_bytes + max_working(report),
    }
    try:
        found["build"] = build(bundle)
    except EdgeUnetError as error:
        found["build"] = {"skipped": error.message}
    seconds = min(5.0, max(0.5, clock.left_s / 40))
    rows = [
        engine_row(subject, "tensorrt", executor_opener(bundle, "tensorrt", made.check), seconds)
    ]
    if "skipped" not in rows[0]:
        for variables in SWITCHES if subject.window else SWITCHES[:2]:
            with environment(variables):
                name = "tensorrt " + " ".join(f"{k}={v}" for k, v in variables.items())
                rows.append(
                    engine_row(subject, name, executor_opener(bundle, "tensorrt", None), seconds)
                )
        try:
            found["memory"] = asdict(measure(bundle.path, engine="tensorrt"))
        except EdgeUnetError as error:
            found["memory"] = {"skipped": error.message}
    for peer in PEERS:
        if clock.left_s < seconds:
            rows.append({"engine": peer, "skipped": "the minutes were over"})
            continue
        rows.append(engine_row(subject, peer, peer_opener(peer, bundle, made.module), seconds))
    least = found["least_ms"]
    for row in rows:
        if least and "latency_ms" in row:
            row["of_roofline"] = least / row["latency_ms"]["p50"]
    found["engines"] = rows
    return found


def max_working(report: MemoryReport) -> int:
    """Return the predicted work of the largest stage, with its window buffers."""
    if not report.planned:
        return report.peak_live_bytes
    return max(stage.window_bytes + stage.live_bytes for stage in report.planned)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--dry-run", action="store_true", help="tiny networks, no result kept")
    parser.add_argument("--out", type=Path, help="the JSON; results/gpu_NAME.json without it")
    parser.add_argument("bundles", nargs="*", type=Path, help="measure these, without torch")
    options = parser.parse_args(arguments)
    clock = Clock(options.minutes)
    gpu = gpu_facts()
    document: dict[str, Any] = {"provenance": provenance(), "gpu": gpu, "subjects": []}
    document["warm_up_frames"] = WARM_UP
    if "skipped" in gpu and not options.dry_run:
        print(f"no GPU: {gpu['skipped']}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        found = [given(path) for path in options.bundles]
        subjects = [subject for subject, _ in found] or (DRY if options.dry_run else SUBJECTS)
        for index, subject in enumerate(subjects):
            if clock.left_s < 0:
                document["subjects"].append({"subject": subject.key, "skipped": "out of time"})
                continue
            print(f"{subject.key} ...", file=sys.stderr)
            made = found[index][1] if found else make(subject, Path(folder))
            document["subjects"].append(subject_rows(subject, made, clock, gpu))
            _print_rows(document["subjects"][-1])
    text = json.dumps(document, indent=2) + "\n"
    if options.dry_run and options.out is None:
        print(text)
        return 0
    name = "_".join(str(gpu.get("name", "none")).lower().split())
    target = options.out or RESULTS / f"gpu_{name}.json"
    with replacing_file(target) as beside:
        beside.write_text(text)
    print(f"wrote {target}", file=sys.stderr)
    wrong = [
        f"{entry['subject']}: {row['engine']}"
        for entry in document["subjects"]
        for row in entry.get("engines", ())
        if "failed" in row or not all(figure["holds"] for figure in row.get("parity", ()))
    ]
    for line in wrong:
        print(f"WRONG {line}", file=sys.stderr)
    return 1 if wrong else 0


def _print_rows(found: Mapping[str, Any]) -> None:
    for row in found["engines"]:
        if "latency_ms" not in row:
            print(f"  {row['engine']}: {row.get('skipped') or row.get('failed')}", file=sys.stderr)
            continue
        times = " / ".join(f"{row['latency_ms'][f'p{p}']:.2f}" for p in _PERCENTILES)
        share = (
            f", {100 * row['of_roofline']:.0f} % of the roofline" if "of_roofline" in row else ""
        )
        print(f"  {row['engine']}: {times} ms{share}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
