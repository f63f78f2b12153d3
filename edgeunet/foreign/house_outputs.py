"""Make images, label maps and scores of a foreign network's outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgeunet.contracts import ForeignOutput, OutputKind, ValueRange
from edgeunet.errors import GraphError
from edgeunet.graph.inserting import Inserter
from edgeunet.graph.summary import TO_FIRST, TO_LAST
from edgeunet.graph.values import add_initializer, constant_of, static_shape
from edgeunet.specs import Task

_REVERSED = np.array([2, 1, 0], np.int64)
_FLOAT, _BYTE = ir.DataType.FLOAT, ir.DataType.UINT8


def answer_of(
    graph: ir.Graph,
    entry: ForeignOutput,
    value: ir.Value,
    frame: tuple[int, int],
    in_bytes: bool,
) -> ir.Value:
    insert = Inserter(graph, graph[-1], entry.output, after=True)
    if value.dtype is not _FLOAT:
        value = insert.cast(value, _FLOAT)
    if entry.kind is OutputKind.IMAGE:
        found = _image(graph, insert, entry, value, frame, in_bytes)
    elif entry.head is Task.SEGMENT:
        found = _label_map(insert, entry, value, frame)
    else:
        return _named(_scores(insert, entry, value), entry.output)
    if in_bytes:
        found = insert.cast(found, _BYTE)
    return _named(found, entry.output)


def _image(
    graph: ir.Graph,
    insert: Inserter,
    entry: ForeignOutput,
    value: ir.Value,
    frame: tuple[int, int],
    in_bytes: bool,
) -> ir.Value:
    """Return (1, H, W, 3) float32 BGR, 0..255."""
    if entry.layout == "nhwc":
        value = insert.transpose(value, TO_FIRST)
    shape = static_shape(value) or ()
    wanted = tuple(side * entry.scale for side in frame)
    if len(shape) != 4 or shape[2:] != wanted:
        raise _size_problem(entry, shape, wanted)
    factors, offsets = _inverse(entry.values)
    if entry.colours == "gray":
        value = insert.scaled(value, factors[:1], offsets[:1])
        shape = (1, 3, *wanted)
        value = insert.node("Concat", [value] * 3, shape, [ir.AttrInt64("axis", 1)])
    elif entry.colours == "rgb" and _flip_maker(graph, value):
        value = insert.scaled(value, factors[::-1], offsets[::-1])
    else:
        value = insert.scaled(value, factors, offsets)
        if entry.colours == "rgb":
            order = insert.constant("order", _REVERSED)
            value = insert.node("Gather", [value, order], shape, [ir.AttrInt64("axis", 1)])
    value = insert.transpose(value, TO_LAST)
    low = insert.constant("low", np.array(0.0, np.float32))
    high = insert.constant("high", np.array(255.0, np.float32))
    value = insert.node("Clip", [value, low, high], static_shape(value) or ())
    if in_bytes:
        value = insert.node("Round", [value], static_shape(value) or ())
    return value


def _inverse(values: ValueRange) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the factors and offsets from a tensor's numbers to pixels of 0..255."""
    factors, offsets = values.factors
    return (
        tuple(1.0 / factor for factor in factors),
        tuple(-offset / factor for factor, offset in zip(factors, offsets, strict=True)),
    )


def _flip_maker(graph: ir.Graph, value: ir.Value) -> bool:
    """Reverse the output channels of the convolution that makes a value, if only that is needed."""
    node = value.producer()
    if node is None or node.op_type != "Conv" or value.uses():
        return False
    group = node.attributes.get("group")
    weight = constant_of(node.inputs[1])
    bias = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    if weight is None or (group is not None and group.as_int() != 1):
        return False
    if len(node.inputs) > 2 and node.inputs[2] is not None and bias is None:
        return False
    node.replace_input_with(1, add_initializer(graph, f"{value.name}_weight_bgr", weight[::-1]))
    if bias is not None:
        node.replace_input_with(2, add_initializer(graph, f"{value.name}_bias_bgr", bias[::-1]))
    return True


def _label_map(
    insert: Inserter, entry: ForeignOutput, value: ir.Value, frame: tuple[int, int]
) -> ir.Value:
    """Return (1, H, W) float32 class numbers."""
    shape = static_shape(value) or ()
    if entry.kind is OutputKind.LABELS:
        if shape[-2:] != frame or any(length != 1 for length in shape[:-2]):
            raise _size_problem(entry, shape, frame)
        if len(shape) == 4:
            attributes = [ir.AttrInt64s("axes", [1]), ir.AttrInt64("keepdims", 0)]
            value = insert.node("ReduceMax", [value], (1, *frame), attributes)
        return value
    if entry.layout == "nhwc":
        value = insert.transpose(value, TO_FIRST)
        shape = static_shape(value) or ()
    scales = tuple(side / own for side, own in zip(frame, shape[2:], strict=True))
    if entry.resize is None and shape[2:] != frame:
        raise _size_problem(entry, shape, frame)
    if entry.resize is not None and entry.resize != "nearest":
        value = _resized(insert, value, entry.resize, (1.0, 1.0, *scales), (*shape[:2], *frame))
    if entry.threshold is not None:
        # The largest of (threshold, score) is the score where it is above the threshold.
        shape = static_shape(value) or ()
        bound = insert.constant("threshold", np.array(entry.threshold, np.float32))
        flat = insert.node("Clip", [value, bound, bound], shape)
        joined = (1, 2, *shape[2:])
        value = insert.node("Concat", [flat, value], joined, [ir.AttrInt64("axis", 1)])
    shape = static_shape(value) or ()
    rows, columns = shape[2:]
    arguments = [ir.AttrInt64("axis", 1), ir.AttrInt64("keepdims", 1)]
    nearest = entry.resize == "nearest"
    if not nearest:
        arguments[1] = ir.AttrInt64("keepdims", 0)
    labels = insert.node(
        "ArgMax", [value], (1, 1, rows, columns) if nearest else (1, rows, columns), arguments
    )
    labels.type = ir.TensorType(ir.DataType.INT64)
    labels = insert.cast(labels, _FLOAT)
    if nearest:
        labels = _resized(insert, labels, "nearest", (1.0, 1.0, *scales), (1, 1, *frame))
        attributes = [ir.AttrInt64s("axes", [1]), ir.AttrInt64("keepdims", 0)]
        labels = insert.node("ReduceMax", [labels], (1, *frame), attributes)
    return labels


def _resized(
    insert: Inserter,
    value: ir.Value,
    rule: str,
    scales: tuple[float, ...],
    shape: tuple[int, ...],
) -> ir.Value:
    attributes = [ir.AttrString("mode", rule)]
    if rule == "nearest":
        attributes += [
            ir.AttrString("coordinate_transformation_mode", "asymmetric"),
            ir.AttrString("nearest_mode", "floor"),
        ]
    else:
        attributes.append(ir.AttrString("coordinate_transformation_mode", "half_pixel"))
    none = insert.constant("roi", np.zeros(0, np.float32))
    factors = insert.constant("scales", np.array(scales, np.float32))
    return insert.node("Resize", [value, none, factors], shape, attributes)


def _scores(insert: Inserter, entry: ForeignOutput, value: ir.Value) -> ir.Value:
    """Return (1, classes) float32."""
    count = len(entry.classes)
    shape = static_shape(value) or ()
    if int(np.prod(shape)) != count:
        raise _size_problem(entry, shape, (count,))
    if len(shape) != 2:
        value = insert.reshape(value, (1, count))
    if entry.softmax:
        value = insert.node("Softmax", [value], (1, count), [ir.AttrInt64("axis", 1)])
    elif value.producer() is None or value.is_graph_output() or value.uses():
        value = insert.node("Identity", [value], (1, count))
    return value


def _named(value: ir.Value, name: str) -> ir.Value:
    value.name = name
    return value


def _size_problem(entry: ForeignOutput, shape: Sequence[int], wanted: Sequence[int]) -> GraphError:
    return GraphError(
        f"the output {entry.name!r} is {tuple(shape)} at this size, and as {entry.kind} it must be "
        f"{'x'.join(map(str, wanted))}",
        hint="give another --size, or say with --output what it is",
    )
