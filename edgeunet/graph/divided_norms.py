"""Divide normalisations over the frame into what reads the whole frame and what windows can do.

InstanceNormalization reads a whole tensor and makes another one. Divided, only two vectors are made
of the whole tensor, and the rest is a product and a sum, element by element. So one tensor is held
in place of two. Sums are taken over columns first and then over rows, because float32 sums of a
million numbers lose digits.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeunet.graph.inserting import Inserter, replace
from edgeunet.graph.values import constant_of, static_shape

_EPSILON = 1e-5


def with_divided_norms(model: ir.Model) -> ir.Model:
    """Return a copy of a graph with divided normalisations, or the graph itself if it has none."""
    if not any(_is_fitting(node) for node in model.graph):
        return model
    copy = model.clone()
    for node in [node for node in copy.graph if _is_fitting(node)]:
        _divide(copy.graph, node)
    return copy


def _is_fitting(node: ir.Node) -> bool:
    if node.op_type != "InstanceNormalization" or node.inputs[0] is None:
        return False
    shape = static_shape(node.inputs[0])
    constant = all(constant_of(value) is not None for value in node.inputs[1:3])
    return (
        shape is not None
        and len(shape) == 4
        and constant
        and node.inputs[0].dtype is ir.DataType.FLOAT
    )


def _divide(graph: ir.Graph, node: ir.Node) -> None:
    x = node.inputs[0]
    scale, bias = constant_of(node.inputs[1]), constant_of(node.inputs[2])
    assert x is not None
    assert scale is not None
    assert bias is not None
    count, channels, rows, columns = static_shape(x) or ()
    vector = (count, channels, 1, 1)
    add = Inserter(graph, node, f"{node.outputs[0].name}_divided")

    def over(kind: str, value: ir.Value, axis: int) -> ir.Value:
        shape = (count, channels, rows if axis == 3 else 1, 1)
        attributes = [ir.AttrInt64s("axes", [axis]), ir.AttrInt64("keepdims", 1)]
        return add.node(kind, [value], shape, attributes)

    def of(kind: str, *values: ir.Value) -> ir.Value:
        return add.node(kind, values, vector)

    def constant(name: str, number: float) -> ir.Value:
        return add.constant(name, np.array(number, np.float32))

    attribute = node.attributes.get("epsilon")
    epsilon = _EPSILON if attribute is None else attribute.as_float()
    mean = over("ReduceMean", over("ReduceMean", x, 3), 2)
    squares = over("ReduceMean", over("ReduceSumSquare", x, 3), 2)
    square = of("Mul", squares, constant("share", 1 / columns))
    variance = of("Max", of("Sub", square, of("Mul", mean, mean)), constant("zero", 0.0))
    deviation = of("Sqrt", of("Add", variance, constant("epsilon", epsilon)))
    shaped = (1, channels, 1, 1)
    factor = of("Div", add.constant("scale", scale.reshape(shaped)), deviation)
    shift = of("Sub", add.constant("bias", bias.reshape(shaped)), of("Mul", mean, factor))
    product = add.node("Mul", [x, factor], static_shape(x) or ())
    replace(graph, node, add.node("Add", [product, shift], static_shape(x) or ()))
