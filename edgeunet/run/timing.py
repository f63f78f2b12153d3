"""Times a graph on this machine, to find the fastest plan."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from edgeunet.engine import open_session

_WARM_UP_RUNS = 2
_RUNS = 5


def time_graph(path: Path, *, engine: str = "auto", threads: int | None = None) -> float:
    """Return the duration of one run of an ONNX file in seconds, the shortest of several runs.

    threads: CPU threads; None takes every core.
    Raises EngineError when the engine cannot run the file.
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
