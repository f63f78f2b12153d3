"""What a stage will take: lines over the window's area, and the engine's part on top."""

from __future__ import annotations

import numpy as np
import pytest

from edgeunet.analysis.liveness import liveness_of
from edgeunet.graph.for_engine import finish
from edgeunet.graph.summary import view_of_model
from edgeunet.imitation.allocations import Allocations, Buffer
from edgeunet.imitation.onnxruntime_arena import DEAD_BYTES, Arena
from edgeunet.imitation.prediction import (
    StageCost,
    border_size,
    engine_bytes,
    least_bytes,
    live_within,
    region_bytes,
    used_bytes,
    usual_bytes,
)
from edgeunet.imitation.tensorrt_compiler import WORKSPACE_BYTES, compiled_bytes, compiled_view
from edgeunet.specs import Engine
from edgeunet.units import MIB
from tests.analysis.plans import PADDED, planner

ENGINES = [Engine.ONNXRUNTIME, Engine.TENSORRT]
AREAS = np.array([side * side for side in range(16, 512, 16)])


def costs(engine: Engine) -> list[StageCost]:
    """The stages of a plan, encode, core and decode."""
    plan = planner("unetmm", engine).smallest()
    return [planned.cost for planned in plan.stages]


def taken(engine: Engine) -> list[Allocations]:
    """What each stage allocates on the first class of processors."""
    return [cost.allocations[0] for cost in costs(engine)]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_larger_window_never_takes_less(engine: Engine) -> None:
    for cost in costs(engine):
        live = cost.live_bytes(AREAS)
        assert (np.diff(live) >= 0).all()
        assert live[-1] > live[0] > 0
        assert (np.diff(cost.border_bytes(AREAS)) > 0).all()
        assert (np.diff(usual_bytes(engine, live)) >= 0).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [(48, 48), (64, 96), (128, 64)])
def test_the_live_line_is_that_of_the_graph_at_its_size(
    engine: Engine, size: tuple[int, int]
) -> None:
    """Lines come from one graph; here it is made at another size, and nothing is scaled."""
    area = size[0] * size[1]
    for cost in costs(engine):
        if not cost.stage.windowed:
            continue
        view = view_of_model(finish(cost.stage.at(*size), engine))
        live = int(cost.live_bytes(np.array([area]))[0])
        if engine is Engine.TENSORRT:
            view = compiled_view(view)
        peak = liveness_of(view).peak_bytes
        if engine is Engine.TENSORRT:
            assert live == pytest.approx(peak, rel=1e-3)
        # Blocks of 16 channels at width 8: up to twice as much, and sums over their terms.
        assert peak * 0.4 <= live <= peak * 2.5
        borders = [*view.inputs, *view.outputs]
        whole = sum(view.tensor(name).size_bytes for name in borders)
        assert int(cost.border_bytes(np.array([area]))[0]) == whole
        assert whole == sum(
            border_size(border, *size) for border in (*cost.stage.inputs, *cost.stage.outputs)
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_the_quick_estimate_and_its_inverse(engine: Engine) -> None:
    live = np.array([3 * MIB, 40 * MIB])
    taken = usual_bytes(engine, live)
    assert (taken >= live).all()
    for one, of in zip(live, taken, strict=True):
        assert live_within(engine, float(of)) == pytest.approx(float(one))


def test_fixed_windows_that_are_twice_as_large_take_more() -> None:
    """The replay is of real pieces, which fit each other now better, now worse."""
    plans = [planner("unetmm").smallest((side, side)) for side in (64, 128, 256)]
    taken = [plan.prediction.engine_bytes for plan in plans]
    assert taken == sorted(taken)
    for plan in plans:
        assert plan.prediction.live_bytes <= plan.prediction.engine_bytes


def test_tensorrt_takes_the_largest_stage_and_a_workspace() -> None:
    for plan in (
        planner("unetmm", Engine.TENSORRT).whole(),
        planner("unetmm", Engine.TENSORRT).smallest(),
    ):
        peaks = [
            compiled_bytes(view_of_model(one.stage.at(*(one.window or PADDED))))
            for one in plan.stages
        ]
        assert plan.prediction.engine_bytes == pytest.approx(max(peaks), rel=1e-3)
        assert plan.prediction.engine_bytes == plan.prediction.live_bytes + WORKSPACE_BYTES


@pytest.mark.parametrize("engine", ENGINES)
def test_no_engine_takes_less_than_the_least(engine: Engine) -> None:
    runs = [(one, side * side) for one in taken(engine) for side in (48, 96, 250)]
    for one, pixels in runs:
        least = least_bytes(engine, one.peak_bytes(pixels))
        assert 0 < least <= engine_bytes(engine, [(one, pixels)])


@pytest.mark.parametrize("side", [48, 96, 120, 250])
def test_stages_imitated_alone_need_what_they_need_in_turn(side: int) -> None:
    """Two frames, one stage after the other in one arena: in the region found there is room."""
    runs = [(one, side * side) for one in taken(Engine.ONNXRUNTIME)]
    for one, pixels in runs:
        allocated = sorted(index for step, _ in one.steps for index in step)
        assert allocated == sorted(index for _, step in one.steps for index in step)
        assert one.extent_bytes(pixels) >= one.peak_bytes(pixels) - len(one.buffers)
    endless = Arena(1 << 60, DEAD_BYTES)
    arena = Arena(region_bytes(runs), DEAD_BYTES)
    for imitated in (endless, arena):
        for one, _ in runs:
            one.load(imitated)
        for one, pixels in 2 * runs:
            one.replay(imitated, pixels)
    assert arena.regions == 1
    kept = [size for one, _ in runs for size in one.kept_bytes]
    behind = sum(-(-size // 256) * 256 for size in kept)
    alone = [one.extent_bytes(pixels) for one, pixels in runs]
    assert endless.extent_bytes == behind + max(alone)


@pytest.mark.parametrize("times", [1.0, 1.3, 1.9, 3.0])
def test_what_is_used_of_a_larger_region_is_what_the_arena_touches(times: float) -> None:
    plan = planner("unetmm").fitting(8 * MIB)
    runs = [
        (one.cost.allocations[0], one.window[0] * one.window[1])
        for one in plan.stages
        if one.window
    ]
    region = int(region_bytes(runs) * times) // 256 * 256
    arena = Arena(region, DEAD_BYTES)
    for one, pixels in runs:
        one.replay(arena, pixels)
    assert arena.regions == 1
    assert arena.touched_bytes <= used_bytes(region, runs) <= region
    orders = sum(len(one.events(pixels)) for one, pixels in runs)
    if orders == len(runs):
        assert used_bytes(region, runs) == arena.extent_bytes


def test_a_region_that_is_found_always_has_room() -> None:
    """The first buffer takes all of a region that is less than twice as large."""
    buffers = (Buffer(0.0, 350 << 10), Buffer(0.0, 15 << 10))
    one = Allocations(buffers, (((0,), ()), ((1,), (0, 1))), kept_bytes=())
    region = region_bytes([(one, 1)])
    assert region >= 2 * (350 << 10)
    arena = Arena(region, DEAD_BYTES)
    one.replay(arena, 1)
    assert arena.regions == 1
