"""Numbers that belong to places in the frame, such as a mask of attention, as maps for windows.

A window does not know where in the frame it is. So what depends on that is a tensor with rows and
columns, which is made once and held, and of which every window reads its part. Masks are large, and
have few different parts: the map then says which one it is.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import onnx_ir as ir

from edgeunet.graph.element_ranges import Axes
from edgeunet.graph.inserting import Inserter
from edgeunet.graph.places import Place
from edgeunet.graph.values import Floats, constant_of, static_shape
from edgeunet.specs import FRAME

_BROADCAST = frozenset({"Add", "Div", "Mul", "Sub", "Where"})
_MOST_PATTERNS = 64


class Tables:
    """Makes maps of numbers in a graph."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._nothing: ir.Value | None = None

    def map(self, add: Inserter, content: Floats) -> ir.Value:
        """Return (rows, columns) float32 as a tensor (1, 1, rows, columns) of the graph."""
        rows, columns = content.shape
        if self._nothing is None:
            self._nothing = self._zero(add)
        constant = add.constant("map", content.reshape(1, -1))
        made = add.node("Add", [constant, self._nothing], (1, rows * columns))
        return add.reshape(made, (1, 1, rows, columns))

    def _zero(self, add: Inserter) -> ir.Value:
        """Return a zero, (1, 1), that is made of the frame, because no engine runs constants."""
        frame = next(value for value in self._graph.inputs if value.name == FRAME)
        ends = [integers(add, f"pixel_{number}", [number] * 4) for number in (0, 1)]
        pixel = add.cast(add.node("Slice", [frame, *ends], (1, 1, 1, 1)), ir.DataType.FLOAT)
        zero = add.constant("zero", np.zeros(1, np.float32))
        return add.reshape(add.node("Mul", [pixel, zero], (1, 1, 1, 1)), (1, 1))


def with_maps(model: ir.Model, places: Mapping[str, Place], names: Collection[str]) -> ir.Model:
    """Return a copy of a graph whose constants of many equal parts are chosen by maps.

    places: of the graph's tensors, by name.
    names: of the results of the operators whose constants are; see ``table_readers``.
    """
    copy = model.clone()
    tables = Tables(copy.graph)
    for node in [node for node in copy.graph if node.outputs[0].name in names]:
        axes = places[node.outputs[0].name or ""].axes
        for index, value, content, rows in list(_parts(node, axes)):
            add = Inserter(copy.graph, node, f"{value.name}_{node.outputs[0].name}_map")
            node.replace_input_with(index, _chosen(add, tables, content, rows))
    return copy


def table_readers(model: ir.Model, places: Mapping[str, Place]) -> Iterator[str]:
    """Yield the names of results of operators with a constant for every row and column.

    Only of those whose constant has few different parts.
    """
    for node in model.graph:
        place = places.get(node.outputs[0].name or "")
        if place is not None and node.op_type in _BROADCAST and any(_parts(node, place.axes)):
            yield node.outputs[0].name or ""


def _parts(node: ir.Node, axes: Axes) -> Iterator[tuple[int, ir.Value, Floats, int]]:
    """Yield (index, value, content, row axis) of constants that maps can choose the parts of.

    axes: the row and column axes of the node's result.
    """
    made = static_shape(node.outputs[0]) or ()
    for index, value in enumerate(node.inputs):
        content = constant_of(value)
        if value is None or content is None or content.dtype != np.float32:
            continue
        rows, columns = (axis - len(made) + content.ndim for axis in axes)
        if rows < 0 or columns != rows + 1 or math.prod(content.shape[:rows]) != 1:
            continue
        sides = content.shape[rows : columns + 1]
        if sides != made[axes[0] : axes[1] + 1]:
            continue
        if 4 * len(_patterns(content, rows)[0]) <= math.prod(sides):
            yield index, value, content, rows


def _patterns(content: Floats, first: int) -> tuple[Floats, Floats]:
    """Return the parts of a constant, (K, ...), and which one is where, (rows, columns).

    first: the row axis. Each is a part of its own if there are too many.
    """
    rows, columns = content.shape[first : first + 2]
    rest = content.shape[first + 2 :]
    flat = np.ascontiguousarray(content.reshape(rows * columns, -1))
    as_bytes = flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))).reshape(-1)
    _, chosen, which = np.unique(as_bytes, return_index=True, return_inverse=True)
    if len(chosen) > _MOST_PATTERNS:
        return content.reshape(rows * columns, *rest), np.zeros((rows, columns), np.float32)
    return flat[chosen].reshape(-1, *rest), which.reshape(rows, columns).astype(np.float32)


def _chosen(add: Inserter, tables: Tables, content: Floats, first: int) -> ir.Value:
    """Return a constant as what a map chooses. first: its row axis."""
    patterns, which = _patterns(content, first)
    rows, columns = which.shape
    chosen = add.cast(tables.map(add, which), ir.DataType.INT64)
    parts = add.constant("parts", patterns)
    made = add.node("Gather", [parts, chosen], (1, 1, rows, columns, *patterns.shape[1:]))
    return add.reshape(made, content.shape)


def integers(add: Inserter, name: str, numbers: object) -> ir.Value:
    """Return a constant of int64."""
    return add.constant(name, np.asarray(numbers, np.int64))
