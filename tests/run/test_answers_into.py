"""Answers in arrays of the caller: equal to an executor's own, and left alone afterwards."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edgeunet.bundle import Bundle
from edgeunet.errors import EngineError
from edgeunet.run.executor import Executor
from edgeunet.specs import Array
from tests.bundle.tiny import tiny_bundle, windowed_bundle
from tests.media.clips import picture

SIZE = (45, 61)


@pytest.fixture(params=["whole", "windows", "two workers"])
def executor(request: pytest.FixtureRequest, tmp_path: Path) -> Executor:
    whole = request.param == "whole"
    bundle = tiny_bundle(tmp_path, *SIZE) if whole else windowed_bundle(tmp_path, *SIZE)
    return Executor(bundle, threads=2, workers=2 if request.param == "two workers" else None)


def arrays_of(executor: Executor) -> dict[str, Array]:
    """Return arrays of the outputs' shapes whose memory begins at an odd place."""
    own = executor.run(picture(9, *SIZE))
    return {
        name: np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        for name, array in own.items()
    }


def copies(outputs: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array.copy() for name, array in outputs.items()}


def test_answers_are_equal_and_are_not_overwritten(executor: Executor) -> None:
    sets = [arrays_of(executor) for _ in range(3)]
    wanted = [copies(executor.run(picture(seed, *SIZE))) for seed in range(4)]
    own = executor.run(picture(0, *SIZE))
    for seed, arrays in enumerate(sets):
        given = executor.run(picture(seed, *SIZE), arrays)
        assert all(given[name] is array for name, array in arrays.items())
    for seed, arrays in enumerate(sets):
        assert all(np.array_equal(arrays[name], wanted[seed][name]) for name in arrays)
    # What was returned without arrays of the caller is not written either.
    assert all(np.array_equal(own[name], wanted[0][name]) for name in own)
    again = executor.run(picture(3, *SIZE))
    assert all(again[name] is own[name] for name in own)
    assert all(np.array_equal(again[name], wanted[3][name]) for name in own)


def test_outputs_that_are_not_given_stay_where_they_are(tmp_path: Path) -> None:
    executor = Executor(tiny_bundle(tmp_path, *SIZE), threads=1)
    own = executor.run(picture(1, *SIZE))
    wanted = copies(own)
    array = np.zeros_like(own["denoised"])
    executor.run(picture(2, *SIZE))
    given = executor.run(picture(1, *SIZE), {"denoised": array})
    assert given["labels"] is own["labels"]
    assert all(np.array_equal(given[name], wanted[name]) for name in wanted)


def test_changing_places_costs_no_memory(executor: Executor) -> None:
    sets = [arrays_of(executor) for _ in range(2)]
    image = picture(1, *SIZE)
    tracemalloc.start()
    levels = []
    for _ in range(3):
        # Python keeps some of the small blocks that the first ones give back.
        for number in range(100):
            executor.run(image, sets[number % 2])
        levels.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert levels[2] - levels[1] < 2048
    executor.close()


def test_an_array_that_does_not_fit_is_refused(bundle: Bundle) -> None:
    executor = Executor(bundle, threads=1)
    image = picture(1, *SIZE)
    wanted = executor.run(image)["denoised"].copy()
    for array in (np.zeros((1, 9, 9, 3), np.uint8), np.zeros((1, *SIZE, 6), np.uint8)[..., ::2]):
        with pytest.raises(EngineError, match="'denoised'"):
            executor.run(image, {"denoised": array})
        assert np.array_equal(executor.run(image)["denoised"], wanted)


@pytest.fixture(params=[tiny_bundle, windowed_bundle])
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Bundle:
    made: Bundle = request.param(tmp_path, *SIZE)
    return made
