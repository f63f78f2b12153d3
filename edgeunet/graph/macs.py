"""Count the arithmetic of a graph."""

from __future__ import annotations

import math

import onnx_ir as ir

from edgeunet.graph.values import static_shape


def macs_of(model: ir.Model) -> int:
    """Return the multiply-accumulates of all convolutions and matrix products of a graph.

    All other operators together are a few per cent of an image network's arithmetic.
    """
    return sum(macs_of_node(node) for node in model.graph)


def elements_of(model: ir.Model) -> int:
    """Return the elements that all operators of a graph make: its arithmetic without products."""
    made = (static_shape(value) for node in model.graph for value in node.outputs)
    return sum(math.prod(shape) for shape in made if shape is not None)


def macs_of_node(node: ir.Node) -> int:
    """Return the multiply-accumulates of one operator, 0 for all but convolutions and products."""
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    shape = static_shape(weight) if weight is not None else None
    source = static_shape(node.inputs[0]) if node.inputs and node.inputs[0] else None
    result = static_shape(node.outputs[0])
    if shape is None or source is None or result is None:
        return 0
    if node.op_type == "Conv":
        return math.prod(result) * math.prod(shape[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(source) * math.prod(shape[1:])
    if node.op_type in ("Gemm", "MatMul"):
        return math.prod(result) * source[-1]
    return 0
