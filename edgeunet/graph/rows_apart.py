"""Keep rows and columns apart where exporters join them to one axis of tokens.

Transformers write (1, C, H, W) as (1, H * W, C), normalise it, multiply it by matrices, and take it
apart again; attention in windows joins the windows to a batch. All of that works on each pixel, or
on each window, by itself, which can be seen only while rows and columns are axes. So every operator
between joining and parting gets one axis more. The numbers stay the same. Where an operator cannot
have it, such as a product over all pixels, its input is joined again right before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.attributes import int_of, ints_of
from edgeunet.graph.channel_reach import reduced_axes
from edgeunet.graph.inserting import Inserter
from edgeunet.graph.places import places_of
from edgeunet.graph.reach import ELEMENTWISE
from edgeunet.graph.values import add_initializer, constant_of, static_shape
from edgeunet.graph.window_reach import bounds_of

_RESHAPES = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})
_OVER_AXIS = frozenset({"Concat", "Gather", "LogSoftmax", "LpNormalization", "Softmax", "Split"})
_ROUNDS = 8


@dataclass(frozen=True)
class _Apart:
    """The same numbers as a joined tensor, with rows at ``axis`` and columns behind them.

    sides: (rows, columns).
    """

    value: ir.Value
    axis: int
    sides: tuple[int, int]


@dataclass(frozen=True)
class _Join:
    """What an operator joins: ``sides``, (rows, columns), which are the result's ``axis``."""

    axis: int
    sides: tuple[int, int]


class _UnableError(Exception):
    """An operator that needs its input joined."""


def with_rows_apart(model: ir.Model) -> ir.Model:
    """Return a copy of a graph in which rows and columns stay apart; itself if they do anyway."""
    if not _joins(model.graph):
        return model
    copy = model.clone()
    for _ in range(_ROUNDS):
        joins = _joins(copy.graph)
        if not joins:
            break
        _Parting(copy.graph, joins).run()
    return copy


def _joins(graph: ir.Graph) -> dict[ir.Node, _Join]:
    """Return the operators that join rows and columns, or rows and columns of cells, to one axis.

    Those that joined them again, because an operator needs that, are left out.
    """
    if not any(node.op_type in _RESHAPES for node in graph):
        return {}
    axes = places_of(graph).axes
    found = {}
    for node in graph:
        source = node.inputs[0] if node.op_type in _RESHAPES else None
        if source is None or source not in axes or (node.name or "").endswith(_JOINED):
            continue
        rows, columns = axes[source]
        given, made = static_shape(source), static_shape(node.outputs[0])
        if given is None or made is None or node.outputs[0] in axes or columns <= rows:
            continue
        before = math.prod(given[:rows])
        for end in (columns + 1, columns + 2):
            sides = math.prod(given[rows:columns]), math.prod(given[columns:end])
            axis = _axis_of(made, math.prod(sides), before)
            if axis is not None and min(sides) > 1:
                found[node] = _Join(axis, sides)
                break
    return found


_JOINED = "_joined_again"


def _axis_of(shape: Sequence[int], length: int, before: int) -> int | None:
    """Return the axis of a length before which there are so many elements."""
    for axis, side in enumerate(shape):
        if side == length and math.prod(shape[:axis]) == before:
            return axis
    return None


def _replace(old: ir.Value, new: ir.Value) -> None:
    """Let a value be read in place of another; outputs of the graph keep their names."""
    if old.is_graph_output():
        old.name, new.name = f"{old.name}_before", old.name
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)


class _Parting:
    """One pass over a graph, which is rewritten in place."""

    def __init__(self, graph: ir.Graph, joins: Mapping[ir.Node, _Join]) -> None:
        self._graph, self._joins = graph, joins
        self._apart: dict[ir.Value, _Apart] = {}
        self._again: dict[ir.Value, ir.Value] = {}

    def run(self) -> None:
        for node in list(self._graph):
            if node in self._joins:
                self._begin(node)
            elif any(value in self._apart for value in node.inputs if value is not None):
                self._go_on(node)
        for value, apart in self._apart.items():
            if value.is_graph_output():
                _replace(value, self._joined(value, apart))
        for node in reversed(list(self._graph)):
            if not any(value.uses() or value.is_graph_output() for value in node.outputs):
                self._graph.remove(node, safe=True)

    def _begin(self, node: ir.Node) -> None:
        join = self._joins[node]
        source, axis, sides = node.inputs[0], join.axis, join.sides
        assert source is not None
        made = static_shape(node.outputs[0]) or ()
        add = Inserter(self._graph, node, f"{node.outputs[0].name}_apart")
        value = add.reshape(source, (*made[:axis], *sides, *made[axis + 1 :]))
        self._apart[node.outputs[0]] = _Apart(value, axis, sides)

    def _go_on(self, node: ir.Node) -> None:
        """Rewrite a node that reads tensors apart, or join what it reads."""
        try:
            handler = self._handler(node)
            made = handler(node, Inserter(self._graph, node, f"{node.outputs[0].name}_apart"))
        except _UnableError:
            for index, value in enumerate(node.inputs):
                if value is not None and value in self._apart:
                    node.replace_input_with(index, self._joined(value, self._apart[value]))
            return
        self._apart.update(made)

    def _joined(self, value: ir.Value, apart: _Apart) -> ir.Value:
        if value not in self._again:
            maker = apart.value.producer()
            assert maker is not None
            add = Inserter(self._graph, maker, f"{value.name}{_JOINED}", after=True)
            again = add.reshape(apart.value, static_shape(value) or ())
            node = again.producer()
            assert node is not None
            node.name = f"{value.name}{_JOINED}"
            self._again[value] = again
        return self._again[value]

    def _handler(self, node: ir.Node) -> Callable[[ir.Node, Inserter], dict[ir.Value, _Apart]]:
        kind = node.op_type
        if kind in ELEMENTWISE:
            return self._elementwise
        if kind in _RESHAPES:
            return self._reshape
        if kind in _OVER_AXIS or kind == "LayerNormalization":
            return self._over_axis
        if kind == "Slice":
            return self._slice
        if kind == "Transpose":
            return self._transpose
        if kind == "MatMul":
            return self._product
        if kind.startswith("Reduce"):
            return self._reduce
        raise _UnableError

    def _copy(
        self,
        node: ir.Node,
        inputs: Sequence[ir.Value | None],
        attributes: Sequence[ir.Attr],
        axis: int,
        sides: tuple[int, int],
    ) -> dict[ir.Value, _Apart]:
        """Insert the same operator on other inputs; its results have ``sides`` at ``axis``."""
        copy = ir.Node(
            "",
            node.op_type,
            inputs=inputs,
            attributes=attributes,
            num_outputs=len(node.outputs),
            name=f"{node.name or node.outputs[0].name}_apart",
        )
        self._graph.insert_before(node, copy)
        found = {}
        for old, new in zip(node.outputs, copy.outputs, strict=True):
            shape = static_shape(old)
            if shape is None or shape[axis] != math.prod(sides):
                self._graph.remove(copy, safe=True)
                raise _UnableError
            new.name, new.type = f"{old.name}_apart", old.type
            new.shape = ir.Shape((*shape[:axis], *sides, *shape[axis + 1 :]))
            found[old] = _Apart(new, axis, sides)
        return found

    def _elementwise(self, node: ir.Node, add: Inserter) -> dict[ir.Value, _Apart]:
        rank = len(static_shape(node.outputs[0]) or ())
        aparts = [self._apart[v] for v in node.inputs if v is not None and v in self._apart]
        places = {
            (one.axis + rank - len(static_shape(one.value) or ()) + 1, one.sides) for one in aparts
        }
        if len(places) != 1:
            raise _UnableError
        axis, sides = places.pop()
        inputs = [
            None if value is None else self._fitted(add, value, axis - rank, sides)
            for value in node.inputs
        ]
        return self._copy(node, inputs, list(node.attributes.values()), axis, sides)

    def _fitted(
        self, add: Inserter, value: ir.Value, from_end: int, sides: tuple[int, int]
    ) -> ir.Value:
        """Return an operand with an axis more. from_end: the joined axis, counted from the end."""
        if value in self._apart:
            return self._apart[value].value
        shape = static_shape(value)
        if shape is None and value.const_value is not None:
            shape = tuple(value.const_value.shape.numpy())
        if shape is None:
            raise _UnableError
        axis = len(shape) + from_end
        if axis < 0:
            return value
        between = (1, 1) if shape[axis] == 1 else sides
        if math.prod(between) != shape[axis]:
            raise _UnableError
        wanted = (*shape[:axis], *between, *shape[axis + 1 :])
        content = constant_of(value)
        if content is not None:
            return add_initializer(self._graph, f"{value.name}_apart", content.reshape(wanted))
        return add.reshape(value, wanted)

    def _over_axis(self, node: ir.Node, add: Inserter) -> dict[ir.Value, _Apart]:
        source = self._first(node)
        rank = len(static_shape(source.value) or ()) - 1
        last = node.op_type in ("LogSoftmax", "LpNormalization", "Softmax", "LayerNormalization")
        axis = int_of(node, "axis", -1 if last else 0) % rank
        if axis == source.axis or (node.op_type == "LayerNormalization" and axis < source.axis):
            raise _UnableError
        inputs: list[ir.Value | None] = [source.value, *node.inputs[1:]]
        moved, change = axis + (axis > source.axis), 0
        if node.op_type == "Concat":
            inputs = [
                None if v is None else self._fitted(add, v, source.axis - rank, source.sides)
                for v in node.inputs
            ]
        elif any(value in self._apart for value in inputs[1:] if value is not None):
            raise _UnableError
        if node.op_type == "Gather":
            indices = constant_of(node.inputs[1])
            if indices is None:
                raise _UnableError
            change = (indices.ndim - 1) * (axis < source.axis)
        attributes = [a for a in node.attributes.values() if a.name != "axis"]
        attributes.append(ir.AttrInt64("axis", moved))
        return self._copy(node, inputs, attributes, source.axis + change, source.sides)

    def _first(self, node: ir.Node) -> _Apart:
        first = node.inputs[0]
        if first is None or first not in self._apart:
            raise _UnableError
        return self._apart[first]

    def _reshape(self, node: ir.Node, add: Inserter) -> dict[ir.Value, _Apart]:
        source = self._first(node)
        made = static_shape(node.outputs[0])
        if made is None:
            raise _UnableError
        before = math.prod((static_shape(source.value) or ())[: source.axis])
        axis = _axis_of(made, math.prod(source.sides), before)
        if axis is not None:
            wanted = (*made[:axis], *source.sides, *made[axis + 1 :])
            return {node.outputs[0]: _Apart(add.reshape(source.value, wanted), axis, source.sides)}
        # Parted into rows and columns, or into cells; else the same as joined again.
        value = add.reshape(source.value, made)
        _replace(node.outputs[0], value)
        return {}

    def _transpose(self, node: ir.Node, add: Inserter) -> dict[ir.Value, _Apart]:
        source = self._first(node)
        rank = len(static_shape(source.value) or ()) - 1
        old = list(ints_of(node, "perm") or range(rank - 1, -1, -1))
        axis = old.index(source.axis)
        order = [one + (one > source.axis) for one in old]
        order.insert(axis + 1, source.axis + 1)
        return self._copy(node, [source.value], [ir.AttrInt64s("perm", order)], axis, source.sides)

    def _slice(self, node: ir.Node, add: Inserter) -> dict[ir.Value, _Apart]:
        source = self._first(node)
        try:
            bounds = bounds_of(node)
        except GraphError as error:
            raise _UnableError from error
        if source.axis in bounds:
            raise _UnableError
        axes = [axis + (axis > source.axis) for axis in bounds]
        columns = zip(*bounds.values(), strict=True)
        inputs = [
            add.constant(name, np.array(numbers, np.int64))
            for name, numbers in zip(("starts", "stops", "steps"), columns, strict=True)
        ]
        inputs.insert(2, add.constant("axes", np.array(axes, np.int64)))
        return self._copy(node, [source.value, *inputs], [], source.axis, source.sides)

    def _reduce(self, node: ir.Node, add: Inserter) -> dict[ir.Value, _Apart]:
        source = self._first(node)
        over = reduced_axes(node)
        if not over or source.axis in over:
            raise _UnableError
        moved = [one + (one > source.axis) for one in over]
        kept = int_of(node, "keepdims", 1)
        gone = 0 if kept else sum(one < source.axis for one in over)
        inputs: list[ir.Value | None] = [source.value]
        attributes = [a for a in node.attributes.values() if a.name != "axes"]
        if len(node.inputs) > 1:
            inputs.append(add.constant("axes", np.array(moved, np.int64)))
        else:
            attributes.append(ir.AttrInt64s("axes", moved))
        return self._copy(node, inputs, attributes, source.axis - gone, source.sides)

    def _product(self, node: ir.Node, add: Inserter) -> dict[ir.Value, _Apart]:
        """Multiply by a matrix for every pixel: tokens are rows of a matrix, or a batch."""
        left, right = node.inputs
        assert left is not None
        assert right is not None
        rank = len(static_shape(node.outputs[0]) or ())
        if rank != max(len(static_shape(v) or ()) for v in (left, right)):
            raise _UnableError
        if left not in self._apart:
            return self._product_from_left(node, add)
        source = self._apart[left]
        axis = source.axis - (len(static_shape(source.value) or ()) - 1)
        if axis == -1:
            raise _UnableError
        other = self._apart.get(right)
        if other is not None and axis == -2:
            # The pixels of one are multiplied by all of the other, which is joined for that.
            right, other = self._joined(right, other), None
        shape = static_shape(right) or ()
        if other is not None:
            if other.axis - (len(static_shape(other.value) or ()) - 1) != axis:
                raise _UnableError
            matrix = other.value
        elif axis == -2 and len(shape) > 2:
            matrix = self._with_one(add, right, len(shape) - 2)
        elif axis == -2:
            matrix = right
        else:
            if len(shape) + axis >= 0 and shape[axis] != 1:
                raise _UnableError
            matrix = self._fitted(add, right, axis, source.sides)
        return self._copy(node, [source.value, matrix], [], rank + axis, source.sides)

    def _product_from_left(self, node: ir.Node, add: Inserter) -> dict[ir.Value, _Apart]:
        """Write A B, of which B has a column for every pixel, as the transpose of B' A'."""
        left, right = node.inputs
        assert left is not None
        assert right is not None
        source = self._apart[right]
        shape, matrix_shape = static_shape(source.value) or (), static_shape(left) or ()
        rank = len(shape) - 1
        if source.axis != rank - 1 or len(matrix_shape) != rank:
            raise _UnableError
        batch = range(rank - 2)
        turned = add.transpose(source.value, (*batch, rank - 1, rank, rank - 2))
        matrix = add.transpose(left, (*batch, rank - 1, rank - 2))
        matrix = self._with_one(add, matrix, rank - 2)
        rows = matrix_shape[-2]
        product = add.node("MatMul", [turned, matrix], (*shape[: rank - 2], *source.sides, rows))
        back = add.transpose(product, (*batch, rank, rank - 2, rank - 1))
        return {node.outputs[0]: _Apart(back, rank - 1, source.sides)}

    def _with_one(self, add: Inserter, value: ir.Value, axis: int) -> ir.Value:
        shape = static_shape(value) or ()
        wanted = (*shape[:axis], 1, *shape[axis:])
        content = constant_of(value)
        if content is not None:
            return add_initializer(self._graph, f"{value.name}_apart", content.reshape(wanted))
        return add.reshape(value, wanted)
