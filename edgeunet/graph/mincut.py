"""The cut between an early and a late part of a graph that holds the fewest bytes across it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable

import networkx
import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.values import static_shape

_SOURCE, _SINK = "source", "sink"


def cheapest_cut(
    nodes: Collection[ir.Node],
    early: Collection[ir.Node],
    late: Collection[ir.Node],
    *,
    free: Callable[[ir.Value, ir.Node], bool] = lambda value, reader: False,
) -> set[ir.Node]:
    """Return the smallest early side, among ``nodes``, of the cut with the fewest bytes across.

    early, late: nodes whose side is known. What comes into ``nodes`` from outside counts as made
    early, what is read outside as read late. free: reads for which nothing needs to be held.
    """
    inside = set(nodes)
    network = networkx.DiGraph()
    network.add_nodes_from((_SOURCE, _SINK))
    for node in inside:
        if node in early:
            network.add_edge(_SOURCE, node)
        if node in late:
            network.add_edge(node, _SINK)
    for value in _values_around(inside):
        producer = value.producer()
        if producer in inside:
            network.add_edge(producer, value, capacity=size_bytes(value))
        else:
            network.add_edge(_SOURCE, value, capacity=size_bytes(value))
        for reader in {use.node for use in value.uses()}:
            if reader not in inside:
                network.add_edge(value, _SINK)
                continue
            if producer in inside:
                # Nothing may be needed by an earlier part than the one that makes it.
                network.add_edge(reader, producer)
            if not free(value, reader):
                network.add_edge(value, reader)
    _, (before, _) = networkx.minimum_cut(network, _SOURCE, _SINK)
    return {node for node in inside if node in before}


def size_bytes(value: ir.Value) -> int:
    """Return a value's size; raises GraphError when it is not fixed."""
    shape = static_shape(value)
    if shape is None or value.dtype is None:
        raise GraphError(
            f"the size of {value.name!r} is not known", hint="export with a fixed size"
        )
    return math.ceil(math.prod(shape) * value.dtype.itemsize)


def _values_around(nodes: Iterable[ir.Node]) -> set[ir.Value]:
    """Return what the nodes make and what they read of other nodes' results."""
    found: set[ir.Value] = set()
    for node in nodes:
        found.update(value for value in node.outputs if value.uses())
        found.update(v for v in node.inputs if v is not None and v.producer() is not None)
    # A Constant's result is in every part that reads it.
    return {value for value in found if value.const_value is None}
