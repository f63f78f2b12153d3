"""The operators that keep a stage on whole frames: why, what it costs, and what would help."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import onnx_ir as ir

from edgeunet.graph.geometry import Geometry
from edgeunet.graph.mincut import size_bytes


@dataclass(frozen=True)
class WholeOperator:
    """An operator that no window can run.

    why: a sentence that names it.
    help: what would let windows run it.
    size_bytes: of the tensors that it reads and makes, for the frame that the graph was made for.
    """

    why: str
    help: str
    size_bytes: int


def whole_operators(whole: Geometry, nodes: Collection[ir.Node]) -> tuple[WholeOperator, ...]:
    """Return the operators among the nodes that no window can run, the largest first."""
    found = []
    for node in nodes:
        error = whole.whole_nodes.get(node)
        if error is None:
            continue
        around = dict.fromkeys((*node.inputs, *node.outputs))
        size = sum(
            size_bytes(value)
            for value in around
            if value is not None and value.const_value is None and value.shape is not None
        )
        found.append(WholeOperator(error.message, error.hint, size))
    return tuple(sorted(found, key=lambda one: -one.size_bytes))
