"""Compute the sums over rows and columns of somebody else's graph in float64.

onnxruntime sums a tensor's numbers in float32, one after the other, and loses digits where they are
many: 3.6e-5 of a mean over 720x1280. A graph that loses fewer differs from the file, and is right.
This says by how much the file itself is off. Nothing else of the graph is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from edgeunet.graph.inserting import Inserter, replace
from edgeunet.graph.values import add_initializer

_REDUCTIONS = frozenset({"ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL2"})
_DOUBLE, _FLOAT = ir.DataType.DOUBLE, ir.DataType.FLOAT
# Since this opset a reduction reads its axes from an input; ReduceSum earlier.
_AXES_FROM_INPUT = 18
_EPSILON = 1e-5


def with_double_sums(model: ir.Model, shapes: Mapping[str, Sequence[int]]) -> ir.Model | None:
    """Return a copy of a graph with its sums in float64, None for a graph without any.

    model: of opset 17 or later, in any form. shapes: of its inputs, by name.
    """
    copy = model.clone()
    for value in copy.graph.inputs:
        value.shape = ir.Shape(list(shapes[value.name or ""]))
    copy = ShapeInferencePass()(copy).model
    graph = copy.graph
    opset = copy.opset_imports.get("") or _AXES_FROM_INPUT
    changed = 0
    for node in list(graph):
        make = _rewrite_of(node)
        if make is not None:
            make(graph, node, opset)
            changed += 1
    return copy if changed else None


_Rewrite = Callable[[ir.Graph, ir.Node, int], None]


def _rewrite_of(node: ir.Node) -> _Rewrite | None:
    x = node.inputs[0] if node.inputs else None
    if x is None or x.dtype is not _FLOAT or x.shape is None or len(x.shape) < 3:
        return None
    if node.op_type in _REDUCTIONS:
        return _reduction
    if node.op_type == "GlobalAveragePool":
        return _pool
    return _norm if node.op_type == "InstanceNormalization" else None


def _cast(add: Inserter, value: ir.Value, to: ir.DataType) -> ir.Value:
    made = add.node("Cast", [value], value.shape or (), [ir.AttrInt64("to", int(to))])
    made.type = ir.TensorType(to)
    return made


def _reduction(graph: ir.Graph, node: ir.Node, opset: int) -> None:
    x, made = node.inputs[0], node.outputs[0]
    assert x is not None
    add = Inserter(graph, node, f"{made.name}_doubles")
    wide = _cast(add, x, _DOUBLE)
    kind = node.op_type
    if kind == "ReduceL2":
        # onnxruntime has no kernel for it in float64, but for what it is made of.
        wide, kind = add.node("Mul", [wide, wide], x.shape or ()), "ReduceSum"
    others = list(node.inputs[1:])
    attributes = list(node.attributes.values())
    if kind == "ReduceSum" and "axes" in node.attributes:
        axes = np.array(node.attributes["axes"].as_ints(), np.int64)
        others = [add_initializer(graph, f"{made.name}_axes", axes)]
        attributes = [one for one in attributes if one.name != "axes"]
    total = _bare(graph, node, kind, [wide, *others], attributes)
    if node.op_type == "ReduceL2":
        total = add.node("Sqrt", [total], made.shape or ())
    replace(graph, node, _cast(add, total, _FLOAT))


def _bare(
    graph: ir.Graph,
    place: ir.Node,
    kind: str,
    inputs: Sequence[ir.Value | None],
    attributes: Sequence[ir.Attr],
) -> ir.Value:
    """Insert a node on float64 whose inputs may be left out."""
    made = place.outputs[0]
    node = ir.Node("", kind, inputs=inputs, attributes=attributes, num_outputs=1)
    value = node.outputs[0]
    value.name, value.shape = f"{made.name}_total", made.shape
    value.type = ir.TensorType(_DOUBLE)
    graph.insert_before(place, node)
    return value


def _mean(add: Inserter, graph: ir.Graph, x: ir.Value, opset: int) -> ir.Value:
    """Insert the mean over all axes behind the channels, which stay with one element each."""
    sides = list(x.shape or ())
    over = list(range(2, len(sides)))
    shape = [*sides[:2], *(1 for _ in over)]
    kept = ir.AttrInt64("keepdims", 1)
    if opset < _AXES_FROM_INPUT:
        return add.node("ReduceMean", [x], shape, [ir.AttrInt64s("axes", over), kept])
    axes = add_initializer(graph, f"{x.name}_over", np.array(over, np.int64))
    return add.node("ReduceMean", [x, axes], shape, [kept])


def _pool(graph: ir.Graph, node: ir.Node, opset: int) -> None:
    x = node.inputs[0]
    assert x is not None
    add = Inserter(graph, node, f"{node.outputs[0].name}_doubles")
    replace(graph, node, _cast(add, _mean(add, graph, _cast(add, x, _DOUBLE), opset), _FLOAT))


def _norm(graph: ir.Graph, node: ir.Node, opset: int) -> None:
    x, scale, bias = node.inputs[:3]
    assert x is not None
    assert scale is not None
    assert bias is not None
    add = Inserter(graph, node, f"{node.outputs[0].name}_doubles")
    shape = x.shape or ()
    attribute = node.attributes.get("epsilon")
    least = _EPSILON if attribute is None else attribute.as_float()
    wide = _cast(add, x, _DOUBLE)
    apart = add.node("Sub", [wide, _mean(add, graph, wide, opset)], shape)
    variance = _mean(add, graph, add.node("Mul", [apart, apart], shape), opset)
    vector = variance.shape or ()
    epsilon = add.constant("epsilon", np.array(least, np.float64))
    deviation = add.node("Sqrt", [add.node("Add", [variance, epsilon], vector)], vector)
    found = _cast(add, add.node("Div", [apart, deviation], shape), _FLOAT)
    column = add.constant("column", np.array([1, -1, *(1 for _ in shape[2:])], np.int64))
    scaled = add.node("Mul", [found, add.node("Reshape", [scale, column], vector)], shape)
    shift = add.node("Reshape", [bias, column], vector)
    replace(graph, node, add.node("Add", [scaled, shift], shape))
