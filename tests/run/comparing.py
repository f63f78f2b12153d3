"""Runs two engines on the same frames and compares their outputs."""

from __future__ import annotations

import numpy as np

from edgeunet.bundle import Bundle
from edgeunet.run.executor import Executor
from edgeunet.specs import Array
from tests.media.clips import picture


def answers(bundle: Bundle, engine: str, seeds: tuple[int, ...] = (1, 2)) -> list[dict[str, Array]]:
    """Return copies of every output for some frames."""
    executor = Executor(bundle, engine, threads=1)
    height, width = bundle.manifest.height, bundle.manifest.width
    try:
        return [
            {name: a.copy() for name, a in executor.run(picture(seed, height, width)).items()}
            for seed in seeds
        ]
    finally:
        executor.close()


def same(one: list[dict[str, Array]], other: list[dict[str, Array]]) -> bool:
    return all(
        a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
        for a, b in zip(one, other, strict=True)
    )
