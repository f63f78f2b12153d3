"""What windows cannot run: a plan says which operators that are, and what they cost."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from edgeunet.errors import BudgetError
from edgeunet.graph.stages import FrameGraph
from edgeunet.planning.planner import Planner
from tests.graph.foreign import NETWORKS, Net


def cubic(net: Net) -> ir.Model:
    """Cubic interpolation with aligned corners, which windows cannot run."""
    first = net.block(net.image(), 6)
    deep = net.block(net.pool(net.block(net.pool(first), 8)), 8)
    x = net.resize(deep, 4, "cubic", where="align_corners")
    return net.done(net.conv(net.block(net.concat(first, x), 6), 3))


def planner_of(name: str, height: int, width: int) -> Planner:
    graph = FrameGraph({**NETWORKS, "cubic": cubic}[name](Net(height, width)))
    return Planner(graph, height, width, multiple=1, levels=graph.levels, name=name)


def test_a_stage_that_runs_once_names_its_operators() -> None:
    plan = planner_of("cubic", 128, 160).smallest()
    found = {one.stage.name: plan.operators_of(one) for one in plan.stages}
    assert any(found.values())
    (operator,) = next(operators for operators in found.values() if operators)
    assert operator.why == (
        "operator Resize (node 'n11') cannot run window by window: it maps coordinates by "
        "align_corners, which depends on the frame size"
    )
    assert operator.help.startswith("export it with align_corners=False")
    # 8 channels at a quarter of the frame are read, at full resolution made.
    assert operator.size_bytes == 8 * 4 * (128 * 160 + 32 * 40)
    assert all(found[one.stage.name] == () for one in plan.stages if one.stage.windowed)


def test_a_refusal_names_the_operator_that_holds_a_plan_up() -> None:
    planner = planner_of("cubic", 512, 640)
    with pytest.raises(BudgetError) as caught:
        planner.fitting(1 << 20)
    smallest, why, size, what_helps = caught.value.hint.replace(", and takes ", "; ").split("; ")
    assert smallest.startswith("the smallest budget that fits is ")
    assert why.startswith("operator Resize (node 'n11') cannot run window by window")
    assert size == "10.6 MiB"
    assert what_helps.startswith("export it with align_corners=False")
    named = int(smallest.split("is ")[1].removesuffix("MiB"))
    assert planner.fitting(named << 20).prediction.total_bytes <= named << 20


def test_a_network_of_local_operators_has_no_such_limit() -> None:
    plan = planner_of("unet", 128, 160).smallest()
    assert plan.limit is None
    assert all(one.stage.operators == () for one in plan.stages)


def test_a_network_of_which_nothing_is_local_runs_whole() -> None:
    net = Net(64, 64)
    graph = FrameGraph(net.done(net.op("Softmax", net.image(), axis=2)))
    planner = Planner(graph, 64, 64, multiple=1, levels=graph.levels, name="rows")
    assert not planner.comfortable().windowed
