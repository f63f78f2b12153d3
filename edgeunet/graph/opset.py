"""Lower a graph from opset 18, which torch writes, to opset 17, which TensorRT 8.6 reads."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.values import (
    add_initializer,
    constant_of,
    drop_unused_initializers,
    static_shape,
)

TARGET_OPSET = 17
OLDER_OPSET = 13

# Operators that mean the same in 17 and 18 as torch writes them here.
_UNCHANGED = frozenset(
    {
        "Add", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant",
        "Conv", "ConvTranspose", "DepthToSpace", "Div", "Exp", "Expand", "Flatten", "Gather",
        "Gemm", "GlobalAveragePool", "Identity", "LeakyRelu", "MatMul", "MaxPool", "Mul", "Neg",
        "Pow", "Reciprocal", "Relu", "Reshape", "Round", "Sigmoid", "Slice", "Softmax",
        "SpaceToDepth", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze",
    }
)  # fmt: skip


# Same in opset 13, apart from types that no network uses. BatchNormalization has another flag.
_SAME_IN_OLDER = _UNCHANGED - {"BatchNormalization"} | {"Pad", "ReduceMean", "Resize", "Split"}


def for_older_readers(model: ir.Model) -> None:
    """Relabel a graph of opset 17 as opset 13, in place, for TensorRT 8.0 and 8.2.

    Raises GraphError for an operator that differs between the two.
    """
    for node in model.graph:
        if node.op_type not in _SAME_IN_OLDER:
            raise GraphError(
                f"operator {node.op_type} (node {node.name!r}) is not in opset {OLDER_OPSET}, and "
                "TensorRT before 8.5 reads no later one",
                hint="export without --frame float",
            )
    model.opset_imports[""] = OLDER_OPSET
    model.graph.opset_imports[""] = OLDER_OPSET


def lower_opset(model: ir.Model) -> None:
    """Rewrite a graph of opset 18 as opset 17, in place.

    Raises GraphError for an operator that is not known to mean the same in both.
    """
    if model.opset_imports.get("") == TARGET_OPSET:
        return
    graph = model.graph
    for node in list(graph):
        if node.op_type == "ReduceMean":
            _axes_to_attribute(node)
        elif node.op_type == "Split":
            _split_sizes(graph, node)
        elif node.op_type == "Pad":
            if len(node.inputs) > 3 and node.inputs[3] is not None:
                raise GraphError(
                    f"Pad node {node.name!r} names its axes, which opset {TARGET_OPSET} cannot",
                    hint="pad all axes, with zeros where nothing is padded",
                )
        elif node.op_type == "Resize":
            for name in ("antialias", "keep_aspect_ratio_policy", "axes"):
                node.attributes.pop(name, None)
        elif node.op_type not in _UNCHANGED:
            raise GraphError(
                f"operator {node.op_type} (node {node.name!r}) has no known form in opset "
                f"{TARGET_OPSET}",
                hint="use operators that the shipped networks use, or extend graph/opset.py",
            )
    drop_unused_initializers(graph)
    model.opset_imports[""] = TARGET_OPSET
    graph.opset_imports[""] = TARGET_OPSET
    # onnx-ir writes the newest IR version; readers of opset 17 know IR version 8.
    model.ir_version = 8


def _axes_to_attribute(node: ir.Node) -> None:
    axes = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    node.attributes.pop("noop_with_empty_axes", None)
    if axes is not None:
        node.attributes["axes"] = ir.AttrInt64s("axes", [int(a) for a in axes.reshape(-1)])
    if len(node.inputs) > 1:
        node.resize_inputs(1)


def _split_sizes(graph: ir.Graph, node: ir.Node) -> None:
    attribute = node.attributes.pop("num_outputs", None)
    if attribute is None or node.inputs[0] is None:
        return
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    shape = static_shape(node.inputs[0])
    parts = attribute.as_int()
    if shape is None or shape[axis] % parts:
        raise GraphError(
            f"Split node {node.name!r} does not split evenly", hint="export with a fixed size"
        )
    sizes = np.full(parts, shape[axis] // parts, dtype=np.int64)
    node.resize_inputs(2)
    node.replace_input_with(1, add_initializer(graph, f"{node.name}_sizes", sizes))
