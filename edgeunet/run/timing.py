"""How long a graph takes on this machine: the plan that is fastest is found with it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from edgeunet.engine import open_session

_WARM_UP_RUNS = 2
_RUNS = 5


def time_graph(path: Path, *, engine: str = "auto", threads: int | None = None) -> float:
    """Return the seconds of one run of an ONNX file, the shortest of several.

    Raises EngineError when the engine cannot run it.
    """
    with open_session(path, engine, threads=threads) as session:
        generator = np.random.default_rng(0)
        feeds = {spec.name: spec.random(generator) for spec in session.inputs}
        for _ in range(_WARM_UP_RUNS):
            session.run(feeds)
        seconds = []
        for _ in range(_RUNS):
            start = time.perf_counter()
            session.run(feeds)
            seconds.append(time.perf_counter() - start)
    return min(seconds)
