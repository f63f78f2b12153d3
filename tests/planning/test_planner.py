"""Plans of a small network: within the budget, with the least arithmetic, or a refusal that helps.

Sizes are in bytes.
"""

from __future__ import annotations

import collections
from types import ModuleType
from unittest import mock

import pytest

from edgeunet.errors import BudgetError, EdgeUnetError, UsageError
from edgeunet.frame_windows import windows
from edgeunet.graph import mincut, stages
from edgeunet.graph.receptive import global_nodes
from edgeunet.graph.stages import FrameGraph
from edgeunet.imitation import prediction
from edgeunet.planning import window_choices as options
from edgeunet.planning.frame_plan import FramePlan
from edgeunet.planning.planner import COMFORTABLE_RATIO, Planner
from edgeunet.planning.request import PlanRequest
from edgeunet.planning.requested_plan import choose_plan
from edgeunet.specs import Engine
from edgeunet.units import MIB
from tests.analysis.plans import FRAME, PADDED, planner
from tests.convert.small import base

NAMES = ["unetmm", "unet"]
STEPS = 12


def budgets(made_by: Planner) -> list[int]:
    """From the smallest that fits to more than the whole frame takes."""
    least = made_by.smallest().prediction.total_bytes
    most = int(made_by.whole().prediction.total_bytes * 1.1)
    return [least + (most - least) * step // STEPS for step in range(STEPS + 1)]


def refusal(made_by: Planner, request: PlanRequest) -> EdgeUnetError:
    with pytest.raises(EdgeUnetError) as caught:
        choose_plan(made_by, request)
    return caught.value


def check_coverage(plan: FramePlan) -> None:
    """Every stage's windows settle every pixel of the padded frame, each once."""
    assert (plan.height, plan.width) == PADDED
    for planned in plan.stages:
        stage = planned.stage
        if planned.window is None:
            assert planned.window_count == 1
            continue
        count = 1
        for length, side, halo in zip(
            PADDED, planned.window, (stage.halo_rows, stage.halo_columns), strict=True
        ):
            assert side % stage.align == 0
            settled = windows(length, side, align=stage.align, halo=halo)
            assert [w.first for w in settled] == [0, *(w.last for w in settled[:-1])]
            assert settled[-1].last == length
            count *= len(settled)
        assert planned.window_count == count


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        ("unetmm", Engine.ONNXRUNTIME),
        ("unet", Engine.ONNXRUNTIME),
        ("unetmm", Engine.TENSORRT),
    ],
)
def test_every_budget_is_kept_and_a_larger_one_computes_no_more(name: str, engine: Engine) -> None:
    made_by = planner(name, engine)
    ratios = []
    for budget in budgets(made_by):
        plan = made_by.fitting(budget)
        figures = plan.prediction
        assert figures.total_bytes <= budget
        assert figures.total_bytes == (
            figures.frame_bytes + figures.held_bytes + figures.window_bytes + figures.engine_bytes
        )
        assert figures.held_bytes == plan.layout.arena_bytes
        assert plan.recompute_ratio >= 1 or plan.level > 0
        check_coverage(plan)
        ratios.append(round(plan.recompute_ratio, 4))
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > COMFORTABLE_RATIO > ratios[-1] == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_frame_is_chosen_when_it_fits(name: str) -> None:
    made_by = planner(name)
    whole = made_by.whole()
    assert not whole.windowed
    assert whole.held == ()
    assert [(stage.stage.name, stage.window, stage.window_count) for stage in whole.stages] == [
        ("whole", None, 1)
    ]
    needed = whole.prediction.total_bytes
    assert made_by.fitting(needed) == whole
    assert made_by.fitting(needed - 1).windowed


@pytest.mark.parametrize("name", NAMES)
def test_too_small_a_budget_names_the_smallest_that_fits(name: str) -> None:
    made_by = planner(name)
    error = refusal(made_by, PlanRequest(budget_bytes=MIB))
    assert isinstance(error, BudgetError)
    assert error.exit_code == 1
    assert error.message == f"1.0 MiB is too little for {name} at 250x380"
    named = int(error.hint.removeprefix("the smallest budget that fits is ").removesuffix("MiB"))
    assert made_by.fitting(named * MIB).prediction.total_bytes <= named * MIB
    again = refusal(made_by, PlanRequest(budget_bytes=(named - 1) * MIB))
    assert again.hint == error.hint


def test_nothing_takes_less_than_the_smallest() -> None:
    made_by = planner("unetmm")
    least = made_by.smallest()
    others = [made_by.whole(), made_by.comfortable(), made_by.smallest((64, 64))]
    assert all(other.prediction.total_bytes >= least.prediction.total_bytes for other in others)


@pytest.mark.parametrize("name", NAMES)
def test_a_comfortable_plan_takes_less_and_computes_little_twice(name: str) -> None:
    made_by = planner(name)
    plan = choose_plan(made_by, PlanRequest(auto=True))
    assert plan.windowed
    assert 1 < plan.recompute_ratio <= COMFORTABLE_RATIO
    assert plan.prediction.total_bytes < made_by.whole().prediction.total_bytes / 2


def test_fixed_windows_are_every_stages_windows() -> None:
    made_by = planner("unetmm")
    plan = choose_plan(made_by, PlanRequest(window=(96, 128)))
    windowed = [stage for stage in plan.stages if stage.stage.windowed]
    assert windowed
    assert {stage.window for stage in windowed} == {(96, 128)}
    check_coverage(plan)
    within = choose_plan(made_by, PlanRequest(plan.prediction.total_bytes, window=(96, 128)))
    assert {stage.window for stage in within.stages if stage.stage.windowed} == {(96, 128)}
    assert within.recompute_ratio <= plan.recompute_ratio


def test_windows_longer_than_the_frame_are_cut_to_it() -> None:
    plan = choose_plan(planner("unetmm"), PlanRequest(window=(64, 1000)))
    assert {stage.window for stage in plan.stages if stage.stage.windowed} == {(64, PADDED[1])}


@pytest.mark.parametrize("budget", [None, 64 * MIB])
def test_a_window_as_long_as_the_frame_is_one_window_over_its_padding(budget: int | None) -> None:
    """At 1080 rows padded to 1088, strips of 1080 rows must not run twice for the last 8."""
    strips = PlanRequest(budget_bytes=budget, window=(FRAME[0], 128))
    plan = choose_plan(planner("unetmm"), strips)
    windowed = [stage for stage in plan.stages if stage.stage.windowed]
    assert {stage.window for stage in windowed} == {(PADDED[0], 128)}
    everything = choose_plan(planner("unetmm"), PlanRequest(budget_bytes=budget, window=FRAME))
    assert everything.recompute_ratio == 1.0
    check_coverage(plan)


@pytest.mark.parametrize(
    ("window", "problem"),
    [
        ((8, 8), "too small"),
        ((8, 256), "too small"),
        ((101, 101), "no multiples of 8"),
        ((104, 99), "no multiples of 8"),
    ],
)
@pytest.mark.parametrize("budget", [None, 100 * MIB])
def test_windows_that_no_stage_can_run_on(
    window: tuple[int, int], problem: str, budget: int | None
) -> None:
    made_by = planner("unetmm")
    error = refusal(made_by, PlanRequest(budget_bytes=budget, window=window))
    assert isinstance(error, UsageError)
    assert error.message == (
        f"windows of {window[0]}x{window[1]} are {problem}, so unetmm cannot run in them"
    )
    words = error.hint.split()
    assert words[:1] + words[2:] == ["use", "or", "more,", "in", "multiples", "of", "8"]
    rows, columns = (int(side) for side in words[1].split("x"))
    choose_plan(made_by, PlanRequest(window=(rows, columns)))
    choose_plan(made_by, PlanRequest(window=(rows + 8, columns + 16)))


def test_fixed_windows_and_too_small_a_budget() -> None:
    made_by = planner("unetmm")
    error = refusal(made_by, PlanRequest(budget_bytes=MIB, window=(96, 128)))
    assert isinstance(error, BudgetError)
    assert error.message == "1.0 MiB is too little for unetmm at 250x380 in windows of 96x128"
    named = int(error.hint.removeprefix("the smallest budget that fits is ").removesuffix("MiB"))
    plan = choose_plan(made_by, PlanRequest(budget_bytes=named * MIB, window=(96, 128)))
    assert plan.prediction.total_bytes <= named * MIB


def test_whole_frames_alone_are_not_windowed_to_fit() -> None:
    made_by = planner("unetmm")
    needed = made_by.whole().prediction.total_bytes
    assert not choose_plan(made_by, PlanRequest(budget_bytes=needed, whole=True)).windowed
    error = refusal(made_by, PlanRequest(budget_bytes=needed // 2, whole=True))
    assert isinstance(error, BudgetError)
    assert error.message.startswith("whole frames are predicted to take ")
    fits = -(-needed // MIB)
    assert error.hint == (
        f"a budget of {fits}MiB fits them; without --tile none, windows may fit this one"
    )
    assert not choose_plan(made_by, PlanRequest(budget_bytes=fits * MIB, whole=True)).windowed


def test_a_budget_for_weights_as_well_is_smaller() -> None:
    made_by = planner("unetmm")
    needed = made_by.whole().prediction.total_bytes
    assert made_by.weight_bytes > 0
    with_weights = PlanRequest(budget_bytes=needed + made_by.weight_bytes, weights_included=True)
    assert not choose_plan(made_by, with_weights).windowed
    too_little = PlanRequest(budget_bytes=needed + made_by.weight_bytes - 1, weights_included=True)
    assert choose_plan(made_by, too_little).windowed
    assert not choose_plan(made_by, PlanRequest(budget_bytes=needed)).windowed


def test_the_graph_is_cut_once_for_all_budgets() -> None:
    graph = FrameGraph(base("unetmm").clone())
    made_by = Planner(graph, 64, 64, multiple=16, levels=2, name="unetmm")
    with mock.patch.object(FrameGraph, "cut", autospec=True, side_effect=FrameGraph.cut) as cut:
        first = made_by.comfortable()
        assert sorted(call.args[1] for call in cut.call_args_list) == [0, 1, 1, 2, 2, 2, 2, 2]
        made_by.fitting(first.prediction.total_bytes)
        made_by.smallest((48, 48))
        made_by.whole()
        assert cut.call_count == 8


def test_a_network_with_means_is_planned_in_passes() -> None:
    made_by = planner("nafnet", levels=1)
    least, whole = made_by.smallest(), made_by.whole()
    assert least.prediction.total_bytes < whole.prediction.total_bytes
    names = [stage.stage.name for stage in least.stages]
    assert len(names) == len(set(names)) > 3
    assert made_by.fitting(whole.prediction.total_bytes - 1).prediction.total_bytes < (
        whole.prediction.total_bytes
    )


def test_the_search_costs_little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time limit cannot be tested on a machine that others use; what takes the time is counted.

    Counted for all cuts of a network with means, whose graph is the largest there is.
    """
    counts: collections.Counter[str] = collections.Counter()

    def counted(module: ModuleType, name: str) -> None:
        real = getattr(module, name)

        def spy(*args: object, **named: object) -> object:
            counts[name] += 1
            return real(*args, **named)

        monkeypatch.setattr(module, name, spy)

    counted(mincut, "maximum_flow")
    counted(options, "cost_of")
    counted(stages, "extract")
    counted(prediction, "region_bytes")
    model = base("nafnet").clone()
    made_by = Planner(FrameGraph(model), *FRAME, multiple=16, levels=2, name="nafnet")
    made_by.comfortable()
    means = len(global_nodes(model.graph))
    assert counts["maximum_flow"] <= 2 * means + 2
    assert counts["extract"] <= 2 * means
    # The whole frame's as well: each distinct stage once, whatever the number of cuts.
    assert counts["cost_of"] == counts["extract"] + 1
    assert counts["region_bytes"] <= 20
    before = counts.copy()
    for budget in budgets(made_by):
        made_by.fitting(budget)
    counts.subtract(before)
    assert counts["maximum_flow"] == counts["extract"] == counts["cost_of"] == 0
    assert counts["region_bytes"] <= STEPS + 1
