"""The position of a whole-frame graph's tensors in the frame, computed once for all cuts.

Strides are in full-resolution pixels per element.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterable, Mapping
from fractions import Fraction

import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.element_ranges import Range
from edgeunet.graph.places import Place, by_name, places_of
from edgeunet.graph.reach import reach_of
from edgeunet.graph.values import constant_of


class Geometry:
    """The nodes of a graph, their readers, and the place of their tensors.

    The graph must not be changed while this object is in use.
    places: by the name of the tensor.
    whole_nodes: the nodes that no window can run, each with the error that says why.
    """

    def __init__(self, model: ir.Model) -> None:
        graph = model.graph
        self.model = model
        self.nodes = tuple(graph)
        found = places_of(graph)
        self._axes, self._strides = found.axes, found.strides
        self.places: Mapping[str, Place] = by_name(found)
        self.whole_nodes: Mapping[ir.Node, GraphError] = found.whole
        self._mixing: dict[ir.Node, bool] = {}

    @functools.cached_property
    def values(self) -> Mapping[str, ir.Value]:
        """The graph's inputs and all results of operators, by name."""
        made = (value for node in self.nodes for value in node.outputs)
        return {value.name or "": value for value in (*self.model.graph.inputs, *made)}

    @functools.cached_property
    def readers(self) -> Mapping[ir.Value, frozenset[ir.Node]]:
        """The nodes that read each operator's result."""
        return {
            value: frozenset(use.node for use in value.uses())
            for node in self.nodes
            for value in node.outputs
        }

    @functools.cached_property
    def levels(self) -> int:
        """The number of levels that can be cut at.

        At the last of them nothing is too coarse for windows.
        """
        coarsest = max(self._strides.values(), default=Fraction(1))
        level = 0
        while 2**level <= coarsest:
            level += 1
        return level

    @functools.cached_property
    def vector_nodes(self) -> frozenset[ir.Node]:
        """The nodes whose results have no place in the frame, and depend on the frame."""
        found: set[ir.Node] = set()
        for node in self.nodes:
            if any(value in self._axes for value in node.outputs):
                continue
            if node in self.whole_nodes or any(maker in found for maker in self.before[node]):
                found.add(node)
        return frozenset(found)

    @functools.cached_property
    def finest_strides(self) -> Mapping[ir.Node, float | Fraction]:
        """The finest stride that each node writes.

        A node on vectors gets the stride of the tensor that the vector was made from. A dequantizer
        of weights gets the stride of the node that reads them.
        """
        found: dict[ir.Node, float | Fraction] = {}
        for node in self.nodes:
            own = min((self.stride(value) for value in node.outputs), default=math.inf)
            if math.isinf(own):
                for value in node.inputs:
                    if value is None:
                        continue
                    producer = value.producer()
                    if not math.isinf(self.stride(value)):
                        own = min(own, self.stride(value))
                    elif producer is not None:
                        own = min(own, found[producer])
            found[node] = own
        for node in reversed(self.nodes):
            if self.reads_weights(node):
                found[node] = min((found[reader] for reader in self.after[node]), default=math.inf)
        return found

    def reads_weights(self, node: ir.Node) -> bool:
        """Return whether a node reads only weights, so that it belongs to its reader."""
        return not self.before[node] and all(constant_of(v) is not None for v in node.inputs)

    def stride(self, value: ir.Value) -> float | Fraction:
        """Return a tensor's stride, inf for one without a place in the frame, such as a vector."""
        return self._strides.get(value, math.inf)

    def mixes(self, node: ir.Node) -> bool:
        """Return whether an output cell depends on more input than the cell at its position."""
        if node not in self._mixing:
            self._mixing[node] = node in self.whole_nodes or self._mixes(node)
        return self._mixing[node]

    def descendants(
        self, nodes: Iterable[ir.Node], within: Collection[ir.Node] | None = None
    ) -> set[ir.Node]:
        """Return all nodes that depend on any of the nodes.

        within: only follow paths inside this set.
        """
        found: set[ir.Node] = set()
        stack = list(nodes)
        while stack:
            for node in self.after[stack.pop()]:
                if node not in found and (within is None or node in within):
                    found.add(node)
                    stack.append(node)
        return found

    @functools.cached_property
    def after(self) -> Mapping[ir.Node, tuple[ir.Node, ...]]:
        """The nodes that read a result of each node."""
        return {
            node: tuple({reader for value in node.outputs for reader in self.readers[value]})
            for node in self.nodes
        }

    @functools.cached_property
    def before(self) -> Mapping[ir.Node, tuple[ir.Node, ...]]:
        """The nodes whose results each node reads."""
        makers = {
            node: {value.producer() for value in node.inputs if value is not None}
            for node in self.nodes
        }
        return {
            node: tuple(maker for maker in found if maker is not None)
            for node, found in makers.items()
        }

    def _mixes(self, node: ir.Node) -> bool:
        own = next((self._strides[v] for v in node.outputs if v in self._strides), None)
        placed = [(i, v) for i, v in enumerate(node.inputs) if v is not None and v in self._axes]
        if own is None:
            return bool(placed)
        for index, value in placed:
            cell = common_multiple([self._strides[value], own])
            for rule in reach_of(node, index, self._axes).rules:
                reach = rule(Range(0, int(cell / own)))
                if reach.start < 0 or reach.stop > cell / self._strides[value]:
                    return True
        return False


def common_multiple(strides: Iterable[Fraction]) -> int:
    """Return the fewest whole pixels that are whole elements of every one of these strides."""
    return math.lcm(*(stride.numerator for stride in strides))
