"""What a Slice or a Gather takes of its input, where that is one part along one axis."""

from __future__ import annotations

import onnx_ir as ir

from edgeunet.graph.attributes import int_of

Part = tuple[int, int, int]
"""An axis, and the first element along it and the end."""


def taken_part(node: ir.Node, shape: tuple[int, ...]) -> Part | None:
    """Return the part that a node takes; None for other nodes and what is no single part.

    shape: of its input.
    """
    if node.op_type not in ("Gather", "Slice"):
        return None
    found = [_number(value) for value in node.inputs[1:]]
    given = [number for number in found if number is not None]
    if len(given) < len(found):
        return None
    if node.op_type == "Gather":
        axis = int_of(node, "axis", 0) % len(shape)
        start = given[0] % shape[axis]
        return (axis, start, start + 1)
    if len(given) not in (3, 4) or given[3:] not in ([], [1]):
        return None
    axis = given[2] % len(shape)
    start, end = (_within(place, shape[axis]) for place in given[:2])
    return (axis, start, end)


def _within(place: int, length: int) -> int:
    """Return a place along an axis, which is counted from the end if it is negative."""
    return max(0, min(place + length if place < 0 else place, length))


def _number(value: ir.Value | None) -> int | None:
    """Return the single number that a value holds in the file itself; None for all others."""
    tensor = None if value is None else value.const_value
    if tensor is None or isinstance(tensor, ir.ExternalTensor) or tensor.size != 1:
        return None
    return int(tensor.numpy().reshape(())) if tensor.dtype == ir.DataType.INT64 else None
