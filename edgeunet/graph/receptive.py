"""Find the range of its tensors that a range of a graph's outputs depends on.

The operators are walked from the outputs to the inputs, by the rules of ``graph/reach.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from edgeunet.graph.element_ranges import Axes, Range, Rule
from edgeunet.graph.places import places_of
from edgeunet.graph.reach import is_global, reach_of

Sources = tuple[tuple[ir.Value, tuple[Rule, Rule]], ...]
"""The inputs of which a node needs a range, each with its rules."""


class ReceptiveField:
    """The receptive fields of all operators of a graph, read once for many questions.

    The graph must not be changed while this object is in use.
    """

    def __init__(
        self,
        graph: ir.Graph,
        axes: Mapping[ir.Value, Axes] | None = None,
        known: dict[ir.Node, Sources] | None = None,
    ) -> None:
        """Prepare a graph.

        axes: of the tensors that have a place in the frame; found in the graph unless given.
        known: the sources of nodes that were read before; others are added to it.
        """
        self._axes = spatial_axes(graph) if axes is None else axes
        self._inputs = tuple(graph.inputs)
        self._backwards = tuple(reversed(list(graph)))
        self._sources: dict[ir.Node, Sources] = {} if known is None else known

    def needed(self, wanted: Mapping[ir.Value, Range], which: int) -> dict[ir.Value, Range]:
        """Return the range of every graph input that output ranges depend on, along one axis.

        wanted: ranges of outputs.
        which: 0 for rows, 1 for columns. Inputs that no wanted output depends on are left out.
            Raises GlobalOperatorError for an operator that depends on everything, and GraphError
            for one that is not known; both name the node.
        """
        ranges = self.ranges(wanted, which)
        return {value: ranges[value] for value in self._inputs if value in ranges}

    def ranges(self, wanted: Mapping[ir.Value, Range], which: int) -> dict[ir.Value, Range]:
        """Return the range of every tensor that output ranges depend on; see ``needed``."""
        ranges: dict[ir.Value, Range] = dict(wanted)
        for node in self._backwards:
            outputs = [ranges[v] for v in node.outputs if v in ranges]
            if not outputs:
                continue
            reach = outputs[0]
            for other in outputs[1:]:
                reach = reach.joined(other)
            for value, rules in self._sources_of(node):
                found = rules[which](reach)
                ranges[value] = ranges[value].joined(found) if value in ranges else found
        return ranges

    def _sources_of(self, node: ir.Node) -> Sources:
        """Return the inputs of which a node needs a range, each with its rules."""
        if node not in self._sources:
            self._sources[node] = tuple(
                (value, reach_of(node, index, self._axes).rules)
                for index, value in enumerate(node.inputs)
                if value is not None and value in self._axes
            )
        return self._sources[node]


def spatial_axes(graph: ir.Graph) -> dict[ir.Value, Axes]:
    """Return the row and column axes of every tensor that has them."""
    return places_of(graph).axes


def global_nodes(graph: ir.Graph) -> list[ir.Node]:
    """Return the nodes that reduce over rows or columns, in execution order."""
    axes = spatial_axes(graph)
    return [node for node in graph if is_global(node, axes)]
