"""Cutting a graph into an encode stage, a core and a decode stage at one level.

What runs at a higher resolution than the level goes into the stages that run tile by tile, what
mixes pixels below it into the core that runs once. Everything else (1x1 convolutions, shuffles,
sums) goes where the fewest bytes have to be held between stages: a minimum cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import networkx
import onnx_ir as ir
from onnx_ir import convenience

from edgeunet.errors import GraphError
from edgeunet.graph.receptive import (
    Axes,
    GlobalOperatorError,
    Range,
    global_nodes,
    input_range,
    spatial_axes,
)
from edgeunet.graph.values import constant_of, static_shape

_SOURCE, _SINK = "source", "sink"


@dataclass(frozen=True)
class Split:
    """A graph in three: names of the values that cross from one part to a later one.

    held: from encode into the core or past it to decode; made: from the core to decode;
    recomputed: encoder values that decode makes again from the frame instead of reading them.
    """

    level: int
    held_for_core: tuple[str, ...]
    held_for_decode: tuple[str, ...]
    made: tuple[str, ...]
    recomputed: tuple[str, ...]

    @property
    def held(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.held_for_core, *self.held_for_decode)))


def strides_of(graph: ir.Graph) -> dict[ir.Value, float]:
    """Return full-resolution pixels per element, by value; inf for what has no resolution."""
    axes = spatial_axes(graph)
    rows = max(_rows(value, axes) for value in graph.inputs if value in axes)
    return {
        value: rows / _rows(value, axes) if _rows(value, axes) > 1 else math.inf for value in axes
    }


def split_at(model: ir.Model, level: int, *, recompute: bool = False) -> Split:
    """Cut a whole-frame graph so that levels 0..level-1 run tile by tile.

    recompute: encoder values that decode would read from encode are made again in decode.
    Raises GlobalOperatorError, with its name, for an operator in the tiled levels that needs
    the whole frame, GraphError when there is nothing to cut at this level.
    """
    graph = model.graph
    strides = strides_of(graph)
    high = _high_nodes(graph, strides, 2**level)
    for node in global_nodes(graph):
        source = node.inputs[0]
        if source is not None and strides.get(source, math.inf) < 2**level:
            raise GlobalOperatorError(
                f"operator {node.op_type} (node {node.name!r}) averages the whole frame at "
                f"1/{strides[source]:g} resolution, so this level cannot run tile by tile",
                hint="use a network whose attention is only in the core, or whole frames",
            )
    low = [node for node in graph if node not in high]
    axes = spatial_axes(graph)
    core = [node for node in low if _mixes(node, axes, strides)]
    if not core or not high:
        raise GraphError(
            f"there is nothing to cut at level {level}: the graph has no operators below it",
            hint="use a smaller level, 1 for most networks",
        )
    below = _descendants(low)
    above = _ancestors(low)
    decode_sure = {node for node in high if node in below}
    encode_sure = {node for node in high if node in above and node not in below}
    # What decode makes again for itself does not have to be held for it.
    passed_by = decode_sure if recompute else set()
    encode = _cut(graph, encode_sure, {*core, *decode_sure}, passed_by)
    rest = [node for node in graph if node not in encode]
    first_two = _cut(graph, {*encode, *core}, decode_sure, set())
    decode = {node for node in rest if node not in first_two}
    held_for_core, held_for_decode, made = [], [], []
    for node in graph:
        for value in node.outputs:
            readers = {use.node for use in value.uses()}
            if node in encode:
                if readers & (first_two - encode):
                    held_for_core.append(_name(value))
                if readers & decode:
                    held_for_decode.append(_name(value))
            elif node not in decode and readers & decode:
                made.append(_name(value))
    recomputed: list[str] = []
    if recompute:
        recomputed = [name for name in held_for_decode if name not in held_for_core]
        held_for_decode = [name for name in held_for_decode if name not in recomputed]
    return Split(
        level, tuple(held_for_core), tuple(held_for_decode), tuple(made), tuple(recomputed)
    )


def extract(model: ir.Model, name: str, inputs: Iterable[str], outputs: Iterable[str]) -> ir.Model:
    """Return the part of a graph between values, as a model of its own."""
    graph = convenience.extract(model.graph, list(inputs), list(outputs))
    graph.name = name
    unused = [value for value in graph.inputs if not value.uses()]
    for value in unused:
        graph.inputs.remove(value)
    part = ir.Model(graph, ir_version=model.ir_version)
    part.opset_imports.update(model.opset_imports)
    return part


def _high_nodes(graph: ir.Graph, strides: Mapping[ir.Value, float], below: int) -> set[ir.Node]:
    """Return the nodes that write something of a higher resolution than 1/below.

    A node that only reads it (the way down) is free to be on either side of the cut.
    """
    return {
        node
        for node in graph
        if any(strides.get(value, math.inf) < below for value in node.outputs)
    }


def _mixes(node: ir.Node, axes: Mapping[ir.Value, Axes], strides: Mapping[ir.Value, float]) -> bool:
    """Whether an output cell depends on more than the input cell it covers."""
    for index, value in enumerate(node.inputs):
        if value is None or constant_of(value) is not None or value not in axes:
            continue
        if node.outputs[0] not in strides or math.inf in (strides[value], strides[node.outputs[0]]):
            return True
        cell = max(strides[value], strides[node.outputs[0]])
        wanted = Range(0, int(cell / strides[node.outputs[0]]))
        for which in (0, 1):
            try:
                reach = input_range(node, index, wanted, axes, which)
            except GraphError:
                return True
            if reach.start < 0 or reach.stop > cell / strides[value]:
                return True
    return False


def _descendants(nodes: Iterable[ir.Node]) -> set[ir.Node]:
    found: set[ir.Node] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        for output in node.outputs:
            for use in output.uses():
                if use.node not in found:
                    found.add(use.node)
                    stack.append(use.node)
    return found


def _ancestors(nodes: Iterable[ir.Node]) -> set[ir.Node]:
    found: set[ir.Node] = set()
    stack = list(nodes)
    while stack:
        for value in stack.pop().inputs:
            producer = value.producer() if value is not None else None
            if producer is not None and producer not in found:
                found.add(producer)
                stack.append(producer)
    return found


def _cut(
    graph: ir.Graph, early: set[ir.Node], late: set[ir.Node], passed_by: set[ir.Node]
) -> set[ir.Node]:
    """Return the smallest early side of the cut that holds the fewest bytes across it.

    passed_by: readers for whom nothing needs to be held.
    """
    network = networkx.DiGraph()
    network.add_nodes_from((_SOURCE, _SINK))
    for node in graph:
        if node in early:
            network.add_edge(_SOURCE, node)
        if node in late:
            network.add_edge(node, _SINK)
        for value in node.outputs:
            readers = {use.node for use in value.uses()}
            if not readers:
                continue
            for reader in readers:
                # Nothing may be needed by an earlier part than the one that makes it.
                network.add_edge(reader, node)
            network.add_edge(node, value, capacity=_size_bytes(value))
            for reader in readers - passed_by:
                network.add_edge(value, reader)
    _, (before, _) = networkx.minimum_cut(network, _SOURCE, _SINK)
    return {node for node in graph if node in before}


def _size_bytes(value: ir.Value) -> int:
    shape = static_shape(value)
    if shape is None or value.dtype is None:
        raise GraphError(
            f"the size of {value.name!r} is not known", hint="export with a fixed size"
        )
    return math.ceil(math.prod(shape) * value.dtype.itemsize)


def _rows(value: ir.Value, axes: Mapping[ir.Value, Axes]) -> int:
    shape = static_shape(value)
    return 1 if shape is None else shape[axes[value][0]]


def _name(value: ir.Value) -> str:
    if value.name is None:
        raise GraphError("a value that crosses stages has no name", hint="export it again")
    return value.name
