"""The memory of a network that remembers is aligned in windows as it is on the whole frame."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch

from edgeunet.convert.alignment_graph import alignment_graph
from edgeunet.convert.network_graph import NetworkGraphs, graphs_of_recipe
from edgeunet.convert.network_plan import planner_of
from edgeunet.convert.remembering_frame import AlignModule
from edgeunet.graph.stages import FrameGraph
from edgeunet.models.alignment import BLOCK, HALO, REACH
from edgeunet.recipes import load_recipe
from edgeunet.specs import Array, Image, Precision
from tests.graph.plain_windows import run_in_windows, session

SIZE = (176, 216)
WINDOW = (152, 160)


@pytest.fixture(scope="module")
def graphs() -> NetworkGraphs:
    recipe = load_recipe("unetmm")
    network = msgspec.structs.replace(
        recipe.network,
        width=4,
        encoder_blocks=(1, 1, 1),
        decoder_blocks=(1, 1, 1),
        temporal="fuse",
    )
    return graphs_of_recipe(msgspec.structs.replace(recipe, network=network, train=None))


def noise(seed: int) -> Image:
    found: Image = np.random.default_rng(seed).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    return found


def patched(image: Image) -> Image:
    """Move every part of an image by another motion, of up to what can be found."""
    found: Image = image.copy()
    generator = np.random.default_rng(9)
    for top in range(0, SIZE[0], 24):
        for left in range(0, SIZE[1], 24):
            motion = generator.integers(-REACH, REACH + 1, 2)
            moved = np.roll(image, (int(motion[0]), int(motion[1])), (1, 2))
            part = (slice(None), slice(top, top + 24), slice(left, left + 24))
            found[part] = moved[part]
    return found


def test_windows_find_the_motion_that_the_whole_frame_finds(graphs: NetworkGraphs) -> None:
    whole = FrameGraph(graphs.aligning(*SIZE)).stage("align", windowed=False)
    stage = whole.in_windows(BLOCK, HALO, graphs.aligning)
    frame = noise(0)
    count = np.random.default_rng(1).integers(0, 9, (1, 1, SIZE[0] // 2, SIZE[1] // 2))
    names = [border.name for border in stage.inputs]
    for previous in (patched(frame), noise(3)):
        given: dict[str, Array] = dict(
            zip(names, (frame, previous, count.astype(np.uint8), noise(4)), strict=True)
        )
        wanted, found = dict(given), dict(given)
        run_in_windows(whole, wanted, SIZE, SIZE)
        run_in_windows(stage, found, SIZE, WINDOW)
        for border in stage.outputs:
            assert np.array_equal(found[border.name], wanted[border.name]), border.name
        moved = wanted[stage.outputs[0].name] != previous
        assert moved.mean() > 0.3


@pytest.mark.parametrize("fuse", [True, False])
def test_what_is_drawn_is_what_torch_computes(fuse: bool) -> None:
    module = AlignModule(fuse=fuse)
    runner = session(alignment_graph(*SIZE, fuse=fuse))
    frame = noise(0)
    count = np.random.default_rng(1).integers(0, 249, (1, 1, SIZE[0] // 2, SIZE[1] // 2))
    for previous in (patched(frame), noise(3), np.zeros_like(frame)):
        given = [frame, previous, count.astype(np.uint8), *([noise(4)] if fuse else [])]
        with torch.no_grad():
            wanted = module(*(torch.from_numpy(one) for one in given))
        answers = runner.run(None, dict(zip(module.inputs, given, strict=True)))
        for name, one, other in zip(module.outputs, answers, wanted, strict=True):
            assert np.array_equal(one, other.numpy()), name


def test_a_smaller_halo_would_be_wrong(graphs: NetworkGraphs) -> None:
    whole = FrameGraph(graphs.aligning(*SIZE)).stage("align", windowed=False)
    stage = whole.in_windows(BLOCK, BLOCK, graphs.aligning)
    frame = noise(0)
    count = np.zeros((1, 1, SIZE[0] // 2, SIZE[1] // 2), np.uint8)
    names = [border.name for border in stage.inputs]
    given = dict(zip(names, (frame, patched(frame), count, noise(4)), strict=True))
    wanted, found = dict(given), dict(given)
    run_in_windows(whole, wanted, SIZE, SIZE)
    run_in_windows(stage, found, SIZE, WINDOW)
    name = stage.outputs[0].name
    assert not np.array_equal(found[name], wanted[name])


def test_plans_count_the_arithmetic_of_aligning(graphs: NetworkGraphs) -> None:
    planner = planner_of(graphs, 152, 176, Precision.FP16)
    smallest, comfortable = planner.smallest(), planner.comfortable()
    assert [one.window is not None for one in smallest.stages[:2]] == [True, True]
    assert comfortable.recompute_ratio <= 1.25 < smallest.recompute_ratio
    assert smallest.prediction.total_bytes < comfortable.prediction.total_bytes
