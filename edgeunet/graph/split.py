"""Cutting a graph at one level into parts that run in order: tile by tile, or once.

What runs at a higher resolution than the level goes into encode and decode, which run tile by
tile, what mixes pixels below it into the core that runs once. Everything else (1x1 convolutions,
shuffles, sums) goes where the fewest bytes have to be held between parts: a minimum cut.

A mean over the whole frame in encode or decode (NAFNet's channel attention) divides it in two
passes: the first makes what is averaged, a part of its own averages, the second goes on. The
result is exact; what is averaged is held.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir import convenience

from edgeunet.errors import GraphError
from edgeunet.graph.mincut import cheapest_cut
from edgeunet.graph.receptive import (
    Axes,
    Range,
    global_nodes,
    input_range,
    spatial_axes,
)
from edgeunet.graph.values import constant_of, static_shape
from edgeunet.specs import FRAME


@dataclass(frozen=True)
class Part:
    """Nodes that run together, and the names of what goes in and out.

    recomputed: encoder values that the part makes again from the frame instead of reading them.
    """

    name: str
    tiled: bool
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    recomputed: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Group:
    name: str
    tiled: bool
    nodes: set[ir.Node]


def strides_of(graph: ir.Graph) -> dict[ir.Value, float]:
    """Return full-resolution pixels per element, by value; inf for what has no resolution."""
    axes = spatial_axes(graph)
    rows = max(_rows(value, axes) for value in graph.inputs if value in axes)
    return {
        value: rows / _rows(value, axes) if _rows(value, axes) > 1 else math.inf for value in axes
    }


def split_at(model: ir.Model, level: int, *, recompute: int = 0) -> tuple[Part, ...]:
    """Cut a whole-frame graph so that levels 0..level-1 run tile by tile.

    recompute: of that many levels, from the finest, decode makes the encoder's values again
    instead of reading them from encode. Raises GraphError when there is nothing to cut at this
    level, or nothing that can be made again from a tile.
    """
    graph = model.graph
    strides = strides_of(graph)
    resolution = _resolutions(graph, strides)
    high = {node for node in graph if resolution[node] < 2**level}
    low = [node for node in graph if node not in high]
    axes = spatial_axes(graph)
    core_sure = [node for node in low if _mixes(node, axes, strides)]
    if not core_sure or not high:
        raise GraphError(
            f"there is nothing to cut at level {level}: the graph has no operators below it",
            hint="use a smaller level, 1 for most networks",
        )
    below = _descendants(low)
    above = _ancestors(low)
    decode_sure = {node for node in high if node in below}
    encode_sure = {node for node in high if node in above and node not in below}

    def made_again(value: ir.Value, reader: ir.Node) -> bool:
        return reader in decode_sure and strides.get(value, math.inf) < 2**recompute

    encode = cheapest_cut(
        graph, encode_sure, {*core_sure, *decode_sure}, free=made_again if recompute else _never
    )
    before_decode = cheapest_cut(graph, {*encode, *core_sure}, decode_sure)
    decode = {node for node in graph if node not in encode and node not in before_decode}
    core = before_decode - encode
    passes = _passes(graph, encode, "encode", axes, strides)
    if recompute and len(passes) > 1:
        raise GraphError(
            "the encoder averages the whole frame, so a tile cannot make its values again",
            hint="store the skips of this network",
        )
    groups = [
        *passes,
        _Group("core", tiled=False, nodes=core),
        *_passes(graph, decode, "decode", axes, strides),
    ]
    again = {
        value
        for node in encode
        for value in node.outputs
        if strides.get(value, math.inf) < 2**recompute
        and not any(use.node in core for use in value.uses())
    }
    return _parts(graph, groups, again if recompute else set(), decode)


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


def _never(value: ir.Value, reader: ir.Node) -> bool:
    return False


def _parts(
    graph: ir.Graph, groups: list[_Group], again: set[ir.Value], decode: set[ir.Node]
) -> tuple[Part, ...]:
    """Say what crosses between the groups, in execution order.

    again: values that decode does not read from whoever made them first.
    """
    place = {node: index for index, group in enumerate(groups) for node in group.nodes}
    inputs: list[list[str]] = [[] for _ in groups]
    outputs: list[list[str]] = [[] for _ in groups]
    recomputed: list[list[str]] = [[] for _ in groups]
    finals = set(graph.outputs)
    for node in graph:
        for value in node.outputs:
            if value.const_value is not None:
                continue
            readers = {use.node for use in value.uses()}
            later = sorted({place[reader] for reader in readers} - {place[node]})
            crossing = [
                index for index in later if value not in again or not groups[index].nodes <= decode
            ]
            for index in later:
                (inputs if index in crossing else recomputed)[index].append(_name(value))
            if crossing or value in finals:
                outputs[place[node]].append(_name(value))
    return tuple(
        Part(group.name, group.tiled, (FRAME, *inputs[i]), tuple(outputs[i]), tuple(recomputed[i]))
        for i, group in enumerate(groups)
        if outputs[i]
    )


def _passes(
    graph: ir.Graph,
    nodes: set[ir.Node],
    name: str,
    axes: Mapping[ir.Value, Axes],
    strides: Mapping[ir.Value, float],
) -> list[_Group]:
    """Cut at every mean over the frame; without one, everything is one group."""
    means = [node for node in global_nodes(graph) if node in nodes]
    if not means:
        return [_Group(name, tiled=True, nodes=nodes)]
    vectors = {node for node in nodes if all(math.isinf(strides.get(v, 1)) for v in node.outputs)}
    found: list[_Group] = []
    left = set(nodes)
    for mean in means:
        if mean not in left:
            continue
        mean_group = _with_vectors_of(mean, left & vectors)
        before = cheapest_cut(
            left, _ancestors([mean]) & left, {*mean_group, *(_descendants([mean]) & left)}
        )
        found += _waist(before, name, axes, strides)
        found.append(_Group("mean", tiled=False, nodes=mean_group))
        left -= before | mean_group
    found += _waist(left, name, axes, strides)
    count: dict[str, int] = {}
    numbered = []
    for group in found:
        count[group.name] = count.get(group.name, 0) + 1
        title = f"{name}-{group.name}" if group.name == "mean" else name
        numbered.append(_Group(f"{title}-{count[group.name]:02}", group.tiled, group.nodes))
    return numbered


def _with_vectors_of(mean: ir.Node, vectors: set[ir.Node]) -> set[ir.Node]:
    """Return a mean and the nodes on vectors that need nothing else."""
    found = {mean}
    stack = [mean]
    while stack:
        for output in stack.pop().outputs:
            for use in output.uses():
                producers = {v.producer() for v in use.node.inputs if v is not None}
                if use.node in vectors - found and producers - {None} <= found:
                    found.add(use.node)
                    stack.append(use.node)
    return found


def _waist(
    nodes: set[ir.Node],
    name: str,
    axes: Mapping[ir.Value, Axes],
    strides: Mapping[ir.Value, float],
) -> list[_Group]:
    """Cut a pass where it is thinnest between what it reads and its first convolution.

    What comes before works cell by cell, so that it may write over what it has read.
    """
    whole = [_Group(name, tiled=True, nodes=nodes)] if nodes else []
    mixing = {node for node in nodes if _mixes(node, axes, strides)}
    pointwise = nodes - mixing - _descendants(mixing)
    reads_held = {
        node
        for node in pointwise
        if any(
            value is not None
            and value.producer() is not None
            and value.producer() not in nodes
            and not math.isinf(strides.get(value, math.inf))
            for value in node.inputs
        )
    }
    held_after = any(
        use.node not in nodes
        for node in nodes - pointwise
        for value in node.outputs
        for use in value.uses()
    )
    if not mixing or not reads_held or not held_after:
        return whole
    first = cheapest_cut(nodes, reads_held, mixing)
    if not first or first == nodes:
        return whole
    return [_Group(name, True, first), _Group(name, True, nodes - first)]


def _resolutions(graph: ir.Graph, strides: Mapping[ir.Value, float]) -> dict[ir.Node, float]:
    """Return the finest stride every node writes; a vector's is that of what it is made from."""
    found: dict[ir.Node, float] = {}
    for node in graph:
        own = min((strides.get(value, math.inf) for value in node.outputs), default=math.inf)
        if math.isinf(own):
            for value in node.inputs:
                producer = value.producer() if value is not None else None
                if value is None:
                    continue
                if not math.isinf(strides.get(value, math.inf)):
                    own = min(own, strides[value])
                elif producer is not None:
                    own = min(own, found[producer])
        found[node] = own
    return found


def _mixes(node: ir.Node, axes: Mapping[ir.Value, Axes], strides: Mapping[ir.Value, float]) -> bool:
    """Whether an output cell depends on more than the input cell it covers."""
    if node.outputs[0] not in strides or math.isinf(strides[node.outputs[0]]):
        return any(v is not None and not math.isinf(strides.get(v, math.inf)) for v in node.inputs)
    for index, value in enumerate(node.inputs):
        if value is None or constant_of(value) is not None or value not in axes:
            continue
        if math.isinf(strides[value]):
            continue
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


def _ancestors(nodes: Collection[ir.Node]) -> set[ir.Node]:
    found: set[ir.Node] = set()
    stack = list(nodes)
    while stack:
        for value in stack.pop().inputs:
            producer = value.producer() if value is not None else None
            if producer is not None and producer not in found:
                found.add(producer)
                stack.append(producer)
    return found


def _rows(value: ir.Value, axes: Mapping[ir.Value, Axes]) -> int:
    shape = static_shape(value)
    return 1 if shape is None else shape[axes[value][0]]


def _name(value: ir.Value) -> str:
    if value.name is None:
        raise GraphError("a value that crosses parts has no name", hint="export it again")
    return value.name
