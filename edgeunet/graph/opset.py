"""Lower a graph from opset 18 to 24 to opset 17, which TensorRT 8.6 reads."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.values import (
    add_initializer,
    constant_of,
    drop_unused_initializers,
    static_shape,
)
from edgeunet.graph.wrapped_pads import write_wrapped_pad

TARGET_OPSET = 17
OLDER_OPSET = 13
NEWEST_OPSET = 24

# Same in opset 13 and 17, apart from types that no network uses. BatchNormalization has another
# flag.
_SAME_IN_OLDER = frozenset(
    {
        "Add", "ArgMax", "AveragePool", "Cast", "Clip", "Concat", "Constant", "Conv",
        "ConvTranspose", "DepthToSpace", "Div", "Exp", "Expand", "Flatten", "Gather", "Gemm",
        "GlobalAveragePool", "Identity", "LeakyRelu", "MatMul", "MaxPool", "Mul", "Neg", "Pad",
        "Pow", "ReduceMean", "Reciprocal", "Relu", "Reshape", "Resize", "Round", "Sigmoid",
        "Slice", "Softmax", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Transpose",
        "Unsqueeze",
    }
)  # fmt: skip

# Later versions of these only know more types, or attributes that concern types.
_MORE_TYPES = frozenset(
    {
        "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cast", "CastLike", "Constant",
        "ConstantOfShape", "Conv", "ConvTranspose", "Cos", "Cosh", "DequantizeLinear", "Dropout",
        "Elu", "Equal", "Flatten", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid",
        "HardSwish", "Identity", "InstanceNormalization", "IsInf", "IsNaN", "LpNormalization",
        "MaxPool", "QuantizeLinear", "Reshape", "Round", "ScatterElements", "ScatterND", "Selu",
        "Shape", "Sin", "Sinh", "Size", "Softplus", "Softsign", "Squeeze", "Tan",
        "ThresholdedRelu", "TopK", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
_TYPE_ATTRIBUTES = ("saturate", "round_mode", "output_dtype", "precision", "block_size")

# In opset 18 their axes became an input. Those of ReduceSum are one in opset 13 already.
_REDUCTIONS = frozenset(
    {
        "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
        "ReduceMin", "ReduceProd", "ReduceSumSquare",
    }
)  # fmt: skip


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
    """Rewrite a graph of a later opset as opset 17, in place.

    Raises GraphError for an operator that is not known to mean the same in both.
    """
    version = model.opset_imports.get("")
    if version is None or version <= TARGET_OPSET:
        return
    graph = model.graph
    for node in list(graph):
        if node.op_type in _REDUCTIONS:
            _axes_to_attribute(node)
        elif node.op_type == "Split":
            _split_sizes(graph, node)
        elif node.op_type == "Pad":
            if not write_wrapped_pad(graph, node):
                _pad_all_axes(graph, node)
        elif node.op_type == "Resize":
            _lower_resize(graph, node)
        elif node.op_type == "AveragePool":
            _lower_average(node)
        elif node.op_type in _MORE_TYPES:
            for name in _TYPE_ATTRIBUTES:
                node.attributes.pop(name, None)
        elif not _same_version(node.op_type, version):
            raise _no_form(node, "")
    drop_unused_initializers(graph)
    model.opset_imports[""] = TARGET_OPSET
    graph.opset_imports[""] = TARGET_OPSET
    # onnx-ir writes the newest IR version; readers of opset 17 know IR version 8.
    model.ir_version = 8


@functools.cache
def _same_version(op_type: str, version: int) -> bool:
    """Return whether an operator was not changed after opset 17."""
    try:
        schemas = [onnx.defs.get_schema(op_type, v, "") for v in (TARGET_OPSET, version)]
    except onnx.defs.SchemaError:
        return False
    return schemas[0].since_version == schemas[1].since_version


def _no_form(node: ir.Node, why: str) -> GraphError:
    return GraphError(
        f"operator {node.op_type} (node {node.name!r}) has no known form in opset "
        f"{TARGET_OPSET}{why}",
        hint="export with an opset from 13 to 17, or with operators that those know",
    )


def _axes_to_attribute(node: ir.Node) -> None:
    axes = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    given = len(node.inputs) > 1 and node.inputs[1] is not None
    empty = node.attributes.pop("noop_with_empty_axes", None)
    if (given and axes is None) or (axes is None and empty is not None and empty.as_int()):
        raise _no_form(node, ": its axes are not constant")
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
    if shape is None:
        raise GraphError(
            f"Split node {node.name!r} has no fixed size", hint="export with a fixed size"
        )
    most = -(-shape[axis] // parts)
    sizes = np.full(parts, most, dtype=np.int64)
    sizes[-1] = shape[axis] - most * (parts - 1)
    node.resize_inputs(2)
    node.replace_input_with(1, add_initializer(graph, f"{node.name}_sizes", sizes))


def _pad_all_axes(graph: ir.Graph, node: ir.Node) -> None:
    """Name the pads of all axes, because opset 17 has no input for axes."""
    mode = node.attributes.get("mode")
    if mode is not None and mode.as_string() == "wrap":
        raise _no_form(node, ": it pads with the other side of the picture")
    if len(node.inputs) < 4 or node.inputs[3] is None:
        if len(node.inputs) == 4:
            node.resize_inputs(3)
        return
    axes, pads = constant_of(node.inputs[3]), constant_of(node.inputs[1])
    rank = (
        None
        if node.inputs[0] is None or node.inputs[0].shape is None
        else len(node.inputs[0].shape)
    )
    if axes is None or pads is None or rank is None:
        raise _no_form(node, ": its pads are not constant")
    full = np.zeros(2 * rank, np.int64)
    for place, axis in enumerate(int(a) % rank for a in axes.reshape(-1)):
        full[axis], full[axis + rank] = pads[place], pads[place + axes.size]
    node.replace_input_with(1, add_initializer(graph, f"{node.name}_pads", full))
    node.resize_inputs(3)


def _lower_resize(graph: ir.Graph, node: ir.Node) -> None:
    antialias = node.attributes.pop("antialias", None)
    where = node.attributes.get("coordinate_transformation_mode")
    policy = node.attributes.pop("keep_aspect_ratio_policy", None)
    if antialias is not None and antialias.as_int():
        raise _no_form(node, " with antialias")
    if where is not None and where.as_string() == "half_pixel_symmetric":
        raise _no_form(node, " with half_pixel_symmetric coordinates")
    if policy is not None and policy.as_string() != "stretch":
        raise _no_form(node, " that keeps the aspect ratio")
    axes = node.attributes.pop("axes", None)
    if axes is not None:
        _resize_all_axes(graph, node, axes.as_ints())


def _resize_all_axes(graph: ir.Graph, node: ir.Node, axes: Sequence[int]) -> None:
    """Name the scales or sizes of all axes, because opset 17 has no attribute for axes."""
    shape = None if node.inputs[0] is None else static_shape(node.inputs[0])
    if shape is None or list(axes) == list(range(len(shape))):
        return
    for index, full in ((2, np.ones(len(shape), np.float32)), (3, np.array(shape, np.int64))):
        given = constant_of(node.inputs[index]) if len(node.inputs) > index else None
        if given is None or given.size != len(axes):
            continue
        full[[axis % len(shape) for axis in axes]] = given
        name = f"{node.name}_{'scales' if index == 2 else 'sizes'}"
        node.replace_input_with(index, add_initializer(graph, name, full))


def _lower_average(node: ir.Node) -> None:
    dilations = node.attributes.pop("dilations", None)
    if dilations is not None and any(step != 1 for step in dilations.as_ints()):
        raise _no_form(node, " with dilations")
