"""Cut a graph at one level into parts that run in order, once or window by window.

Operators at a finer resolution than the level run window by window. Operators that mix pixels below
the level go into a core, which runs once. A network with several descents has several cores. All
others (1x1 convolutions, shuffles, sums) go where the fewest bytes are held between parts: see
``graph/phases.py``.

What windows cannot run above the level, such as a mean over the whole frame (NAFNet's channel
attention), runs once in a part of its own, between two passes of windows. The result is exact, and
what it reads and makes is held.

Encode and decode can also be divided by level into chains: stages that take turns, row of windows
by row (``window_turns.py``). Each stage of a chain has a smaller halo than the whole part has. If
the core runs in windows too, one chain goes through the whole network, and nothing is held whole.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import cast

import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.geometry import Geometry
from edgeunet.graph.mincut import cheapest_cut
from edgeunet.graph.phases import Kind, kinds_of, phases_of

CHAINS = ("encode", "decode")
"""The parts that can be divided into chains, in execution order; they are called so where each is a
single pass of windows."""

THROUGH = "through"
"""The name of the chain of all stages."""


@dataclass(frozen=True)
class Part:
    """Nodes that run together, and the names of their inputs and outputs.

    windowed: whether the part runs window by window.
    recomputed: encoder values that the part computes again from the frame instead of reading them.
    chain: the name of the chain that the part is in; empty for none.
    """

    name: str
    windowed: bool
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    recomputed: tuple[str, ...] = ()
    chain: str = ""


@dataclass(frozen=True)
class _Group:
    name: str
    windowed: bool
    nodes: set[ir.Node]
    chain: str = ""


def split_at(
    whole: Geometry, level: int, *, recompute: int = 0, relays: tuple[int, ...] = ()
) -> tuple[Part, ...]:
    """Cut a whole-frame graph so that levels 0..level-1 run window by window.

    recompute: number of levels, from the finest, whose encoder values later windows compute again
        instead of reading them.
    relays: levels, in ascending order and up to ``level``, at which encode and decode are divided
        into chains; with ``level`` itself the core runs in windows as well, and all stages are one
        chain.
    Raises GraphError when there is nothing to cut at this level, when a window cannot compute the
    encoder values again, or when no part can be divided at these levels.
    """
    kinds = kinds_of(whole, level)
    if level > whole.levels or Kind.WINDOWED not in kinds.values():
        raise GraphError(
            f"there is nothing to cut at level {level}: the graph has no operators below it",
            hint="use a smaller level, 1 for most networks",
        )

    def made_again(value: ir.Value, reader: ir.Node) -> bool:
        return kinds[reader] is Kind.WINDOWED and whole.stride(value) < 2**recompute

    phases = phases_of(whole, kinds, made_again) if recompute else phases_of(whole, kinds)
    cores = [
        index for index in range(1, len(phases), 2) if _core_of(whole, level, kinds, phases[index])
    ]
    if recompute and cores[:1] != [1]:
        raise GraphError(
            "the encoder averages the whole frame, so a window cannot make its values again"
            if cores
            else "no part runs on whole frames, so nothing is held that could be made again",
            hint="store the skips of this network",
        )
    groups = _named(list(_groups(whole, level, kinds, phases, cores)))
    if relays:
        groups = [one for group in groups for one in _chained(whole, group, relays)]
        if level in relays:
            groups = _one_chain(whole, groups)
        if not any(group.chain for group in groups):
            raise GraphError(
                f"nothing runs in turns at the levels {relays}",
                hint="divide it at other levels, or not at all",
            )
    again: set[ir.Value] = set()
    if recompute:
        once = {node for group in groups if not group.windowed for node in group.nodes}
        again = {
            value
            for node in phases[0]
            for value in node.outputs
            if whole.stride(value) < 2**recompute and not once & whole.readers[value]
        }
    return _parts(whole, groups, again)


def extract(whole: Geometry, name: str, inputs: Iterable[str], outputs: Iterable[str]) -> ir.Model:
    """Return the part of a graph between given values, as a model. Unused inputs are left out.

    The model shares its nodes with the whole graph; only its ``clone`` may be changed or written.
    """
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
    )
    # A view has all that a model reads of a graph.
    return ir.Model(cast(ir.Graph, graph), ir_version=whole.model.ir_version)


def _core_of(
    whole: Geometry, level: int, kinds: dict[ir.Node, Kind], nodes: set[ir.Node]
) -> set[ir.Node]:
    """Return the nodes of a phase that run once because of their level, with what joins them."""
    strides = whole.finest_strides
    high = {n for n in nodes if kinds[n] is Kind.ONCE and strides[n] < 2**level}
    if not any(kinds[node] is Kind.ONCE for node in nodes - high):
        return set()
    free = (one for one in _connected(whole, high) if not _reads_others(whole, one))
    return (nodes - high).union(*free)


def _reads_others(whole: Geometry, nodes: set[ir.Node]) -> bool:
    """Return whether nodes read more than the graph's inputs. Others run in any core for free."""
    return any(maker not in nodes for node in nodes for maker in whole.before[node])


def _groups(
    whole: Geometry,
    level: int,
    kinds: dict[ir.Node, Kind],
    phases: list[set[ir.Node]],
    cores: list[int],
) -> Iterator[_Group]:
    """Yield what runs together, in order. The passes of one side have one name."""
    with_means = {
        _side(index, cores)
        for index in range(1, len(phases), 2)
        if phases[index] - _core_of(whole, level, kinds, phases[index])
    }
    for index, nodes in enumerate(phases):
        side = _side(index, cores)
        if index % 2 == 0:
            passes = _waist(whole, nodes) if side in with_means else [nodes]
            yield from (_Group(side, True, one) for one in passes if one)
            continue
        core = _core_of(whole, level, kinds, nodes)
        for together in _connected(whole, nodes - core):
            if together & whole.descendants(core, within=nodes):
                core |= together
                continue
            vectors = all(
                math.isinf(whole.stride(value)) for node in together for value in node.outputs
            )
            yield _Group(f"{side}-{'mean' if vectors else 'whole'}", False, together)
        if core:
            yield _Group("core", False, core)


def _side(index: int, cores: list[int]) -> str:
    """Return the name of what lies before, between or behind the cores."""
    if not cores:
        return "windows"
    if index <= cores[0]:
        return "encode"
    return "decode" if index > cores[-1] else "middle"


def _connected(whole: Geometry, nodes: set[ir.Node]) -> Iterator[set[ir.Node]]:
    """Yield the sets of nodes that are connected with each other, in execution order."""
    left = set(nodes)
    for node in whole.nodes:
        if node not in left:
            continue
        found, stack = {node}, [node]
        while stack:
            one = stack.pop()
            near = {*whole.before[one], *whole.after[one]} & left - found
            found |= near
            stack += near
        left -= found
        yield found


def _named(groups: list[_Group]) -> list[_Group]:
    """Number the groups of one name, and the passes around means."""
    total = collections.Counter(group.name for group in groups)
    sides = {group.name.split("-")[0] for group in groups if "-" in group.name}
    count: collections.Counter[str] = collections.Counter()
    found = []
    for group in groups:
        count[group.name] += 1
        numbered = total[group.name] > 1 or group.name.split("-")[0] in sides
        name = f"{group.name}-{count[group.name]:02}" if numbered else group.name
        found.append(_Group(name, group.windowed, group.nodes))
    return found


def _chained(whole: Geometry, group: _Group, relays: tuple[int, ...]) -> list[_Group]:
    """Divide the only pass of encode or of decode by level, where the fewest bytes cross.

    Other groups are returned as they are: passes around a mean run one after the other over the
    whole frame.
    """
    if group.name not in CHAINS:
        return [group]
    left = set(group.nodes)
    pieces = []
    encodes = group.name == CHAINS[0]
    for level in relays if encodes else reversed(relays):
        mixing = {node for node in left if whole.mixes(node)}
        fine = {node for node in mixing if whole.finest_strides[node] < 2**level}
        early, late = (fine, mixing - fine) if encodes else (mixing - fine, fine)
        late |= whole.descendants(late, within=left)
        if not early or not late or early & late:
            continue
        piece = cheapest_cut(left, early, late)
        pieces.append(piece)
        left -= piece
    if not pieces:
        return [group]
    return [
        _Group(f"{group.name}-{number}", True, nodes, chain=group.name)
        for number, nodes in enumerate([*pieces, left], 1)
    ]


def _one_chain(whole: Geometry, groups: list[_Group]) -> list[_Group]:
    """Put all groups into one chain, in which the core runs in windows as well.

    Raises GraphError when there is not one core, or when it has operators that no window can run.
    """
    once = [group for group in groups if not group.windowed]
    unable = {*whole.whole_nodes, *whole.vector_nodes}
    if [group.name for group in once] != ["core"] or once[0].nodes & unable:
        raise GraphError(
            "not everything can run in windows, so the stages cannot be one chain",
            hint="divide it at finer levels alone",
        )
    return [replace(group, windowed=True, chain=THROUGH) for group in groups]


def _parts(whole: Geometry, groups: list[_Group], again: set[ir.Value]) -> tuple[Part, ...]:
    """Return the groups as parts, with the values that cross between them, in execution order.

    again: values that later windows compute by themselves.
    """
    place = {node: index for index, group in enumerate(groups) for node in group.nodes}
    inputs: list[list[str]] = [[] for _ in groups]
    outputs: list[list[str]] = [[] for _ in groups]
    recomputed: list[list[str]] = [[] for _ in groups]
    finals = set(whole.model.graph.outputs)
    given = tuple(_name(value) for value in whole.model.graph.inputs)
    for node in whole.nodes:
        for value in node.outputs:
            if value.const_value is not None:
                continue
            later = sorted({place[reader] for reader in whole.readers[value]} - {place[node]})
            crossing = [i for i in later if value not in again or not groups[i].windowed]
            for index in later:
                (inputs if index in crossing else recomputed)[index].append(_name(value))
            if crossing or value in finals:
                outputs[place[node]].append(_name(value))
    return tuple(
        Part(
            group.name,
            group.windowed,
            (*given, *inputs[i]),
            tuple(outputs[i]),
            tuple(recomputed[i]),
            group.chain,
        )
        for i, group in enumerate(groups)
        if outputs[i]
    )


def _waist(whole: Geometry, nodes: set[ir.Node]) -> list[set[ir.Node]]:
    """Cut a pass before its first convolution, where the fewest bytes are held.

    The first part works cell by cell, so its results may overwrite what it has read.
    """
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
        return [nodes]
    first = cheapest_cut(nodes, reads_held, mixing)
    if not first or first == nodes:
        return [nodes]
    return [first, nodes - first]


def _name(value: ir.Value) -> str:
    if value.name is None:
        raise GraphError("a value that crosses parts has no name", hint="export it again")
    return value.name
