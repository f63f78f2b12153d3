"""Networks of others through the planner and the executor, at any budget and odd sizes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import onnx_ir as ir
import pytest

from edgeunet.bundle import Bundle
from edgeunet.bundle.agreement import contradiction_in
from edgeunet.bundle.manifest import OutputEntry
from edgeunet.convert.staging import plan_entry, write_stages
from edgeunet.errors import BudgetError
from edgeunet.graph.stages import FrameGraph
from edgeunet.graph.values import static_shape
from edgeunet.planning.frame_plan import FramePlan
from edgeunet.planning.planner import Planner
from edgeunet.planning.request import PlanRequest
from edgeunet.planning.requested_plan import choose_plan
from edgeunet.run.executor import Executor
from edgeunet.specs import Array, Task
from tests.bundle.tiny import tiny_manifest
from tests.graph.foreign import NETWORKS, Net, frame_of
from tests.graph.plain_windows import run_whole

SIZES = {"espcn": (157, 203), "segmenter": (192, 256), "w_shape": (130, 170), "srcnn": (121, 99),
         "squeezed": (192, 258), "uneven": (131, 173)}  # fmt: skip


def planner_of(name: str, size: tuple[int, int]) -> tuple[ir.Model, Planner]:
    model = NETWORKS[name](Net(*size))
    graph = FrameGraph(model)
    return model, Planner(graph, *size, multiple=1, levels=graph.levels, name=name)


def run(plan: FramePlan, model: ir.Model, frame: Array, folder: Path) -> Mapping[str, Array]:
    """Run a plan with the real executor."""
    folder.mkdir()
    outputs = tuple(
        OutputEntry(
            name=value.name or "",
            task=Task.CLASSIFY if value.dtype is ir.DataType.FLOAT else Task.SEGMENT,
            shape=static_shape(value),
        )
        for value in model.graph.outputs
    )
    manifest = msgspec.structs.replace(
        tiny_manifest(*plan.frame),
        stages=write_stages(plan, folder),
        outputs=outputs,
        plan=plan_entry(plan, None),
    )
    assert contradiction_in(manifest) is None
    executor = Executor(Bundle(folder, manifest), threads=1)
    executor.run(np.ascontiguousarray(frame[0, ::-1]))
    return executor.run(frame[0])


@pytest.mark.parametrize("name", SIZES)
def test_plans_of_every_budget_give_what_the_whole_frame_gives(name: str, tmp_path: Path) -> None:
    model, planner = planner_of(name, SIZES[name])
    least, whole = planner.smallest(), planner.whole()
    assert least.windowed
    assert least.prediction.total_bytes < whole.prediction.total_bytes
    frame = frame_of(*SIZES[name], seed=2)
    wanted = run_whole(model, frame)
    middle = (least.prediction.total_bytes + whole.prediction.total_bytes) // 2
    plans = (least, planner.fitting(middle))
    for index, plan in enumerate(plans):
        given = run(plan, model, frame, tmp_path / f"{index}.bundle")
        for output, answer in wanted.items():
            assert given[output].shape == answer.shape
            np.testing.assert_allclose(given[output], answer, rtol=1e-5, atol=2e-5)


def test_asked_windows_grow_by_the_remainder_of_an_odd_frame() -> None:
    _, planner = planner_of("uneven", (131, 173))
    plan = choose_plan(planner, PlanRequest(window=(64, 80)))
    for one in plan.stages:
        if one.window is not None:
            assert one.window == (64 + 131 % one.stage.align, 80 + 173 % one.stage.align)


def test_too_small_a_budget_names_the_smallest() -> None:
    _, planner = planner_of("espcn", (157, 203))
    with pytest.raises(BudgetError) as caught:
        planner.fitting(1 << 20)
    named = int(caught.value.hint.split("is ")[1].removesuffix("MiB"))
    assert planner.fitting(named << 20).prediction.total_bytes <= named << 20
