"""Give a foreign graph the form of our own: a frame in, images, label maps and scores out.

Before: the tensors that the file names. After: ``frame``, (1, H, W, 3) uint8 BGR, and the outputs
of the contract. The arithmetic between is the file's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass

from edgeunet.contracts import ForeignInput, ForeignNetwork, ForeignOutput, OutputKind, ValueRange
from edgeunet.errors import GraphError
from edgeunet.graph.inserting import TO_FIRST, TO_LAST, Inserter
from edgeunet.graph.values import (
    add_initializer,
    constant_of,
    drop_unused_initializers,
    static_shape,
)
from edgeunet.specs import FRAME, FrameType, Task

LUMA_BGR = (0.114, 0.587, 0.299)
"""What blue, green and red weigh in a grey picture (ITU-R BT.601)."""

_REVERSED = np.array([2, 1, 0], np.int64)
_FLOAT, _BYTE = ir.DataType.FLOAT, ir.DataType.UINT8


def to_house_form(
    model: ir.Model,
    network: ForeignNetwork,
    height: int,
    width: int,
    frame_type: FrameType = FrameType.UINT8,
) -> None:
    """Rewrite a canonical graph in place.

    height, width: of the frame, which the graph was made canonical for.
    Raises GraphError when an output has not the size that the contract says.
    """
    graph = model.graph
    in_bytes = frame_type is FrameType.UINT8
    given = {value.name or "": value for value in graph.inputs}
    made = {value.name or "": value for value in graph.outputs}
    frame = ir.Value(
        name=FRAME,
        shape=ir.Shape([1, height, width, 3]),
        type=ir.TensorType(_BYTE if in_bytes else _FLOAT),
    )
    answers = [
        _answer(graph, entry, made[entry.name], (height, width), in_bytes)
        for entry in network.pathways
    ]
    for entry in network.inputs:
        value = given[entry.name]
        if not value.uses():
            continue
        if entry.fill is None:
            _feed_frame(graph, entry, value, frame, in_bytes)
        else:
            _fill(graph, entry, value, frame, in_bytes)
    graph.inputs.clear()
    graph.inputs.append(frame)
    graph.outputs.clear()
    graph.outputs.extend(answers)
    _drop_unused_nodes(graph)
    drop_unused_initializers(graph)
    graph.name = network.name
    NameFixPass()(model)


def _drop_unused_nodes(graph: ir.Graph) -> None:
    for node in reversed(list(graph)):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            graph.remove(node, safe=True)


def _feed_frame(
    graph: ir.Graph, entry: ForeignInput, value: ir.Value, frame: ir.Value, in_bytes: bool
) -> None:
    """Make an input of the network from the frame."""
    insert = Inserter(graph, graph[0], f"{FRAME}_to_{_plain(entry.name)}")
    planes = _planes(insert, frame, in_bytes)
    shape = static_shape(planes) or ()
    gray = entry.colours == "gray"
    factors, offsets = entry.values.factors
    if gray:
        # The mean of three channels that are weighted three times as much is their weighted sum.
        weights = np.array([3 * part * factors[0] for part in LUMA_BGR], np.float32)
        planes = insert.node("Mul", [planes, insert.constant("grey", _column(weights))], shape)
        axes = [ir.AttrInt64s("axes", [1]), ir.AttrInt64("keepdims", 1)]
        planes = insert.node("ReduceMean", [planes], (1, 1, *shape[2:]), axes)
        factors = (1.0,)
    elif entry.colours == "rgb" and not _flip_readers(graph, value):
        order = insert.constant("order", _REVERSED)
        planes = insert.node("Gather", [planes, order], shape, [ir.AttrInt64("axis", 1)])
    elif entry.colours == "rgb":
        factors, offsets = factors[::-1], offsets[::-1]
    planes = _scaled(insert, planes, factors, offsets)
    if entry.layout == "nhwc":
        planes = insert.transpose(planes, TO_LAST)
    if value.dtype is not None and value.dtype is not _FLOAT:
        planes = _cast(insert, planes, value.dtype)
    ir.convenience.replace_all_uses_with(value, planes)


def _planes(insert: Inserter, frame: ir.Value, in_bytes: bool) -> ir.Value:
    """Return the frame as (1, 3, H, W) float32 BGR, 0..255."""
    planes = _cast(insert, frame, _FLOAT) if in_bytes else frame
    return insert.transpose(planes, TO_FIRST)


def _scaled(
    insert: Inserter, value: ir.Value, factors: Sequence[float], offsets: Sequence[float]
) -> ir.Value:
    """Return (1, C, H, W) times factors plus offsets, one or one per channel."""
    shape = static_shape(value) or ()
    for kind, numbers, neutral in (("Mul", factors, 1.0), ("Add", offsets, 0.0)):
        if any(number != neutral for number in numbers):
            content = np.array(numbers, np.float32)
            if len(set(numbers)) == 1:
                content = content[:1]
            constant = insert.constant(kind.lower(), _column(content))
            value = insert.node(kind, [value, constant], shape)
    return value


def _column(numbers: np.ndarray) -> np.ndarray:
    """Return (C,) as (1, C, 1, 1), and one number as a scalar."""
    return numbers.reshape(()) if numbers.size == 1 else numbers.reshape(1, -1, 1, 1)


def _flip_readers(graph: ir.Graph, value: ir.Value) -> bool:
    """Reverse the input channels of all convolutions that read a value, if only such do."""
    uses = list(value.uses())
    if value.is_graph_output() or not uses:
        return False
    for use in uses:
        group = use.node.attributes.get("group")
        if use.node.op_type != "Conv" or use.idx != 0 or constant_of(use.node.inputs[1]) is None:
            return False
        if group is not None and group.as_int() != 1:
            return False
    for use in uses:
        weight = constant_of(use.node.inputs[1])
        if weight is not None:
            name = f"{use.node.inputs[1].name}_bgr" if use.node.inputs[1] is not None else "bgr"
            use.node.replace_input_with(1, add_initializer(graph, name, weight[:, ::-1]))
    return True


def _fill(
    graph: ir.Graph, entry: ForeignInput, value: ir.Value, frame: ir.Value, in_bytes: bool
) -> None:
    """Give an input of the network one value everywhere."""
    shape = static_shape(value) or ()
    kind = (value.dtype or _FLOAT).numpy()
    fill = float(entry.fill or 0.0)
    if len(shape) != 4 or shape[2:] == (1, 1):
        constant = np.full(shape, fill, kind)
        replacement = add_initializer(graph, f"{_plain(entry.name)}_fill", constant)
    else:
        # A map of the frame's size follows the window, so it is made of the frame.
        insert = Inserter(graph, graph[0], f"{FRAME}_to_{_plain(entry.name)}")
        planes = _planes(insert, frame, in_bytes)
        plane = insert.node(
            "ReduceMean",
            [planes],
            (1, 1, *shape[2:]),
            [ir.AttrInt64s("axes", [1]), ir.AttrInt64("keepdims", 1)],
        )
        bound = insert.constant("fill", np.array(fill, np.float32))
        replacement = insert.node("Clip", [plane, bound, bound], (1, 1, *shape[2:]))
        if shape[1] != 1:
            replacement = insert.node(
                "Concat", [replacement] * shape[1], shape, [ir.AttrInt64("axis", 1)]
            )
        if value.dtype is not None and value.dtype is not _FLOAT:
            replacement = _cast(insert, replacement, value.dtype)
    ir.convenience.replace_all_uses_with(value, replacement)


def _answer(
    graph: ir.Graph,
    entry: ForeignOutput,
    value: ir.Value,
    frame: tuple[int, int],
    in_bytes: bool,
) -> ir.Value:
    insert = Inserter(graph, graph[-1], entry.output, after=True)
    if value.dtype is not _FLOAT:
        value = _cast(insert, value, _FLOAT)
    if entry.kind is OutputKind.IMAGE:
        found = _image(graph, insert, entry, value, frame, in_bytes)
    elif entry.head is Task.SEGMENT:
        found = _label_map(insert, entry, value, frame)
    else:
        return _named(_scores(insert, entry, value), entry.output)
    if in_bytes:
        found = _cast(insert, found, _BYTE)
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
        value = _scaled(insert, value, factors[:1], offsets[:1])
        shape = (1, 3, *wanted)
        value = insert.node("Concat", [value] * 3, shape, [ir.AttrInt64("axis", 1)])
    elif entry.colours == "rgb" and _flip_maker(graph, value):
        value = _scaled(insert, value, factors[::-1], offsets[::-1])
    else:
        value = _scaled(insert, value, factors, offsets)
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
    labels = _cast(insert, labels, _FLOAT)
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


def _cast(insert: Inserter, value: ir.Value, dtype: ir.DataType) -> ir.Value:
    shape = static_shape(value) or ()
    made = insert.node("Cast", [value], shape, [ir.AttrInt64("to", int(dtype))])
    made.type = ir.TensorType(dtype)
    return made


def _named(value: ir.Value, name: str) -> ir.Value:
    value.name = name
    return value


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def _size_problem(entry: ForeignOutput, shape: Sequence[int], wanted: Sequence[int]) -> GraphError:
    return GraphError(
        f"the output {entry.name!r} is {tuple(shape)} at this size, and as {entry.kind} it must be "
        f"{'x'.join(map(str, wanted))}",
        hint="give another --size, or say with --output what it is",
    )
