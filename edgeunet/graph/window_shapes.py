"""Make the graph of a stage for another window: shapes follow from the places of its tensors.

The window and the frame that the graph was made for differ by whole elements of every tensor. So a
tensor is as many elements shorter as fit into that difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import onnx_ir as ir

from edgeunet.graph.places import Place
from edgeunet.graph.values import add_initializer, set_input, static_shape
from edgeunet.graph.window_reach import bounds_of

_TO_THE_END = np.iinfo(np.int64).max


def shape_in(
    shape: tuple[int, ...], place: Place, base: tuple[int, int], size: tuple[int, int]
) -> tuple[int, ...]:
    """Return a tensor's shape in a window.

    shape: in a frame of ``base`` (height, width) pixels.
    size: (height, width) of the window in pixels.
    """
    sides = list(shape)
    for axis, whole, length in zip(place.axes, base, size, strict=True):
        sides[axis] += int(Fraction(length - whole) / place.stride)
    return tuple(sides)


def in_window(
    model: ir.Model, places: Mapping[str, Place], base: tuple[int, int], size: tuple[int, int]
) -> ir.Model:
    """Return a copy of a stage's graph for a window of ``size`` (height, width) pixels.

    places: by the name of the tensor. base: the frame that ``model`` was made for.
    Sizes that are written into operators (Slice, Reshape, Expand, Resize) are replaced.
    """
    copy = model.clone()
    graph = copy.graph
    made = [value for node in graph for value in node.outputs]
    bounds = {node: bounds_of(node) for node in graph if node.op_type == "Slice"}
    lengths = {node: static_shape(node.inputs[0]) for node in bounds if node.inputs[0] is not None}
    for value in (*graph.inputs, *made):
        shape, place = static_shape(value), places.get(value.name or "")
        if shape is not None and place is not None:
            value.shape = ir.Shape(shape_in(shape, place, base, size))
    for node in graph:
        shape = static_shape(node.outputs[0])
        if shape is None or node.outputs[0].name not in places:
            continue
        if node.op_type in ("Reshape", "Expand"):
            _write(graph, node, 1, shape)
        elif node.op_type == "Resize" and len(node.inputs) > 3 and node.inputs[3] is not None:
            _write(graph, node, 3, [shape[axis] for axis in _resized_axes(node, len(shape))])
        elif node.op_type == "Resize" and (node.inputs[0] and node.inputs[0].name not in places):
            _write_scales(graph, node, shape)
        elif node.op_type == "Slice":
            _write_bounds(graph, node, bounds[node], lengths[node] or ())
    return copy


def _write(graph: ir.Graph, node: ir.Node, index: int, numbers: object) -> None:
    name = f"{node.outputs[0].name}_{node.op_type.lower()}_{index}"
    content = np.asarray(numbers, dtype=np.int64)
    set_input(node, index, add_initializer(graph, name, content))


def _write_scales(graph: ir.Graph, node: ir.Node, shape: tuple[int, ...]) -> None:
    """Let a Resize of one element make as many as the window has."""
    scales = np.array([float(shape[a]) for a in _resized_axes(node, len(shape))], dtype=np.float32)
    source = static_shape(node.inputs[0]) if node.inputs[0] is not None else None
    for index, axis in enumerate(_resized_axes(node, len(shape))):
        scales[index] /= (source or shape)[axis]
    name = f"{node.outputs[0].name}_scales"
    set_input(node, 2, add_initializer(graph, name, scales))


def _resized_axes(node: ir.Node, rank: int) -> list[int]:
    attribute = node.attributes.get("axes")
    if attribute is None:
        return list(range(rank))
    return [int(axis) % rank for axis in attribute.as_ints()]


def _write_bounds(
    graph: ir.Graph,
    node: ir.Node,
    bounds: Mapping[int, tuple[int, int, int]],
    lengths: tuple[int, ...],
) -> None:
    """Count what a Slice leaves out at the end from the end, because that moves."""
    starts, stops, axes, steps = [], [], [], []
    for axis, (start, stop, step) in bounds.items():
        left_out = lengths[axis] - stop
        starts.append(start)
        stops.append(-left_out if left_out else _TO_THE_END)
        axes.append(axis)
        steps.append(step)
    for index, numbers in enumerate((starts, stops, axes, steps), start=1):
        _write(graph, node, index, numbers)
