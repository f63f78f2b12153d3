"""Ranges along one spatial axis, and the rules that lead from an output's range to an input's.

Ranges are half-open, [start, stop), in elements. They are not clipped to the tensor: what reaches
past its border is padding of the graph. Numbers may be arrays, to ask about many ranges at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import onnx_ir as ir

from edgeunet.errors import GraphError

_TEACH = "run its level on whole frames, or teach graph/reach.py its reach"

Axes = tuple[int, int]
"""The axes of a tensor that are its rows and its columns."""


class GlobalOperatorError(GraphError):
    """An operator whose every output depends on every input pixel."""


@dataclass(frozen=True)
class Range:
    """Elements [start, stop) along one axis; integers, or arrays of integers."""

    start: Any
    stop: Any

    def joined(self, other: Range) -> Range:
        return Range(np.minimum(self.start, other.start), np.maximum(self.stop, other.stop))


Rule = Callable[[Range], Range]
"""Maps a range of an operator's output to the range of one input that it depends on."""


@dataclass(frozen=True)
class Reach:
    """What an operator's outputs depend on of one input.

    axes: the row and column axes of the outputs.
    rules: for rows and for columns.
    steps: input elements per output element, for rows and for columns.
    """

    axes: Axes
    rules: tuple[Rule, Rule]
    steps: tuple[Fraction, Fraction] = (Fraction(1), Fraction(1))


def same(reach: Range) -> Range:
    """Map a range to itself: the rule of operators that work element by element."""
    return reach


def in_cells_of(block: int) -> Rule:
    """Return the rule of operators that make one element of ``block`` neighbours."""
    return lambda reach: Range(reach.start * block, reach.stop * block)


def from_cells_of(block: int) -> Rule:
    """Return the rule of operators that make ``block`` neighbours of one element."""
    return lambda reach: Range(reach.start // block, -(-reach.stop // block))


def pointwise(axes: Axes) -> Reach:
    """Return the reach of an operator that works element by element."""
    return Reach(axes, (same, same))


def title(node: ir.Node) -> str:
    """Return how a message names an operator."""
    return f"operator {node.op_type} (node {node.name!r})"


def unknown(
    node: ir.Node, why: str = "what it reaches is not known", help: str = _TEACH
) -> GraphError:
    """Return the error for an operator that no window can run. help: what would let them."""
    return GraphError(f"{title(node)} cannot run window by window: {why}", hint=help)


def needs_all(node: ir.Node) -> GlobalOperatorError:
    """Return the error for an operator that depends on the whole frame."""
    return GlobalOperatorError(
        f"{title(node)} needs the whole frame at once",
        hint="run the levels it is in on whole frames, or cut the plan at it",
    )
