"""The reach of operators that work along one axis, or change the order of axes.

They are pointwise in space unless that axis is a row or column axis. Each function takes a node and
the spatial axes of its first input.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import onnx_ir as ir

from edgeunet.graph.attributes import int_of, ints_of
from edgeunet.graph.element_ranges import (
    Axes,
    Reach,
    Rule,
    from_cells_of,
    in_cells_of,
    needs_all,
    pointwise,
    same,
    unknown,
)
from edgeunet.graph.values import constant_of, static_shape

_LAST_BY_DEFAULT = frozenset(
    {"Softmax", "LogSoftmax", "Hardmax", "LpNormalization", "TopK", "LayerNormalization"}
)
# With these, a row of the result depends on the whole row that it is made of.
_OVER_AXIS = frozenset({"ArgMax", "ArgMin", "Softmax", "LogSoftmax", "Hardmax", "LpNormalization"})


def along_axis(node: ir.Node, axes: Axes) -> Reach:
    """Return the reach of an operator with one axis: Concat, Split, Softmax, ArgMax, ..."""
    rank = len(_shape(node))
    axis = int_of(node, "axis", -1 if node.op_type in _LAST_BY_DEFAULT else 0) % rank
    if axis in axes:
        raise needs_all(node) if node.op_type in _OVER_AXIS else unknown(node, "it works on rows")
    if node.op_type in ("ArgMax", "ArgMin") and not int_of(node, "keepdims", 1):
        return pointwise(_without(axes, [axis]))
    return pointwise(axes)


def normalized(node: ir.Node, axes: Axes) -> Reach:
    """Return the reach of a LayerNormalization, which works on its axis and all later ones."""
    rank = len(_shape(node))
    if max(axes) >= int_of(node, "axis", -1) % rank:
        raise needs_all(node)
    return pointwise(axes)


def channels_first(node: ir.Node, axes: Axes) -> Reach:
    """Return the reach of an operator along the second axis: BatchNormalization, LRN."""
    if 1 in axes:
        raise unknown(node, "its channels are rows or columns")
    return pointwise(axes)


def reduced(node: ir.Node, axes: Axes) -> Reach:
    """Return the reach of a reduction over channels."""
    over = reduced_axes(node)
    if over is None:
        raise unknown(node, "its axes are not constant")
    if any(axis in axes for axis in over):
        raise needs_all(node)
    return pointwise(axes if int_of(node, "keepdims", 1) else _without(axes, over))


def reduced_axes(node: ir.Node) -> list[int] | None:
    """Return the axes that a reduction works on, counted from 0; None if they are not constant."""
    rank = len(_shape(node))
    found: Sequence[int] | None = ints_of(node, "axes")
    if found is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        content = constant_of(node.inputs[1])
        if content is None:
            return None
        found = content.reshape(-1).tolist()
    if not found:
        return [] if int_of(node, "noop_with_empty_axes", 0) else list(range(rank))
    return [int(axis) % rank for axis in found]


def gathered(node: ir.Node, axes: Axes) -> Reach:
    """Return the reach of a Gather of channels."""
    axis = int_of(node, "axis", 0) % len(_shape(node))
    indices = constant_of(node.inputs[1])
    if axis in axes or indices is None:
        raise unknown(node, "it takes rows or columns, or its indices are not constant")
    rows, columns = (one + (indices.ndim - 1) * (one > axis) for one in axes)
    return pointwise((rows, columns))


def chosen(node: ir.Node, axes: Axes) -> Reach:
    """Return the reach of a Gather of constants by indices that have rows and columns."""
    first = int_of(node, "axis", 0) % len(_shape(node))
    return pointwise((first + axes[0], first + axes[1]))


def transposed_axes(node: ir.Node, axes: Axes) -> Reach:
    """Return the reach of a Transpose."""
    rank = len(_shape(node))
    order = list(ints_of(node, "perm") or range(rank - 1, -1, -1))
    return pointwise((order.index(axes[0]), order.index(axes[1])))


def multiplied(node: ir.Node, index: int, axes: Mapping[ir.Value, Axes]) -> Reach:
    """Return the reach of a product of matrices, one or more for every row and column.

    Of the left matrix, rows may be pixels as well: each is multiplied by itself.
    """
    shapes = [static_shape(value) if value is not None else None for value in node.inputs]
    made = static_shape(node.outputs[0])
    own = node.inputs[index]
    if None in shapes or made is None or own is None:
        raise unknown(node, "the sizes of its matrices are not known")
    rank = len(made)
    given, other = shapes[index] or (), shapes[1 - index] or ()
    placed = tuple(axis + rank - len(given) for axis in axes[own])
    mixed = {rank - 1} if index == 0 else {rank - 2}
    theirs = axes.get(node.inputs[1 - index])  # type: ignore[arg-type]
    if theirs is not None:
        mixed = {rank - 2, rank - 1}
        if tuple(axis + rank - len(other) for axis in theirs) != placed:
            raise unknown(node, "its matrices have other rows and columns of the frame")
    aligned = (axis - (rank - len(other)) for axis in placed if axis < rank - 2)
    if mixed & set(placed) or (
        theirs is None and any(axis >= 0 and other[axis] != 1 for axis in aligned)
    ):
        raise unknown(node, "it multiplies rows or columns")
    return pointwise((placed[0], placed[1]))


def reshaped(node: ir.Node, axes: Axes) -> Reach:
    """Return the reach of a Reshape that keeps rows and columns: it divides or joins channels."""
    source, result = _shape(node), static_shape(node.outputs[0]) or ()
    rows, columns = axes
    if columns == rows + 1 and (node.op_type != "Reshape" or not int_of(node, "allowzero", 0)):
        before, after = math.prod(source[:rows]), math.prod(source[columns + 1 :])
        for found in range(len(result) - 1):
            if (
                result[found : found + 2] == source[rows : columns + 1]
                and math.prod(result[:found]) == before
                and math.prod(result[found + 2 :]) == after
            ):
                return pointwise((found, found + 1))
    return _in_cells(node, axes, source, result)


def _in_cells(node: ir.Node, axes: Axes, source: tuple[int, ...], result: tuple[int, ...]) -> Reach:
    """Return the reach of a Reshape that divides rows and columns into cells, or joins cells.

    Rows become (rows of cells, rows of a cell), or the other way round; the same for columns.
    """
    found: list[tuple[int, Rule, Fraction]] = []
    groups = _groups(source, result)
    for axis in axes:
        before, after = next((g for g in groups if axis in g[0]), ((), ()))
        if len(before) == 1 and len(after) == 1:
            found.append((after[0], same, Fraction(1)))
        elif len(before) == 1 and len(after) == 2:
            found.append((after[0], in_cells_of(result[after[1]]), Fraction(result[after[1]])))
        elif len(before) == 2 and len(after) == 1 and before[0] == axis:
            cell = source[before[1]]
            found.append((after[0], from_cells_of(cell), Fraction(1, cell)))
        else:
            raise unknown(node, "it does not keep rows and columns")
    rows, columns = found
    return Reach((rows[0], columns[0]), (rows[1], columns[1]), (rows[2], columns[2]))


def _groups(
    source: tuple[int, ...], result: tuple[int, ...]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the smallest runs of axes that have as many elements before a Reshape as after it.

    Axes of one element are left out.
    """
    found: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    left = [axis for axis, side in enumerate(source) if side != 1]
    right = [axis for axis, side in enumerate(result) if side != 1]
    while left and right:
        before, after = [left.pop(0)], [right.pop(0)]
        while True:
            a = math.prod(source[axis] for axis in before)
            b = math.prod(result[axis] for axis in after)
            if a == b:
                break
            short, run = (left, before) if a < b else (right, after)
            if not short:
                return found
            run.append(short.pop(0))
        found.append((tuple(before), tuple(after)))
    return found


def _without(axes: Axes, gone: Sequence[int]) -> Axes:
    """Return the spatial axes after other axes are removed."""
    rows, columns = (axis - sum(one < axis for one in set(gone)) for axis in axes)
    return rows, columns


def _shape(node: ir.Node) -> tuple[int, ...]:
    """Return the shape of the first input."""
    shape = static_shape(node.inputs[0]) if node.inputs[0] is not None else None
    if shape is None:
        raise unknown(node, "the size of its input is not known")
    return shape
