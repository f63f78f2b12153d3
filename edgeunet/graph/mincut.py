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

    def place(node: ir.Node) -> ir.Node | str:
        """A node whose side is known is its side: few others are left."""
        if node in early:
            return _SOURCE
        return _SINK if node in late else node

    network = networkx.DiGraph()
    network.add_nodes_from((_SOURCE, _SINK))
    for value in _values_around(inside):
        producer = value.producer()
        made_in = place(producer) if producer in inside else _SOURCE
        network.add_edge(made_in, value, capacity=size_bytes(value))
        for reader in {use.node for use in value.uses()}:
            if reader not in inside:
                network.add_edge(value, _SINK)
                continue
            read_in = place(reader)
            if producer in inside and read_in != made_in:
                # Nothing may be needed by an earlier part than the one that makes it.
                network.add_edge(read_in, made_in)
            if read_in != made_in and not free(value, reader):
                network.add_edge(value, read_in)
    _, (before, _) = networkx.minimum_cut(network, _SOURCE, _SINK)
    return {node for node in inside if node in early or (node in before and node not in late)}


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
