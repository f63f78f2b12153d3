"""A network run window by window gives what it gives on the whole frame, to float rounding.

The windows are driven by the plainest code there is, so that what is tested is the stages: their
cuts, halos and alignment.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgeunet.frame_windows import Halo, recompute_ratio, windows
from edgeunet.graph.stages import FrameGraph, StageGraph
from edgeunet.graph.values import Floats
from edgeunet.recipes import recipe_names
from edgeunet.specs import COUNT_NEXT, FRAME
from tests.convert.small import LEAST_COUNT, MEANS, base
from tests.graph.plain_windows import run_in_windows


def combinations(count: int) -> list[tuple[str, int, int, tuple[int, int], tuple[int, int]]]:
    generator = np.random.default_rng(5)
    found = []
    for index in range(count):
        name = recipe_names()[index % len(recipe_names())]
        level = int(generator.integers(1, 4))
        size = tuple(16 * int(n) for n in generator.integers(2, 17, 2))
        window = tuple(8 * int(n) for n in generator.integers(14, 25, 2))
        recompute = 0 if name in MEANS else int(generator.integers(level + 1))
        found.append((name, level, recompute, size, window))
    return found  # type: ignore[return-value]


@pytest.mark.parametrize(("name", "level", "recompute", "size", "window"), combinations(36))
def test_windows_give_what_the_whole_frame_gives(
    name: str, level: int, recompute: int, size: tuple[int, int], window: tuple[int, int]
) -> None:
    stages = FrameGraph(base(name)).cut(level, recompute=recompute)
    (whole,) = FrameGraph(base(name)).cut(0)
    generator = np.random.default_rng(level)
    # A network that remembers reads its state beside the frame, in bytes as well.
    feeds: dict[str, Floats] = {
        border.name: generator.integers(
            LEAST_COUNT if border.name == COUNT_NEXT else 0,
            256,
            border.shape_at(*size),
            dtype=np.uint8,
        )
        for border in whole.inputs
    }
    tensors = dict(feeds)
    for stage in stages:
        run_in_windows(stage, tensors, size, window)
    wanted = dict(feeds)
    run_in_windows(whole, wanted, size, size)
    for border in whole.outputs:
        given, reference = tensors[border.name], wanted[border.name]
        if reference.dtype == np.uint8:
            # Rounding may fall to the other side where the float lies on it.
            different = given != reference
            assert different.mean() < 1e-4
            if border.name == "denoised":
                assert np.abs(given.astype(int) - reference).max() <= 1
        else:
            np.testing.assert_allclose(given, reference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["unetmm", "umc-shared", "nafnet"])
def test_a_halo_one_element_smaller_is_wrong(name: str) -> None:
    """The halo is no larger than it must be: with less, the seams show in the floats."""
    size, window = (256, 192), (128, 96)
    frame = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    tensors: dict[str, Floats] = {FRAME: frame}
    tried = 0
    for stage in FrameGraph(base(name)).cut(2):
        before = dict(tensors)
        run_in_windows(stage, tensors, size, window)
        floats = [border.name for border in stage.outputs if border.dtype == "float32"]
        if not stage.windowed or stage.cellwise or not floats:
            continue
        for smaller in one_element_less(stage):
            wrong = dict(before)
            run_in_windows(smaller, wrong, size, window)
            assert any(
                np.abs(tensors[name] - wrong[name]).max() > 1e-6 * np.abs(tensors[name]).max()
                for name in floats
            ), f"{stage.name} with {smaller.halo_rows}, {smaller.halo_columns}"
            tried += 1
    assert tried


def one_element_less(stage: StageGraph) -> list[StageGraph]:
    """The stage with each of its four halos smaller by one element of its coarsest output."""
    element = int(max(border.stride for border in stage.outputs))
    found = []
    for side in ("halo_rows", "halo_columns"):
        halo: Halo = getattr(stage, side)
        for end in ("before", "after"):
            pixels = getattr(halo, end)
            if pixels:
                less = dataclasses.replace(halo, **{end: pixels - element})
                found.append(dataclasses.replace(stage, **{side: less}))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("length", [64, 65 * 8, 1088, 1920])
@pytest.mark.parametrize("window", [64, 120, 4096])
@pytest.mark.parametrize("halo", [(0, 0), (8, 3), (19, 19)])
def test_every_pixel_is_settled_once(length: int, window: int, halo: tuple[int, int]) -> None:
    found = windows(length, window, align=8, halo=Halo(*halo))
    settled = np.zeros(length, int)
    for one in found:
        settled[one.first : one.last] += 1
        assert one.start % 8 == 0
        assert 0 <= one.start <= one.first < one.last <= length
        if window < length:
            assert one.start + window <= length
            assert one.start == 0 or one.first - one.start >= halo[0]
            assert one.last == length or one.start + window - one.last >= halo[1]
    assert (settled == 1).all()
    assert recompute_ratio(length, window, found) >= 1
