"""What does a frame give, and what does it take? Asked of a process that does nothing else.

The high-water mark is ``edgeunet.run.measured``'s: pages that frames touched beyond the loaded
model. The heap figure knows nothing of pages: it is the peak of what memray saw allocated while
frames ran, plus the numpy buffers that loading made for them. An allocator that reserves more than
it touches, as onnxruntime's arena does (its regions are powers of two), has a heap figure above
the measured one; for one that touches all it takes they agree.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.helpers.peers import PEERS, Run, open_peer
from edgeunet.bundle import open_bundle
from edgeunet.errors import EdgeUnetError
from edgeunet.run.executor import Executor
from edgeunet.run.measured import Measurement, ask, measure_runs
from edgeunet.specs import Array
from edgeunet.units import MIB

FRAMES = 6
_LONGEST_SECONDS = 3600

Order = Mapping[str, Any]
"""run: a peer's name or anything else for a bundle. height, width. target: the bundle. What
``open_peer`` needs."""


def answers_of(
    order: Order, path: Path, timeout_seconds: float | None = None
) -> tuple[dict[str, Array], float]:
    """Return the outputs for one frame, through the file ``path``, and the frame's seconds."""
    found = _ask({**order, "task": "answer", "out": str(path)}, timeout_seconds)
    with np.load(path) as stored:
        return dict(stored), found["seconds"]


def measurement_of(order: Order, frames: int = FRAMES) -> Measurement:
    return Measurement.read(_ask({**order, "task": "measure", "frames": frames}))


def heap_bytes_of(order: Order) -> int:
    return int(_ask({**order, "task": "heap"})["heap_bytes"])


def _ask(order: Order, timeout_seconds: float | None = None) -> dict[str, Any]:
    return ask(
        "benchmarks.helpers.fresh", order, timeout_seconds=timeout_seconds or _LONGEST_SECONDS
    )


def _opened(order: Order) -> Run:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (order["height"], order["width"], 3), dtype=np.uint8)
    if order["run"] in PEERS:
        return open_peer(order["run"], order, image)
    executor = Executor(open_bundle(Path(order["target"])))
    return lambda: executor.run(image)


def _answer(order: Order) -> dict[str, Any]:
    run = _opened(order)
    start = time.perf_counter()
    outputs = run()
    seconds = time.perf_counter() - start
    np.savez(order["out"], **outputs)  # type: ignore[arg-type]  # no output is called allow_pickle
    return {"seconds": seconds}


def _heap(order: Order) -> dict[str, Any]:
    memray = importlib.import_module("memray")
    tracemalloc.start()
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "load.bin"
        with memray.Tracker(record, native_traces=False, trace_python_allocators=False):
            run = _opened(order)
        with memray.FileReader(record) as reader:
            sizes = [entry.size for entry in reader.get_allocation_records()]
    region = _region_bytes(order)
    # Some networks have the arena's region reserved while they load.
    reserved = max((size for size in sizes if region <= size <= region + MIB), default=0)
    arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    traces = tracemalloc.take_snapshot().filter_traces([arrays]).traces
    tracemalloc.stop()
    # The frame itself was there before.
    buffers = sum(trace.size for trace in traces) - order["height"] * order["width"] * 3
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "heap.bin"
        with memray.Tracker(record, native_traces=False, trace_python_allocators=False):
            for _ in range(FRAMES):
                run()
        with memray.FileReader(record) as reader:
            return {"heap_bytes": reserved + buffers + reader.metadata.peak_memory}


def _region_bytes(order: Order) -> int:
    """Return the arena's first region of a bundle; none is that of a peer."""
    if order["run"] in PEERS:
        return sys.maxsize
    return open_bundle(Path(order["target"])).manifest.memory.region_bytes


def _main(text: str) -> int:
    order = json.loads(text)
    try:
        if order["task"] == "answer":
            answer = _answer(order)
        elif order["task"] == "heap":
            answer = _heap(order)
        else:
            answer = asdict(measure_runs(_opened(order), order["run"], order["frames"]))
    except EdgeUnetError as error:
        answer = {"error": error.message, "hint": error.hint}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
