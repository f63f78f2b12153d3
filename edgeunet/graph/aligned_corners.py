"""Interpolate with aligned corners in a way that windows can run.

With aligned corners the position that an element is read at depends on its place in the frame: for
a tensor that becomes s times as large, element i is read at i (n - 1) / (s n - 1) in place of about
i / s. Both differ by less than one element. So three neighbours are weighed, and the weights follow
from a small map of positions, at the resolution of what is enlarged. The map is made once, and
windows read their part of it, like that of any held tensor.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from edgeunet.graph.attributes import text_of
from edgeunet.graph.inserting import Inserter, replace
from edgeunet.graph.tables import Tables, integers
from edgeunet.graph.values import Floats, static_shape

_EDGE = ir.AttrString("mode", "edge")


def aligned_resizes(model: ir.Model) -> list[str]:
    """Return the names of what Resizes with aligned corners make, if windows could make it."""
    return [node.outputs[0].name or "" for node in model.graph if _factor(node) is not None]


def with_positions(model: ir.Model, names: Collection[str]) -> ir.Model:
    """Return a copy of a graph whose Resizes with aligned corners read maps of positions.

    names: of what the Resizes make; see ``aligned_resizes``. The others stay as they are.
    """
    copy = model.clone()
    tables = Tables(copy.graph)
    for node in [node for node in copy.graph if _factor(node) and node.outputs[0].name in names]:
        add = Inserter(copy.graph, node, f"{node.outputs[0].name}_corners")
        replace(copy.graph, node, _enlarged(add, node, tables))
    return copy


def _factor(node: ir.Node) -> int | None:
    """Return how many times more rows and columns a Resize makes; None for any other operator."""
    if node.op_type != "Resize" or text_of(node, "mode", "nearest") != "linear":
        return None
    if text_of(node, "coordinate_transformation_mode", "half_pixel") != "align_corners":
        return None
    source = static_shape(node.inputs[0]) if node.inputs[0] is not None else None
    made = static_shape(node.outputs[0])
    if source is None or made is None or len(source) != 4 or source[:2] != made[:2]:
        return None
    if source[0] != 1 or min(source[2:]) < 2 or node.outputs[0].dtype is not ir.DataType.FLOAT:
        return None
    factor = made[2] // source[2]
    exact = made[2:] == (factor * source[2], factor * source[3])
    return factor if exact and factor > 1 else None


def _enlarged(add: Inserter, node: ir.Node, tables: Tables) -> ir.Value:
    """Return what makes the result of a Resize: columns first, then rows.

    The parts of a cell of the result are channels until a shuffle puts them into their places.
    """
    x, factor = node.inputs[0], _factor(node)
    assert x is not None
    assert factor is not None
    for axis in (3, 2):
        x = _along(add, x, axis, factor, tables)
    block = ir.AttrInt64("blocksize", factor)
    return add.node("DepthToSpace", [x], static_shape(node.outputs[0]) or (), [block])


def _along(add: Inserter, x: ir.Value, axis: int, factor: int, tables: Tables) -> ir.Value:
    """Return (1, factor * C, H, W): of every element, the ``factor`` that are made around it."""
    shape = _, channels, rows, columns = static_shape(x) or ()
    length = shape[axis]
    step = (length - 1) / (factor * length - 1)
    moved = np.arange(length) * (factor * step - 1)
    content = np.broadcast_to(moved[:, None] if axis == 2 else moved, (rows, columns))
    positions = tables.map(add, np.float32(content))
    positions = add.reshape(positions, (1, 1, 1, rows, columns))
    inside = add.constant(f"inside_{axis}", _column(np.arange(factor) * step))
    forwards = add.node("Add", [positions, inside], (1, factor, 1, rows, columns))
    backwards = add.node("Neg", [forwards], (1, factor, 1, rows, columns))
    y = add.reshape(x, (1, 1, channels, rows, columns))
    for neighbour, way in zip(_neighbours(add, x, axis), (forwards, backwards), strict=True):
        weight = add.node("Relu", [way], (1, factor, 1, rows, columns))
        apart = add.node("Sub", [neighbour, x], shape)
        apart = add.reshape(apart, (1, 1, channels, rows, columns))
        parts = (1, factor, channels, rows, columns)
        y = add.node("Add", [y, add.node("Mul", [apart, weight], parts)], parts)
    return add.reshape(y, (1, factor * channels, rows, columns))


def _column(numbers: Floats) -> Floats:
    return numbers.astype(np.float32).reshape(1, -1, 1, 1, 1)


def _neighbours(add: Inserter, x: ir.Value, axis: int) -> tuple[ir.Value, ir.Value]:
    """Return the next and the previous element of every element, (1, C, H, W) both."""
    shape = static_shape(x) or ()
    pads = np.zeros(8, np.int64)
    pads[[axis, 4 + axis]] = 1
    wide = tuple(side + 2 * (number == axis) for number, side in enumerate(shape))
    padded = add.node("Pad", [x, integers(add, f"pads_{axis}", pads)], wide, [_EDGE])
    over = integers(add, f"axis_{axis}", [axis])
    found = [
        add.node(
            "Slice",
            [padded, *(integers(add, f"{start}_{axis}_{n}", [n]) for n in (start, stop)), over],
            shape,
        )
        for start, stop in ((2, shape[axis] + 2), (0, shape[axis]))
    ]
    return found[0], found[1]
