"""Properties of onnx-ir values that many rewrites need."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

Floats = NDArray[Any]

CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})


def constant_of(value: ir.Value | None) -> Floats | None:
    """Return the content of an initializer or of a Constant's output, None for other values."""
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return value.const_value.numpy()


def only_use(value: ir.Value) -> ir.Node | None:
    """Return the node that reads a value, or None unless there is exactly one."""
    users = list(value.uses())
    if len(users) != 1 or value.is_graph_output():
        return None
    return users[0].node


def channel_vector(constant: Floats, channels: int, *, axis: int, rank: int) -> Floats | None:
    """Return a constant as a vector over channels, (channels,), or None if it is not one.

    axis, rank: the position of the channels in the tensor that the constant is broadcast to.
    """
    if constant.size == 1:
        return np.broadcast_to(constant.reshape(()), (channels,))
    shape = (1,) * (rank - constant.ndim) + constant.shape
    if len(shape) == rank and shape[axis] == channels and constant.size == channels:
        return constant.reshape(channels)
    return None


def add_initializer(graph: ir.Graph, name: str, content: Floats) -> ir.Value:
    """Add a new initializer with a name that is not taken yet."""
    base, index = name, 1
    while name in graph.initializers:
        name = f"{base}_{index}"
        index += 1
    # ascontiguousarray turns a scalar into a vector.
    tensor = ir.tensor(np.ascontiguousarray(content).reshape(content.shape), name=name)
    value = ir.Value(name=name, shape=ir.Shape(content.shape), type=ir.TensorType(tensor.dtype))
    value.const_value = tensor
    graph.register_initializer(value)
    return value


def set_input(node: ir.Node, index: int, value: ir.Value) -> None:
    """Set the node's input ``index`` to ``value``; append it if it is the next input."""
    if index == len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, value)


def drop_unused_initializers(graph: ir.Graph) -> None:
    for name in [n for n, v in graph.initializers.items() if not v.uses()]:
        if not graph.initializers[name].is_graph_output():
            del graph.initializers[name]


def static_shape(value: ir.Value) -> tuple[int, ...] | None:
    """Return a value's shape, or None unless every dimension is a number."""
    shape = value.shape
    if shape is None:
        return None
    dimensions = tuple(d for d in shape.dims if isinstance(d, int))
    return dimensions if len(dimensions) == len(shape) else None
