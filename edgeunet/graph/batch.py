"""Turn a graph for one frame into a graph for any number of frames.

This is possible only if every operator treats each frame of a batch by itself. A graph with another
operator is refused with a GraphError that names the node. One example is the layout for channel
blocks of a processor (``layout.py``), which folds the frame's first axis into the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.shape_inference
import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.values import (
    add_initializer,
    constant_of,
    drop_unused_initializers,
    static_shape,
)

BATCH = "batch"
"""The name of the first dimension afterwards."""

# Operators that compute each element, or each position with its neighbours, within one frame.
_PER_FRAME = frozenset(
    {
        *("AveragePool", "BatchNormalization", "Cast", "Clip", "Conv", "ConvTranspose"),
        *("DepthToSpace", "Exp", "GlobalAveragePool", "Identity", "MaxPool", "Neg", "Relu"),
        *("Round", "Sigmoid", "Softplus", "SpaceToDepth", "Sqrt"),
    }
)
_BROADCAST = frozenset({"Add", "Div", "Max", "Min", "Mul", "Pow", "Sub"})
_ALONG_AN_AXIS = {
    "ArgMax": 0,
    "DequantizeLinear": 1,
    "QuantizeLinear": 1,
    "Softmax": -1,
    "Split": 0,
}


def batched_file(path: Path) -> bytes:
    """Return the graph of an ONNX file, for any number of frames, as the bytes of an ONNX file.

    Raises GraphError, with the node's name, where an operator would mix frames.
    """
    # The rules need the rank of every tensor, which the file may not state.
    try:
        known = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        raise _refusal(f"its shapes contradict each other ({error})") from error
    model = ir.from_proto(known)
    make_batched(model)
    return bytes(ir.to_proto(model).SerializeToString())


def make_batched(model: ir.Model) -> None:
    """Make the first dimension of every tensor that depends on an input dynamic, in place.

    Raises GraphError, with the node's name, where an operator would mix frames.
    """
    graph = model.graph
    batched = set(graph.inputs)
    for value in graph.inputs:
        _check_one(value)
    for node in list(graph):
        read = [value for value in node.inputs if value is not None and value in batched]
        if not read:
            continue
        if not _keeps_frames_apart(graph, node, batched):
            name = node.name or node.outputs[0].name
            raise _refusal(f"{node.op_type} {name!r} works on one frame only")
        batched.update(node.outputs)
    for value in graph.outputs:
        if value not in batched:
            raise _refusal(f"its output {value.name!r} does not depend on the frame")
        _check_one(value)
    for value in batched:
        if value.shape is not None:
            value.shape = ir.Shape([BATCH, *list(value.shape)[1:]])
    drop_unused_initializers(graph)


def _check_one(value: ir.Value) -> None:
    shape = static_shape(value)
    if not shape or shape[0] != 1:
        raise _refusal(f"{value.name!r} does not begin with a dimension of one frame")


def _refusal(why: str) -> GraphError:
    return GraphError(
        f"the graph cannot take several frames at once: {why}",
        hint="leave --max-batch out; more --instances run frames side by side",
    )


def _keeps_frames_apart(graph: ir.Graph, node: ir.Node, batched: set[ir.Value]) -> bool:
    """Return whether a node with batched inputs computes each frame as it would alone."""
    first = node.inputs[0]
    if first is None or any(value is not None and value in batched for value in node.inputs[1:]):
        return node.op_type in _BROADCAST | {"Concat"} and _all_alike(node, batched)
    if node.op_type in _PER_FRAME:
        return first in batched
    if node.op_type in _BROADCAST:
        return _all_alike(node, batched)
    if first not in batched:
        return False
    if node.op_type in _ALONG_AN_AXIS:
        axis = node.attributes.get("axis")
        return _is_inside(axis.as_int() if axis else _ALONG_AN_AXIS[node.op_type], first)
    special = _SPECIAL.get(node.op_type)
    return special is not None and special(graph, node, first)


def _all_alike(node: ir.Node, batched: set[ir.Value]) -> bool:
    """Return whether every input is batched, or is a constant that all frames share."""
    ranks = [len(v.shape) for v in node.inputs if v is not None and v in batched and v.shape]
    axis = node.attributes.get("axis")
    for value in node.inputs:
        if value is None:
            return False
        if value in batched:
            if value.shape is None or len(value.shape) != max(ranks):
                return False
            continue
        shape = static_shape(value)
        if node.op_type == "Concat" or shape is None or len(shape) > max(ranks):
            return False
        if len(shape) == max(ranks) and shape[0] != 1:
            return False
    if node.op_type == "Concat":
        first = node.inputs[0]
        return axis is not None and first is not None and _is_inside(axis.as_int(), first)
    return True


def _is_inside(axis: int, value: ir.Value) -> bool:
    """Return whether an axis of a tensor lies within the frame, that is, is not the first axis."""
    return value.shape is not None and axis % len(value.shape) != 0


def _transpose(graph: ir.Graph, node: ir.Node, first: ir.Value) -> bool:
    perm = node.attributes.get("perm")
    return perm is not None and perm.as_ints()[0] == 0


def _flatten(graph: ir.Graph, node: ir.Node, first: ir.Value) -> bool:
    axis = node.attributes.get("axis")
    return axis is None or axis.as_int() == 1


def _gemm(graph: ir.Graph, node: ir.Node, first: ir.Value) -> bool:
    transposed = node.attributes.get("transA")
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    shape = () if bias is None else static_shape(bias)
    one_row = shape is not None and (len(shape) < 2 or shape[0] == 1)
    return one_row and (transposed is None or not transposed.as_int())


def _matmul(graph: ir.Graph, node: ir.Node, first: ir.Value) -> bool:
    weight = node.inputs[1]
    shape = None if weight is None else static_shape(weight)
    return (
        shape is not None and len(shape) == 2 and first.shape is not None and len(first.shape) > 1
    )


def _reduce(graph: ir.Graph, node: ir.Node, first: ir.Value) -> bool:
    axes = node.attributes.get("axes")
    return axes is not None and all(_is_inside(axis, first) for axis in axes.as_ints())


def _slice(graph: ir.Graph, node: ir.Node, first: ir.Value) -> bool:
    axes = constant_of(node.inputs[3]) if len(node.inputs) > 3 else None
    return axes is not None and all(_is_inside(int(axis), first) for axis in axes)


def _pad(graph: ir.Graph, node: ir.Node, first: ir.Value) -> bool:
    pads = constant_of(node.inputs[1])
    rank = 0 if first.shape is None else len(first.shape)
    return pads is not None and pads.size == 2 * rank and not pads[0] and not pads[rank]


def _resize(graph: ir.Graph, node: ir.Node, first: ir.Value) -> bool:
    scales = constant_of(node.inputs[2]) if len(node.inputs) == 3 else None
    return scales is not None and scales.size > 0 and float(scales[0]) == 1


def _reshape(graph: ir.Graph, node: ir.Node, first: ir.Value) -> bool:
    """Make the leading 1 of a Reshape's target shape mean any number of frames."""
    shape = constant_of(node.inputs[1])
    allow = node.attributes.get("allowzero")
    if shape is None or shape.size < 1 or (allow is not None and allow.as_int()):
        return False
    before = static_shape(first)
    # Rows of one frame may be as many as frames; only a leading 1 is a frame for certain.
    if int(shape[0]) not in (0, 1) or not before or before[0] != 1:
        return False
    name = f"{node.name or node.outputs[0].name}_shape"
    copied = np.array([0, *shape[1:]], dtype=np.int64)
    node.replace_input_with(1, add_initializer(graph, name, copied))
    return True


_SPECIAL: dict[str, Callable[[ir.Graph, ir.Node, ir.Value], bool]] = {
    "Flatten": _flatten,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Pad": _pad,
    "ReduceMax": _reduce,
    "ReduceMean": _reduce,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "Transpose": _transpose,
}
