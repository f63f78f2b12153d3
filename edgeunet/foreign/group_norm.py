"""Write GroupNormalization (Wu and He 2018) as exporters did before ONNX had it.

That is an InstanceNormalization of joined channels, which windows can run in passes: see
``graph/divided_norms.py``. ONNX's own definition is a dozen operators that no pass knows.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeunet.graph.attributes import int_of
from edgeunet.graph.values import add_initializer, constant_of

_EPSILON = 1e-5
_FOUR = 4


def write_as_instance_norms(graph: ir.Graph) -> None:
    """Rewrite every GroupNormalization of (N, C, H, W) float32 whose weights are constant.

    Of opset 21 on: a scale and a bias for every channel. Others stay.
    """
    for node in list(graph):
        if node.op_type == "GroupNormalization":
            _write(graph, node)


def _write(graph: ir.Graph, node: ir.Node) -> None:
    x, made = node.inputs[0], node.outputs[0]
    scale, bias = (constant_of(value) for value in node.inputs[1:3])
    groups = int_of(node, "num_groups", 0)
    if x is None or scale is None or bias is None or x.dtype is not ir.DataType.FLOAT:
        return
    if x.shape is None or len(x.shape) != _FOUR or x.shape[1] != scale.size:
        return
    name = node.name or made.name or "group_norm"
    epsilon = node.attributes.get("epsilon")

    def constant(kind: str, content: object, dtype: type[np.generic]) -> ir.Value:
        return add_initializer(graph, f"{name}_{kind}", np.asarray(content, dtype))

    def add(kind: str, *inputs: ir.Value, attributes: list[ir.Attr] | None = None) -> ir.Value:
        one = ir.Node(
            "", kind, inputs, attributes or [], num_outputs=1, name=f"{name}_{kind}_{len(added)}"
        )
        one.outputs[0].name = f"{name}_{kind}_{len(added)}"
        one.outputs[0].type = x.type
        added.append(one)
        graph.insert_before(node, one)
        return one.outputs[0]

    added: list[ir.Node] = []
    joined = add("Reshape", x, constant("groups", [0, groups, -1], np.int64))
    same = [ir.AttrFloat32("epsilon", _EPSILON if epsilon is None else epsilon.as_float())]
    ones, zeros = (constant(str(n), np.full(groups, n), np.float32) for n in (1, 0))
    y = add("InstanceNormalization", joined, ones, zeros, attributes=same)
    shape = add("Shape", x)
    shape.type = ir.TensorType(ir.DataType.INT64)
    y = add("Reshape", y, shape)
    y = add("Mul", y, constant("scale", scale.reshape(-1, 1, 1), np.float32))
    y = add("Add", y, constant("bias", bias.reshape(-1, 1, 1), np.float32))
    y.shape = made.shape
    if made.is_graph_output():
        made.name, y.name = f"{made.name}_before", made.name
    ir.convenience.replace_all_uses_with(made, y, replace_graph_outputs=True)
    graph.remove(node, safe=True)
