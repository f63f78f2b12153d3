"""The fastest plan: what is timed decides, within the budget; and the region a plan asks for."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from edgeunet.errors import BudgetError
from edgeunet.graph.stages import StageGraph
from edgeunet.imitation.onnxruntime_arena import DEAD_BYTES, Arena, pool_for
from edgeunet.planning.frame_plan import FramePlan
from edgeunet.planning.request import WindowSize
from edgeunet.planning.tuning import fastest_plan
from edgeunet.specs import Engine
from tests.analysis.plans import planner

CPU = Engine.ONNXRUNTIME


def by_area(stage: StageGraph, window: WindowSize) -> float:
    return float(window[0] * window[1])


def dear_when_large(stage: StageGraph, window: WindowSize) -> float:
    """As a cache would have it: what is larger than 128x128 takes a hundred times as long."""
    area = window[0] * window[1]
    return area * (100.0 if stage.windowed and area > 128 * 128 else 1.0)


def largest_window(plan: FramePlan) -> int:
    return max((s.window[0] * s.window[1] for s in plan.stages if s.window is not None), default=0)


def test_the_whole_frame_when_windows_only_cost() -> None:
    plan = fastest_plan(planner("unetmm", CPU), None, by_area)
    assert not plan.windowed


def test_small_windows_when_large_ones_are_slow() -> None:
    made_by = planner("unetmm", CPU)
    budget = made_by.whole().prediction.total_bytes - 1
    most_arithmetic_saved = made_by.fitting(budget)
    plan = fastest_plan(made_by, budget, dear_when_large)
    assert plan.windowed
    assert largest_window(plan) <= 128 * 128 < largest_window(most_arithmetic_saved)
    assert plan.prediction.total_bytes <= budget


def test_every_stage_and_window_is_timed_once() -> None:
    seen: list[tuple[str, tuple[object, ...], WindowSize]] = []

    def count(stage: StageGraph, window: WindowSize) -> float:
        seen.append((stage.name, (stage.inputs, stage.outputs), window))
        return 1.0

    fastest_plan(planner("unetmm", CPU), None, count)
    assert len(seen) == len(set(seen)) > 3


def test_a_budget_that_nothing_fits_is_refused_before_anything_is_timed() -> None:
    def never(stage: StageGraph, window: WindowSize) -> float:
        raise AssertionError("timed a plan that cannot be")

    with pytest.raises(BudgetError, match="is too little for unetmm"):
        fastest_plan(planner("unetmm", CPU), 1000, never)


def test_windows_of_an_area_are_no_larger() -> None:
    made_by = planner("unetmm", CPU)
    plans = made_by.in_windows([96 * 96, 160 * 160])
    assert plans
    assert {largest_window(plan) <= 96 * 96 for plan in plans} == {True, False}
    assert all(largest_window(plan) <= 160 * 160 for plan in plans)
    assert made_by.in_windows([4]) == []


@pytest.mark.parametrize("name", ["unetmm", "unet", "nafnet"])
def test_one_region_serves_every_stage(name: str) -> None:
    made_by = planner(name, CPU)
    for plan in (made_by.whole(), made_by.smallest(), made_by.comfortable()):
        for index, one in enumerate(plan.memory):
            pool = pool_for(one.region_bytes)
            arena = Arena(pool.region_bytes, pool.dead_bytes)
            for stage in plan.stages:
                stage.cost.allocations[index].load(arena)
            for stage in plan.stages * 2:
                window = stage.window or (plan.height, plan.width)
                stage.cost.allocations[index].replay(arena, window[0] * window[1])
            assert arena.regions == 1
            assert pool.dead_bytes == DEAD_BYTES
        assert plan.prediction.live_bytes <= plan.region_bytes <= plan.prediction.total_bytes * 1.1
