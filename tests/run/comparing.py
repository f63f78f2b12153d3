"""Runs two engines on the same frames and compares their outputs."""

from __future__ import annotations

import numpy as np

from edgeunet.bundle import Bundle
from edgeunet.run.executor import Executor
from edgeunet.specs import Array
from tests.media.clips import picture


def answers(bundle: Bundle, engine: str, seeds: tuple[int, ...] = (1, 2)) -> list[dict[str, Array]]:
    """Return copies of every output for some frames. Every other frame runs into new arrays."""
    executor = Executor(bundle, engine, threads=1)
    size = (bundle.manifest.height, bundle.manifest.width)
    found: list[dict[str, Array]] = []
    try:
        for number, seed in enumerate(seeds):
            if number % 2:
                into = {name: np.zeros_like(array) for name, array in found[-1].items()}
                assert executor.run(picture(seed, *size), into).keys() == into.keys()
                found.append(into)
            else:
                given = executor.run(picture(seed, *size))
                found.append({name: array.copy() for name, array in given.items()})
        return found
    finally:
        executor.close()


def same(one: list[dict[str, Array]], other: list[dict[str, Array]]) -> bool:
    return all(
        a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
        for a, b in zip(one, other, strict=True)
    )
