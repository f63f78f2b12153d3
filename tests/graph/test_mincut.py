"""The cut against all cuts there are, on graphs small enough to try them all."""

from __future__ import annotations

import itertools

import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeunet.errors import GraphError
from edgeunet.graph.mincut import cheapest_cut, size_bytes


def tensor(name: str, length: int) -> ir.Value:
    return ir.Value(name=name, shape=ir.Shape([length]), type=ir.TensorType(ir.DataType.UINT8))


def graph_of(reads: list[list[int]], sizes: list[int]) -> list[ir.Node]:
    """Node i reads the results of the nodes in reads[i], or the input where there are none."""
    source = tensor("x", 1000)
    nodes: list[ir.Node] = []
    for index, (before, size) in enumerate(zip(reads, sizes, strict=True)):
        inputs = [nodes[i].outputs[0] for i in before] or [source]
        nodes.append(ir.Node("", "Sum", inputs, outputs=[tensor(f"t{index}", size)]))
    ir.Graph([source], [nodes[-1].outputs[0]], nodes=nodes)
    return nodes


def cost_of(nodes: list[ir.Node], early: set[ir.Node]) -> int | None:
    """Bytes held across a cut; None when an early node reads a late one."""
    total = 0
    for node in nodes:
        readers = {use.node for use in node.outputs[0].uses()}
        if node not in early and readers & early:
            return None
        if node in early and readers - early:
            total += size_bytes(node.outputs[0])
    return total


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[ir.Node], set[ir.Node], set[ir.Node]]:
    count = draw(st.integers(2, 8))
    reads = [
        draw(st.lists(st.integers(0, index - 1), unique=True, max_size=3)) if index else []
        for index in range(count)
    ]
    sizes = draw(st.lists(st.integers(1, 20), min_size=count, max_size=count))
    nodes = graph_of(reads, sizes)
    early = {nodes[0]}
    late = {nodes[-1]}
    return nodes, early, late


@settings(deadline=None)
@given(cases())
def test_no_other_cut_holds_fewer_bytes(
    case: tuple[list[ir.Node], set[ir.Node], set[ir.Node]],
) -> None:
    nodes, early, late = case
    found = cheapest_cut(nodes, early, late)
    assert early <= found
    assert not late & found
    free = [node for node in nodes if node not in early | late]
    costs: list[int] = []
    for count in range(len(free) + 1):
        for chosen in itertools.combinations(free, count):
            cost = cost_of(nodes, early | set(chosen))
            if cost is not None:
                costs.append(cost)
    given_cost = cost_of(nodes, found)
    assert given_cost is not None, "an early node reads a late one"
    if costs:
        assert given_cost == min(costs)


def test_what_is_free_to_read_does_not_count() -> None:
    nodes = graph_of([[], [0], [0, 1], [2]], [100, 1, 50, 1])
    assert cheapest_cut(nodes, [nodes[0]], [nodes[3]]) == {nodes[0], nodes[1], nodes[2]}
    big = nodes[0].outputs[0]
    found = cheapest_cut(nodes, [nodes[0]], [nodes[3]], free=lambda value, reader: value is big)
    assert found == {nodes[0]} or found == {nodes[0], nodes[1]}


def test_what_others_read_counts_as_held() -> None:
    """Of four nodes two are cut; the third one, outside, reads the first anyway."""
    nodes = graph_of([[], [0], [0], [2]], [10, 3, 1, 1])
    assert cheapest_cut(nodes[:2], [nodes[0]], [nodes[1]]) == {nodes[0]}


def test_a_size_that_is_not_known_is_an_error() -> None:
    value = ir.Value(name="v", shape=ir.Shape(["n"]), type=ir.TensorType(ir.DataType.FLOAT))
    with pytest.raises(GraphError, match="the size of 'v' is not known"):
        size_bytes(value)


def test_sizes_without_a_common_unit_are_rounded() -> None:
    nodes = graph_of([[], [0], [1], [2]], [3, 1 << 33, (1 << 34) + 1, 1])
    assert cheapest_cut(nodes, [nodes[0]], [nodes[3]]) == {nodes[0]}
    nodes = graph_of([[], [0], [1], [2]], [(1 << 34) + 1, 1 << 34, 1 << 33, 1])
    assert cheapest_cut(nodes, [nodes[0]], [nodes[3]]) == set(nodes[:3])


def test_large_sizes_are_counted_in_their_common_unit() -> None:
    nodes = graph_of([[], [0], [1], [2]], [3 << 40, 2 << 40, 1 << 40, 1 << 40])
    assert cheapest_cut(nodes, [nodes[0]], [nodes[3]]) == set(nodes[:3])


def test_of_two_cuts_that_hold_the_same_the_later_is_taken() -> None:
    nodes = graph_of([[], [0], [1], [2]], [5, 5, 5, 1])
    assert cheapest_cut(nodes, [nodes[0]], [nodes[3]]) == set(nodes[:3])
