"""The place of a graph's tensors in the frame: their spatial axes and their strides.

A stride is the number of full-resolution pixels per element, as a fraction: 1/2 for a tensor twice
as fine as the frame. It follows from the operators, not from sizes, which may be uneven.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.element_ranges import Axes, unknown
from edgeunet.graph.reach import reach_of
from edgeunet.graph.values import static_shape
from edgeunet.specs import FRAME

_FINEST, _COARSEST = Fraction(1, 64), 4096


@dataclass(frozen=True)
class Place:
    """The place of a tensor in the frame.

    axes: its row and column axes.
    stride: full-resolution pixels per element.
    """

    axes: Axes
    stride: Fraction


@dataclass
class Places:
    """The places of a graph's tensors.

    axes, strides: of tensors that have a place. Vectors and constants have none.
    whole: the nodes that no window can run, each with the error that says why.
    """

    axes: dict[ir.Value, Axes] = field(default_factory=dict)
    strides: dict[ir.Value, Fraction] = field(default_factory=dict)
    whole: dict[ir.Node, GraphError] = field(default_factory=dict)

    def of(self, value: ir.Value) -> Place | None:
        """Return the place of a tensor, None for one without."""
        return Place(self.axes[value], self.strides[value]) if value in self.axes else None

    def put(self, value: ir.Value, place: Place) -> None:
        """Give a tensor a place."""
        self.axes[value], self.strides[value] = place.axes, place.stride


def places_of(graph: ir.Graph) -> Places:
    """Return the place of every tensor of a graph.

    Inputs are (N, C, H, W). FRAME, and any uint8 input whose last axis has three elements, is
    (N, H, W, 3).
    """
    return _Finding(graph).places


class _Finding:
    """The pass over a graph that gives tensors their places."""

    def __init__(self, graph: ir.Graph) -> None:
        self.places = Places()
        self._known: dict[tuple[int, int], Place] = {}
        self._rows = self._columns = 0
        self._read_inputs(graph)
        for node in graph:
            self._visit(node)
        self._place_bytes(graph)

    def _place_bytes(self, graph: ir.Graph) -> None:
        """Place outputs in bytes as inputs are, if what makes them has hidden their place."""
        for value in graph.outputs:
            shape = static_shape(value)
            if value in self.places.axes or value.dtype is not ir.DataType.UINT8 or not shape:
                continue
            if len(shape) == 4:
                axes = _axes_of_end(value, shape)
                known = self._known.get((shape[axes[0]], shape[axes[1]]))
                if known is not None:
                    self._put(value, Place(axes, known.stride))

    def _read_inputs(self, graph: ir.Graph) -> None:
        found: dict[ir.Value, Axes] = {}
        for value in graph.inputs:
            shape = static_shape(value)
            if shape is not None and len(shape) == 4:
                found[value] = _axes_of_end(value, shape)
        sizes = {value: _size(value, axes) for value, axes in found.items()}
        self._rows, self._columns = max(sizes.values(), default=(0, 0))
        for value, axes in found.items():
            rows, columns = sizes[value]
            if rows * columns == 1 or not rows * columns:
                continue
            stride = Fraction(self._rows, rows)
            if stride == Fraction(self._columns, columns):
                self._put(value, Place(axes, stride))

    def _visit(self, node: ir.Node) -> None:
        placed = [i for i, v in enumerate(node.inputs) if v is not None and v in self.places.axes]
        if not placed:
            self._made_of_vectors(node)
            return
        try:
            found = set(self._places(node, placed))
            if len(found) > 1:
                raise unknown(
                    node,
                    "its inputs do not lie on one grid of pixels",
                    "choose a frame whose sides are multiples of the network's strides",
                )
        except GraphError as error:
            self.places.whole[node] = error
            for value in node.outputs:
                self._by_size(value, node)
            return
        place = found.pop()
        for value in node.outputs:
            shape = static_shape(value)
            if shape is not None and len(shape) > max(place.axes):
                self._put(value, place)

    def _places(self, node: ir.Node, placed: list[int]) -> Iterator[Place]:
        """Yield the place of a node's outputs that follows from each of its inputs."""
        for index in placed:
            value = node.inputs[index]
            assert value is not None
            reach = reach_of(node, index, self.places.axes)
            strides = {self.places.strides[value] * step for step in reach.steps}
            if len(strides) > 1:
                raise unknown(node, "it changes rows and columns by different factors")
            stride = strides.pop()
            if not _FINEST <= stride <= _COARSEST:
                raise unknown(node, f"its result has one element for {float(stride):g} pixels")
            yield Place(reach.axes, stride)

    def _made_of_vectors(self, node: ir.Node) -> None:
        """Place what is made of tensors without a place, if it has the size of one with a place.

        A vector is spread over the frame, or rows and columns that were joined are parted again.
        """
        if not any(value is not None and value.producer() for value in node.inputs):
            return
        value = node.outputs[0]
        if node.op_type == "Reshape":
            self._by_size(value, node)
            if value in self.places.axes:
                why = "what it reads has no rows and columns of its own"
                self.places.whole[node] = unknown(node, why)
            return
        if node.op_type not in ("Expand", "Resize"):
            return
        source = static_shape(node.inputs[0]) if node.inputs[0] is not None else None
        if source is None or len(source) != 4 or source[2:] != (1, 1):
            return
        self._by_size(value, node)

    def _by_size(self, value: ir.Value, node: ir.Node) -> None:
        """Place a result by its size: as an input of the same size, or by its share of the frame.

        A result that fits nowhere has no place, like a vector.
        """
        shape = static_shape(value)
        if shape is None or len(shape) < 3:
            return
        first = node.inputs[0] if node.inputs else None
        place = None if first is None else self.places.of(first)
        axes = self._axes_by_size(shape)
        if place is not None and first is not None and static_shape(first) == shape:
            axes = place.axes
        rows, columns = (shape[axis] for axis in axes)
        if rows * columns <= 1:
            return
        known = self._known.get((rows, columns))
        if known is not None:
            self._put(value, Place(axes, known.stride))
        elif Fraction(self._rows, rows) == Fraction(self._columns, columns):
            stride = Fraction(self._rows, rows)
            if _FINEST <= stride <= _COARSEST and max(stride.numerator, stride.denominator) <= 64:
                self._put(value, Place(axes, stride))

    def _axes_by_size(self, shape: tuple[int, ...]) -> Axes:
        """Return the axes that are rows and columns, if any are; channels come first or last."""
        if len(shape) != 4 or shape[2:] in self._known or shape[1:3] not in self._known:
            return (2, 3) if len(shape) == 4 else (1, 2)
        return (1, 2)

    def _put(self, value: ir.Value, place: Place) -> None:
        self.places.put(value, place)
        self._known.setdefault(_size(value, place.axes), place)


def _axes_of_end(value: ir.Value, shape: tuple[int, ...]) -> Axes:
    """Return the axes of an input or an output; see ``places_of``."""
    frame = shape[3] == 3 and (value.name == FRAME or value.dtype is ir.DataType.UINT8)
    return (1, 2) if frame else (2, 3)


def _size(value: ir.Value, axes: Axes) -> tuple[int, int]:
    shape = static_shape(value)
    return (0, 0) if shape is None else (shape[axes[0]], shape[axes[1]])


def by_name(places: Places) -> Mapping[str, Place]:
    """Return the places by the names of the tensors."""
    return {
        value.name or "": Place(axes, places.strides[value]) for value, axes in places.axes.items()
    }
