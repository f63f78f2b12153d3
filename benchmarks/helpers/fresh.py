"""What does a frame give, and what does it take? Asked of a process that does nothing else.

Memory is that of ``edgeunet memory --measure`` (``edgeunet.run.measured``): the high-water mark of
the process while frames run, above the loaded model.
"""

from __future__ import annotations

import json
import sys
import time
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


def _main(text: str) -> int:
    order = json.loads(text)
    try:
        if order["task"] == "answer":
            answer = _answer(order)
        else:
            answer = asdict(measure_runs(_opened(order), order["run"], order["frames"]))
    except EdgeUnetError as error:
        answer = {"error": error.message, "hint": error.hint}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
