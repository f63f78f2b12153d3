"""Several workers: the same output, within the limit, and errors that say what to do."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgeunet.bundle import Bundle
from edgeunet.choosing.memory import Wanted
from edgeunet.choosing.plan_choice import plan_request
from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.errors import EngineError, UsageError
from edgeunet.graph.stages import FrameGraph
from edgeunet.planning.planner import Planner
from edgeunet.planning.request import PlanRequest
from edgeunet.run.executor import Executor
from edgeunet.run.spaces import Index
from edgeunet.run.windows import Touched
from edgeunet.run.workers import Workers, waits_of, workers_of
from edgeunet.specs import Array, Precision
from edgeunet.units import MIB, format_bytes
from tests.bundle.tiny import tiny_bundle, windowed_bundle
from tests.convert.small import base, small
from tests.media.clips import picture

SIZE = (96, 128)


def answer(bundle: Bundle, workers: int, frames: int = 1) -> Array:
    executor = Executor(bundle, "onnxruntime", threads=2, workers=workers)
    try:
        for number in range(frames):
            found = executor.run(picture(number, *SIZE))["denoised"]
        return np.array(found)
    finally:
        executor.close()


@pytest.mark.parametrize(
    "request_",
    [PlanRequest(window=(48, 64)), PlanRequest(auto=True), PlanRequest(window=(48, 64), workers=2)],
    ids=["windows", "chains", "planned for two"],
)
def test_workers_change_no_byte(request_: PlanRequest, tmp_path: Path) -> None:
    order = ExportOrder(small("unetmm"), *SIZE, Precision.FP32, request=request_)
    bundle = draft_bundle(order, tmp_path / "windowed.bundle")
    assert bundle.manifest.plan is not None
    assert bundle.manifest.plan.workers == request_.workers
    one = answer(bundle, 1, frames=2)
    for workers in (2, 3):
        assert np.array_equal(answer(bundle, workers, frames=2), one)


def test_what_workers_take_is_predicted() -> None:
    def planned(workers: int) -> Planner:
        graph = FrameGraph(base("unetmm"))
        return Planner(graph, 480, 640, multiple=16, levels=4, name="unetmm", workers=workers)

    one, two = planned(1), planned(2)
    plan = one.fitting(32 * MIB)
    same = next(
        two._plan(cut, tuple(stage.window for stage in plan.stages))
        for cut in two._cuts
        if (cut.level, cut.recompute, cut.relays) == (plan.level, plan.recompute, plan.relays)
    )
    taken = same.prediction.total_bytes - plan.prediction.total_bytes
    assert MIB < taken <= plan.worker_bytes == same.worker_bytes
    # The processors that take most with one worker need not be those that take most with two.
    more = [b.engine_bytes - a.engine_bytes for a, b in zip(plan.memory, same.memory, strict=True)]
    assert plan.worker_bytes == plan.prediction.window_bytes + max(more)
    for budget in (24 * MIB, 32 * MIB, 48 * MIB):
        kept = two.fitting(budget)
        assert kept.prediction.total_bytes <= budget
        assert kept.workers == (2 if kept.windowed else 1)
        assert kept.recompute_ratio >= one.fitting(budget).recompute_ratio


def test_a_plan_says_how_many_run_at_a_time(tmp_path: Path) -> None:
    bundle = windowed_bundle(tmp_path)
    assert workers_of(bundle, None) == 1
    assert workers_of(bundle, 2) == 2
    assert workers_of(planned_for(bundle, workers=2), None) == 2


def planned_for(bundle: Bundle, **changes: int) -> Bundle:
    plan = bundle.manifest.plan
    assert plan is not None
    changed = msgspec.structs.replace(plan, **changes)
    return Bundle(bundle.path, msgspec.structs.replace(bundle.manifest, plan=changed))


def test_more_than_the_budget_is_refused(tmp_path: Path) -> None:
    plain = windowed_bundle(tmp_path)
    limits = {"predicted_bytes": 6 * MIB, "worker_bytes": 3 * MIB, "budget_bytes": 10 * MIB}
    bundle = planned_for(plain, **limits)
    assert workers_of(bundle, 2) == 2
    with pytest.raises(UsageError) as caught:
        Executor(bundle, "onnxruntime", workers=3)
    assert caught.value.message == (
        f"3 workers are predicted to take {format_bytes(12 * MIB)}, more than the "
        f"{format_bytes(10 * MIB)} that {plain.path.name} was exported for"
    )
    assert caught.value.hint == "export it for them: edgeunet export --workers 3"


@pytest.mark.parametrize("workers", [0, -1, 65])
def test_a_number_that_cannot_be_is_refused(workers: int, tmp_path: Path) -> None:
    for refused in (
        lambda: workers_of(windowed_bundle(tmp_path), workers),
        lambda: plan_request(windows="auto", workers=workers),
    ):
        with pytest.raises(UsageError) as caught:
            refused()
        assert caught.value.message == f"{workers} is not a number of workers"
        assert caught.value.hint == "use 1 to 64, or leave it out"


def test_whole_frames_have_nothing_to_share(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        workers_of(tiny_bundle(tmp_path), 2)
    assert "runs whole frames, so 2 workers have nothing to share" in caught.value.message
    assert caught.value.hint == "export it in windows, like --tile auto"
    for windows in (None, "none"):
        with pytest.raises(UsageError, match="whole frames have no windows that 2 workers"):
            plan_request(windows=windows, workers=2)
    assert workers_of(tiny_bundle(tmp_path / "again"), 1) == 1


def test_an_error_of_one_worker_is_raised_and_stops_the_others() -> None:
    workers = Workers(2)
    done: list[int] = []
    both = threading.Barrier(2)

    def fails() -> None:
        both.wait(timeout=30)
        raise EngineError("no memory", hint="close other programs")

    def works() -> None:
        both.wait(timeout=30)

    call = workers.together(
        [
            [(works,), (fails,), *[(lambda: done.append(0),)] * 1000],
            [(fails,), (works,), *[(lambda: done.append(1),)] * 1000],
        ],
        [Touched((), ())] * 1002,
    )
    with pytest.raises(EngineError, match="no memory"):
        call()
    assert len(done) <= 1000
    workers.close()


def test_every_window_is_run_once() -> None:
    workers = Workers(3)
    done: list[int] = []
    lanes = [[(lambda number=number: done.append(number),) for number in range(50)]] * 3
    workers.together(lanes, [Touched((), ())] * 50)()
    workers.close()
    assert sorted(done) == list(range(50))


def rows(name: str, first: int, last: int) -> tuple[str, Index]:
    return name, (slice(0, 4), slice(first, last))


def test_windows_wait_for_those_that_touch_the_same_parts() -> None:
    touched = [
        Touched((), (rows("a", 0, 2),)),
        Touched((), (rows("a", 2, 4),)),
        Touched((rows("a", 0, 2),), (rows("b", 0, 2),)),
        Touched((rows("a", 1, 3),), (rows("b", 2, 4),)),
        # It writes where the third and the fourth one read, as in a tensor that holds few rows.
        Touched((), (rows("a", 0, 2),)),
        Touched((rows("c", 0, 9),), (rows("d", 0, 2),)),
    ]
    assert waits_of(touched) == [set(), set(), {0}, {0, 1}, {0, 2, 3}, set()]


def test_a_window_runs_after_those_that_it_waits_for() -> None:
    workers = Workers(3)
    order: list[int] = []
    # Window 0 lasts until those that wait for nothing are done.
    free = threading.Barrier(2)
    lanes = [
        [
            (lambda: free.wait(timeout=30), lambda: order.append(0)),
            (lambda: order.append(1),),
            (lambda: order.append(2), lambda: free.wait(timeout=30)),
        ]
    ] * 3
    touched = [
        Touched((), (rows("a", 0, 2),)),
        Touched((rows("a", 0, 2),), ()),
        Touched((), (rows("b", 0, 2),)),
    ]
    workers.together(lanes, touched)()
    workers.close()
    assert order == [2, 0, 1]


def test_an_analysis_can_plan_for_several() -> None:
    request = Wanted(windows=(48, 64), workers=2).request()
    assert request is not None
    assert request.workers == 2
    assert Wanted(workers=1).fixed
