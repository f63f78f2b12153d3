"""Cut a graph at one level into parts that run in order, once or window by window.

Operators at a finer resolution than the level go into the parts encode and decode, which run window
by window. Operators that mix pixels below the level go into the core, which runs once. All others
(1x1 convolutions, shuffles, sums) go where the fewest bytes are held between parts: a minimum cut.

A mean over the whole frame in encode or decode (NAFNet's channel attention) divides that part into
two passes. The first makes the tensor to be averaged, a part of its own averages it, and the second
goes on. The result is exact, and the averaged tensor is held.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.geometry import Geometry
from edgeunet.graph.mincut import cheapest_cut
from edgeunet.specs import FRAME


@dataclass(frozen=True)
class Part:
    """Nodes that run together, and the names of their inputs and outputs.

    windowed: whether the part runs window by window.
    recomputed: encoder values that the part computes again from the frame instead of reading them.
    """

    name: str
    windowed: bool
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    recomputed: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Group:
    name: str
    windowed: bool
    nodes: set[ir.Node]


def split_at(whole: Geometry, level: int, *, recompute: int = 0) -> tuple[Part, ...]:
    """Cut a whole-frame graph so that levels 0..level-1 run window by window.

    recompute: number of levels, from the finest, whose encoder values decode computes again instead
        of reading them. Raises GraphError when there is nothing to cut at this level, or when a
        window cannot compute the encoder values again.
    """
    resolution = whole.finest_strides
    high = {node for node in whole.nodes if resolution[node] < 2**level}
    low = [node for node in whole.nodes if node not in high]
    core_sure = [node for node in low if whole.mixes(node)]
    if not core_sure or not high:
        raise GraphError(
            f"there is nothing to cut at level {level}: the graph has no operators below it",
            hint="use a smaller level, 1 for most networks",
        )
    below = whole.descendants(low)
    above = whole.ancestors(low)
    decode_sure = high & below
    encode_sure = (high & above) - below

    def made_again(value: ir.Value, reader: ir.Node) -> bool:
        return reader in decode_sure and whole.stride(value) < 2**recompute

    encode = cheapest_cut(
        whole.nodes,
        encode_sure,
        {*core_sure, *decode_sure},
        free=made_again if recompute else _never,
    )
    before_decode = cheapest_cut(whole.nodes, {*encode, *core_sure}, decode_sure)
    decode = {node for node in whole.nodes if node not in encode and node not in before_decode}
    core = before_decode - encode
    if recompute and any(node in encode for node in whole.global_nodes):
        raise GraphError(
            "the encoder averages the whole frame, so a window cannot make its values again",
            hint="store the skips of this network",
        )
    groups = [
        *_passes(whole, encode, "encode"),
        _Group("core", windowed=False, nodes=core),
        *_passes(whole, decode, "decode"),
    ]
    again = {
        value
        for node in encode
        for value in node.outputs
        if whole.stride(value) < 2**recompute and not core & whole.readers[value]
    }
    return _parts(whole, groups, again if recompute else set(), decode)


def extract(whole: Geometry, name: str, inputs: Iterable[str], outputs: Iterable[str]) -> ir.Model:
    """Return the part of a graph between given values, as a model. Unused inputs are left out."""
    wanted = [whole.values[output] for output in outputs]
    given = [whole.values[value] for value in inputs]
    borders = set(given)
    found: set[ir.Node] = set()
    stack = list(wanted)
    while stack:
        value = stack.pop()
        producer = value.producer()
        if value not in borders and producer is not None and producer not in found:
            found.add(producer)
            stack += [v for v in producer.inputs if v is not None]
    nodes = [node for node in whole.nodes if node in found]
    read = dict.fromkeys(value for node in nodes for value in node.inputs if value is not None)
    graph = ir.GraphView(
        [value for value in given if value in read],
        wanted,
        nodes=nodes,
        initializers=[value for value in read if value.is_initializer()],
        opset_imports=whole.model.opset_imports,
        name=name,
    ).clone()
    part = ir.Model(graph, ir_version=whole.model.ir_version)
    part.opset_imports.update(whole.model.opset_imports)
    return part


def _never(value: ir.Value, reader: ir.Node) -> bool:
    return False


def _parts(
    whole: Geometry, groups: list[_Group], again: set[ir.Value], decode: set[ir.Node]
) -> tuple[Part, ...]:
    """Return the groups as parts, with the values that cross between them, in execution order.

    again: values that decode computes by itself.
    """
    place = {node: index for index, group in enumerate(groups) for node in group.nodes}
    in_decode = [group.nodes <= decode for group in groups]
    inputs: list[list[str]] = [[] for _ in groups]
    outputs: list[list[str]] = [[] for _ in groups]
    recomputed: list[list[str]] = [[] for _ in groups]
    finals = set(whole.model.graph.outputs)
    for node in whole.nodes:
        for value in node.outputs:
            if value.const_value is not None:
                continue
            later = sorted({place[reader] for reader in whole.readers[value]} - {place[node]})
            crossing = [index for index in later if value not in again or not in_decode[index]]
            for index in later:
                (inputs if index in crossing else recomputed)[index].append(_name(value))
            if crossing or value in finals:
                outputs[place[node]].append(_name(value))
    return tuple(
        Part(
            group.name, group.windowed, (FRAME, *inputs[i]), tuple(outputs[i]), tuple(recomputed[i])
        )
        for i, group in enumerate(groups)
        if outputs[i]
    )


def _passes(whole: Geometry, nodes: set[ir.Node], name: str) -> list[_Group]:
    """Cut nodes at every mean over the frame; without one, all of them are one group."""
    means = [node for node in whole.global_nodes if node in nodes]
    if not means:
        return [_Group(name, windowed=True, nodes=nodes)]
    vectors = {node for node in nodes if all(math.isinf(whole.stride(v)) for v in node.outputs)}
    found: list[_Group] = []
    left = set(nodes)
    for mean in means:
        if mean not in left:
            continue
        mean_group = _with_vectors_of(mean, left & vectors)
        # Every path between two of the remaining nodes stays within the remaining nodes.
        before = cheapest_cut(
            left,
            whole.ancestors([mean], within=left),
            mean_group | whole.descendants([mean], within=left),
        )
        found += _waist(whole, before, name)
        found.append(_Group("mean", windowed=False, nodes=mean_group))
        left -= before | mean_group
    found += _waist(whole, left, name)
    count: dict[str, int] = {}
    numbered = []
    for group in found:
        count[group.name] = count.get(group.name, 0) + 1
        title = f"{name}-{group.name}" if group.name == "mean" else name
        numbered.append(_Group(f"{title}-{count[group.name]:02}", group.windowed, group.nodes))
    return numbered


def _with_vectors_of(mean: ir.Node, vectors: set[ir.Node]) -> set[ir.Node]:
    """Return a mean and the nodes on vectors that depend on it alone."""
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


def _waist(whole: Geometry, nodes: set[ir.Node], name: str) -> list[_Group]:
    """Cut a pass before its first convolution, where the fewest bytes are held.

    The first part works cell by cell, so its results may overwrite what it has read.
    """
    uncut = [_Group(name, windowed=True, nodes=nodes)] if nodes else []
    mixing = {node for node in nodes if whole.mixes(node)}
    pointwise = nodes - mixing - whole.descendants(mixing, within=nodes)
    reads_held = {
        node
        for node in pointwise
        if any(
            value is not None
            and value.producer() is not None
            and value.producer() not in nodes
            and not math.isinf(whole.stride(value))
            for value in node.inputs
        )
    }
    held_after = any(
        not whole.readers[value] <= nodes for node in nodes - pointwise for value in node.outputs
    )
    if not mixing or not reads_held or not held_after:
        return uncut
    first = cheapest_cut(nodes, reads_held, mixing)
    if not first or first == nodes:
        return uncut
    return [_Group(name, True, first), _Group(name, True, nodes - first)]


def _name(value: ir.Value) -> str:
    if value.name is None:
        raise GraphError("a value that crosses parts has no name", hint="export it again")
    return value.name
