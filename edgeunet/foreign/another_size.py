"""Make a canonical graph for frames of another size than the one that its file was written for.

What an exporter wrote into an operator as a number of rows and columns is made anew where it
follows from the tensor's place in the frame. Where a number may also mean something else, such as a
padding to a multiple, the operator is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import onnx_ir as ir

from edgeunet.contracts import ForeignInput
from edgeunet.errors import GraphError
from edgeunet.foreign.strict_shapes import infer_strictly
from edgeunet.graph.places import Place, Places, places_of
from edgeunet.graph.values import add_initializer, constant_of, static_shape
from edgeunet.graph.window_reach import bounds_of
from edgeunet.specs import FRAME

# Networks ask for multiples of 64 at most.
_LARGEST_MULTIPLE = 64
# A network crops so many rows at most because of its kernels; a half of the frame is more.
_LARGEST_CROP = 8

_HINT = "export the file with open (dynamic) height and width, or at this size"
Size = tuple[int, int]


def at_another_size(
    model: ir.Model, frame: ForeignInput, own: Size, size: Size, shapes: Mapping[str, Sequence[int]]
) -> ir.Model:
    """Return a copy of a canonical graph for frames of ``size`` (height, width).

    own: the size that ``model`` is for. shapes: of all inputs for frames of ``size``.
    Raises GraphError, with the operator's name, where it does not follow from the graph.
    """
    copy = model.clone()
    graph = copy.graph
    places = _places(graph, frame)
    for node in graph:
        _check_or_write(graph, node, places, own, size)
    for value in graph.inputs:
        value.shape = ir.Shape(list(shapes[value.name or ""]))
    infer_strictly(copy)
    for node in graph:
        _check_count(node)
        for value in node.outputs:
            if static_shape(value) is None:
                raise GraphError(f"the shape of {value.name!r} does not follow", hint=_HINT)
    return copy


def _places(graph: ir.Graph, frame: ForeignInput) -> Places:
    """Return the places of tensors. Of floats, only the house's frame is known to be NHWC."""
    value = next(value for value in graph.inputs if value.name == frame.name)
    name = value.name
    try:
        value.name = FRAME if frame.layout == "nhwc" else name
        return places_of(graph)
    finally:
        value.name = name


def _check_or_write(graph: ir.Graph, node: ir.Node, places: Places, own: Size, size: Size) -> None:
    if node.op_type in ("Reshape", "Expand"):
        shape = static_shape(node.outputs[0]) or ()
        place = places.of(node.outputs[0]) or _place_by_size(shape, own)
        if place is not None:
            _write(graph, node, 1, _moved(node, shape, place, own, size))
        elif node.op_type == "Reshape":
            _check_flattening(graph, node, places, own)
    elif node.op_type == "Resize" and len(node.inputs) > 3 and node.inputs[3] is not None:
        raise _written_into(node)
    elif node.op_type == "Resize":
        _write_scales(graph, node, places, own, size)
    elif node.op_type in ("Pad", "Conv", "MaxPool", "AveragePool"):
        _check_pads(node, places, own, size)
    elif node.op_type == "Slice":
        _write_slice(graph, node, places)


def _place_by_size(shape: tuple[int, ...], own: Size) -> Place | None:
    """Return the place of a map whose rows and columns were joined before, and are parted again.

    None where neither, or both, of the layouts have rows and columns in the frame's proportion.
    """
    if len(shape) != 4:
        return None
    found = []
    for axes in ((1, 2), (2, 3)):
        rows, columns = shape[axes[0]], shape[axes[1]]
        stride = Fraction(own[0], rows)
        if min(rows, columns) > 1 and stride == Fraction(own[1], columns):
            found.append(Place(axes, stride))
    return found[0] if len(found) == 1 else None


def _write_scales(graph: ir.Graph, node: ir.Node, places: Places, own: Size, size: Size) -> None:
    """Let a Resize of one element make as many as the frame has."""
    source, place = node.inputs[0], places.of(node.outputs[0])
    given = static_shape(source) if source is not None else None
    if place is None or given is None or source is None or places.of(source) is not None:
        return
    if "axes" in node.attributes or any(given[axis] != 1 for axis in place.axes):
        raise _written_into(node)
    made = static_shape(node.outputs[0]) or ()
    scales = np.array(_moved(node, made, place, own, size), np.float32) / np.array(given)
    name = f"{node.outputs[0].name}_scales"
    node.replace_input_with(2, add_initializer(graph, name, scales.astype(np.float32)))


def _moved(
    node: ir.Node, shape: tuple[int, ...], place: Place, own: Size, size: Size
) -> tuple[int, ...]:
    """Return a shape at the new size."""
    moved = list(shape)
    for axis, old, new in zip(place.axes, own, size, strict=True):
        wanted = new / place.stride
        if shape[axis] * place.stride != old or wanted.denominator != 1:
            raise _written_into(node)
        moved[axis] = int(wanted)
    return tuple(moved)


def _check_flattening(graph: ir.Graph, node: ir.Node, places: Places, own: Size) -> None:
    """Raise GraphError unless a Reshape joins rows and columns, or has neither.

    A group normalisation joins channels with them.
    """
    source = node.inputs[0]
    if source is None:
        return
    given, made = static_shape(source) or (), static_shape(node.outputs[0]) or ()
    place = places.of(source) or _place_by_size(given, own)
    if place is None:
        return
    first, second = sorted(place.axes)
    joined = (*given[:first], given[first] * given[second], *given[second + 1 :])
    in_groups = len(made) == 3 and made[0] == given[0] == 1 and given[1] % made[1] == 0
    if made == joined and second == first + 1:
        return
    if not in_groups or place.axes != (2, 3):
        raise _written_into(node)
    _write(graph, node, 1, (1, made[1], -1))


def _check_pads(node: ir.Node, places: Places, own: Size, size: Size) -> None:
    """Raise GraphError for a padding that may follow from the sides.

    One row more at the end than at the start is how TensorFlow pads for a stride of two. More are a
    padding to a multiple. Both are the same for sides that differ by enough.
    """
    source = node.inputs[0]
    place = None if source is None else places.of(source)
    shape = static_shape(source) if source is not None else None
    if place is None or shape is None:
        return
    for axis, old, new in zip(place.axes, own, size, strict=True):
        before, after = _pads(node, len(shape), axis)
        step = 2 * place.stride if abs(after - before) == 1 else _LARGEST_MULTIPLE
        if before != after and (new - old) % step:
            raise _written_into(node)


def _pads(node: ir.Node, rank: int, axis: int) -> tuple[int, int]:
    """Return what a node pads an axis by, before and after."""
    if node.op_type == "Pad":
        content = constant_of(node.inputs[1])
        if content is None or len(content) != 2 * rank:
            raise _written_into(node)
        return int(content[axis]), int(content[axis + rank])
    if "pads" not in node.attributes:
        return 0, 0
    pads = node.attributes["pads"].as_ints()
    return pads[axis - 2], pads[axis - 2 + len(pads) // 2]


def _write_slice(graph: ir.Graph, node: ir.Node, places: Places) -> None:
    """Count what a Slice leaves out of rows and columns from their end, because that moves."""
    source = node.inputs[0]
    place = None if source is None else places.of(source)
    shape = static_shape(source) if source is not None else None
    bounds = bounds_of(node)
    if place is None or shape is None or not set(place.axes) & set(bounds):
        return
    starts, stops = [], []
    for axis, (start, stop, step) in bounds.items():
        left_out = shape[axis] - stop
        most = min(_LARGEST_CROP, shape[axis] // 4)
        if axis in place.axes and (step < 1 or max(start, left_out) > most):
            raise _written_into(node)
        starts.append(start)
        to_the_end = np.iinfo(np.int64).max if left_out == 0 else -left_out
        stops.append(to_the_end if axis in place.axes else stop)
    _write(graph, node, 1, starts)
    _write(graph, node, 2, stops)
    if len(node.inputs) > 3:
        _write(graph, node, 3, list(bounds))


def _check_count(node: ir.Node) -> None:
    """Raise GraphError for a Reshape that has other elements after it than before."""
    if node.op_type != "Reshape" or node.inputs[0] is None:
        return
    given, made = static_shape(node.inputs[0]), static_shape(node.outputs[0])
    if given is None or made is None or math.prod(given) != math.prod(made):
        raise _written_into(node)


def _write(graph: ir.Graph, node: ir.Node, index: int, numbers: Sequence[int]) -> None:
    name = f"{node.outputs[0].name}_{node.op_type.lower()}_{index}"
    value = add_initializer(graph, name, np.asarray(numbers, np.int64))
    node.replace_input_with(index, value)


def _written_into(node: ir.Node) -> GraphError:
    return GraphError(
        f"operator {node.op_type} (node {node.name!r}) has the frame size written into it",
        hint=_HINT,
    )
