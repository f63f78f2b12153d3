"""A network run window by window gives what it gives on the whole frame, to float rounding.

The windows are driven by the plainest code there is, so that what is tested is the stages: their
cuts, halos and alignment.
"""

from __future__ import annotations

import functools

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from edgeunet.convert.network_graph import graph_of_recipe
from edgeunet.graph.stages import Border, StageGraph, cut_into_stages
from edgeunet.graph.values import Floats
from edgeunet.recipes import load_recipe, recipe_names
from edgeunet.specs import FRAME, Precision
from edgeunet.tiling import Window, recompute_ratio, windows

BASE = 64
TILEABLE = [n for n in recipe_names() if n not in ("nafnet", "unetmm-full")]


@functools.cache
def graph(name: str) -> ir.Model:
    return graph_of_recipe(load_recipe(name).with_width(8), BASE, BASE, Precision.FP32)


def session(model: ir.Model) -> ort.InferenceSession:
    return ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )


def part(border: Border, rows: tuple[int, int], columns: tuple[int, int]) -> tuple[slice, ...]:
    assert border.axes is not None
    index = [slice(None)] * (max(border.axes) + 1)
    for axis, (first, last) in zip(border.axes, (rows, columns), strict=True):
        assert first % border.stride == last % border.stride == 0
        index[axis] = slice(first // border.stride, last // border.stride)
    return tuple(index)


def run_in_windows(
    stage: StageGraph, tensors: dict[str, Floats], size: tuple[int, int], tile: tuple[int, int]
) -> None:
    tile = (min(tile[0], size[0]), min(tile[1], size[1])) if stage.tiled else size
    runner = session(stage.at(*tile))
    names = [output.name for output in runner.get_outputs()]
    halos = (stage.halo_rows, stage.halo_columns)
    grid = [
        windows(size[i], tile[i], align=stage.align, before=halos[i].before, after=halos[i].after)
        if stage.tiled
        else [Window(0, 0, size[i])]
        for i in (0, 1)
    ]
    for row in grid[0]:
        for column in grid[1]:
            feeds = {}
            for border in stage.inputs:
                reach = [(w.start, w.start + t) for w, t in zip((row, column), tile, strict=True)]
                feeds[border.name] = tensors[border.name][part(border, reach[0], reach[1])]
            results = dict(zip(names, runner.run(names, feeds), strict=True))
            for border in stage.outputs:
                result = results[border.name]
                if border.axes is None:
                    tensors[border.name] = result
                    continue
                if border.name not in tensors:
                    shape = list(result.shape)
                    for axis, length in zip(border.axes, size, strict=True):
                        shape[axis] = length // border.stride
                    tensors[border.name] = np.full(shape, 77, result.dtype)
                inside = [(w.first - w.start, w.last - w.start) for w in (row, column)]
                settled = [(w.first, w.last) for w in (row, column)]
                tensors[border.name][part(border, settled[0], settled[1])] = result[
                    part(border, inside[0], inside[1])
                ]


def combinations(count: int) -> list[tuple[str, int, bool, tuple[int, int], tuple[int, int]]]:
    generator = np.random.default_rng(5)
    found = []
    for index in range(count):
        name = TILEABLE[index % len(TILEABLE)]
        level = int(generator.integers(1, 4))
        size = tuple(16 * int(n) for n in generator.integers(2, 17, 2))
        tile = tuple(8 * int(n) for n in generator.integers(14, 25, 2))
        found.append((name, level, bool(generator.integers(2)), size, tile))
    return found  # type: ignore[return-value]


@pytest.mark.parametrize(("name", "level", "recompute", "size", "tile"), combinations(36))
def test_windows_give_what_the_whole_frame_gives(
    name: str, level: int, recompute: bool, size: tuple[int, int], tile: tuple[int, int]
) -> None:
    stages = cut_into_stages(graph(name), level, recompute=recompute)
    (whole,) = cut_into_stages(graph(name), 0)
    frame = np.random.default_rng(level).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    tensors: dict[str, Floats] = {FRAME: frame}
    for stage in stages:
        run_in_windows(stage, tensors, size, tile)
    wanted: dict[str, Floats] = {FRAME: frame}
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


def test_a_halo_one_element_smaller_is_wrong() -> None:
    """The halo is no larger than it must be: with less, the seams show in the floats."""
    stages = cut_into_stages(graph("unetmm"), 2)
    size, tile = (256, 256), (128, 128)
    frame = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)

    def encoded(stage: StageGraph) -> dict[str, Floats]:
        tensors: dict[str, Floats] = {FRAME: frame}
        run_in_windows(stage, tensors, size, tile)
        return tensors

    encode = stages[0]
    assert encode.halo_rows.before > 0
    smaller = StageGraph(
        encode.name, encode.model, encode.inputs, encode.outputs, encode.align,
        type(encode.halo_rows)(0, 0), type(encode.halo_rows)(0, 0), encode.tiled,
    )  # fmt: skip
    exact, wrong = encoded(encode), encoded(smaller)
    name = encode.outputs[-1].name
    assert np.abs(exact[name] - wrong[name]).max() > 1e-3


@pytest.mark.parametrize("length", [64, 65 * 8, 1088, 1920])
@pytest.mark.parametrize("window", [64, 120, 4096])
@pytest.mark.parametrize("halo", [(0, 0), (8, 3), (19, 19)])
def test_every_pixel_is_settled_once(length: int, window: int, halo: tuple[int, int]) -> None:
    found = windows(length, window, align=8, before=halo[0], after=halo[1])
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
