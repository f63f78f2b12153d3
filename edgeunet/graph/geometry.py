"""The position of a whole-frame graph's tensors in the frame, computed once for all cuts.

Strides are in full-resolution pixels per element.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterable, Mapping

import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.receptive import Axes, Range, global_nodes, reach_rule, spatial_axes
from edgeunet.graph.values import constant_of, static_shape


class Geometry:
    """The nodes of a graph, their readers, and the resolution of their tensors.

    The graph must not be changed while this object is in use.
    strides: by tensor; inf for tensors without a resolution, such as vectors.
    """

    def __init__(self, model: ir.Model) -> None:
        graph = model.graph
        self.model = model
        self.nodes = tuple(graph)
        self._axes = spatial_axes(graph)
        self.strides: Mapping[ir.Value, float] = _strides(graph, self._axes)
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
    def global_nodes(self) -> tuple[ir.Node, ...]:
        """The nodes that reduce over rows and columns, in execution order."""
        return tuple(global_nodes(self.model.graph))

    @functools.cached_property
    def finest_strides(self) -> Mapping[ir.Node, float]:
        """The finest stride that each node writes.

        A node on vectors gets the stride of the tensor that the vector was made from. A dequantizer
        of weights gets the stride of the node that reads them.
        """
        found: dict[ir.Node, float] = {}
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
            # A node that reads only weights belongs to its reader.
            if not self._before[node] and all(constant_of(v) is not None for v in node.inputs):
                found[node] = min((found[reader] for reader in self._after[node]), default=math.inf)
        return found

    def stride(self, value: ir.Value) -> float:
        return self.strides.get(value, math.inf)

    def mixes(self, node: ir.Node) -> bool:
        """Return whether an output cell depends on more input than the cell at its position."""
        if node not in self._mixing:
            self._mixing[node] = self._mixes(node)
        return self._mixing[node]

    def descendants(
        self, nodes: Iterable[ir.Node], within: Collection[ir.Node] | None = None
    ) -> set[ir.Node]:
        """Return all nodes that depend on any of the nodes.

        within: only follow paths inside this set.
        """
        return self._reached(nodes, self._after, within)

    def ancestors(
        self, nodes: Iterable[ir.Node], within: Collection[ir.Node] | None = None
    ) -> set[ir.Node]:
        """Return all nodes that any of the nodes depends on.

        within: only follow paths inside this set.
        """
        return self._reached(nodes, self._before, within)

    @functools.cached_property
    def _after(self) -> Mapping[ir.Node, tuple[ir.Node, ...]]:
        return {
            node: tuple({reader for value in node.outputs for reader in self.readers[value]})
            for node in self.nodes
        }

    @functools.cached_property
    def _before(self) -> Mapping[ir.Node, tuple[ir.Node, ...]]:
        makers = {
            node: {value.producer() for value in node.inputs if value is not None}
            for node in self.nodes
        }
        return {
            node: tuple(maker for maker in found if maker is not None)
            for node, found in makers.items()
        }

    @staticmethod
    def _reached(
        nodes: Iterable[ir.Node],
        steps: Mapping[ir.Node, tuple[ir.Node, ...]],
        within: Collection[ir.Node] | None,
    ) -> set[ir.Node]:
        found: set[ir.Node] = set()
        stack = list(nodes)
        while stack:
            for node in steps[stack.pop()]:
                if node not in found and (within is None or node in within):
                    found.add(node)
                    stack.append(node)
        return found

    def _mixes(self, node: ir.Node) -> bool:
        own = self.stride(node.outputs[0])
        if math.isinf(own):
            return any(v is not None and not math.isinf(self.stride(v)) for v in node.inputs)
        for index, value in enumerate(node.inputs):
            if value is None or constant_of(value) is not None:
                continue
            stride = self.stride(value)
            if math.isinf(stride):
                continue
            cell = max(stride, own)
            for which in (0, 1):
                try:
                    rule = reach_rule(node, index, self._axes, which)
                except GraphError:
                    return True
                reach = rule(Range(0, int(cell / own)))
                if reach.start < 0 or reach.stop > cell / stride:
                    return True
        return False


def strides_of(graph: ir.Graph) -> dict[ir.Value, float]:
    """Return the stride of every tensor, in full-resolution pixels per element.

    The stride of a tensor without a resolution is inf.
    """
    return _strides(graph, spatial_axes(graph))


def _strides(graph: ir.Graph, axes: Mapping[ir.Value, Axes]) -> dict[ir.Value, float]:
    lengths = {value: _rows(value, axes) for value in axes}
    rows = max(lengths[value] for value in graph.inputs if value in axes)
    return {value: rows / length if length > 1 else math.inf for value, length in lengths.items()}


def _rows(value: ir.Value, axes: Mapping[ir.Value, Axes]) -> int:
    shape = static_shape(value)
    return 1 if shape is None else shape[axes[value][0]]
