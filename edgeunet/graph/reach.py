"""What an element of an operator's output depends on, for every operator that windows can run.

An operator that is not listed here has an unknown reach: it runs on whole frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from edgeunet.graph.channel_reach import (
    along_axis,
    channels_first,
    chosen,
    gathered,
    multiplied,
    normalized,
    reduced,
    reduced_axes,
    reshaped,
    transposed_axes,
)
from edgeunet.graph.element_ranges import Axes, Reach, needs_all, pointwise, unknown
from edgeunet.graph.values import constant_of, static_shape
from edgeunet.graph.window_reach import (
    depth_to_space,
    padded,
    resized,
    sliced,
    space_to_depth,
    transposed,
    windowed,
)

ELEMENTWISE = frozenset(
    {
        "Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos", "DequantizeLinear",
        "Div", "Dropout", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater",
        "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu",
        "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not",
        "Or", "PRelu", "Pow", "QuantizeLinear", "Reciprocal", "Relu", "Round", "Selu", "Shrink",
        "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tanh",
        "ThresholdedRelu", "Where", "Xor",
    }
)  # fmt: skip

_GLOBAL = frozenset(
    {
        "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "GroupNormalization",
        "InstanceNormalization", "MeanVarianceNormalization",
    }
)  # fmt: skip

_FIRST_INPUT: Mapping[str, Callable[[ir.Node, Axes], Reach]] = {
    "ArgMax": along_axis,
    "ArgMin": along_axis,
    "AveragePool": windowed,
    "BatchNormalization": channels_first,
    "Conv": windowed,
    "ConvTranspose": transposed,
    "DepthToSpace": depth_to_space,
    "Gather": gathered,
    "Hardmax": along_axis,
    "LRN": channels_first,
    "LayerNormalization": normalized,
    "LogSoftmax": along_axis,
    "LpNormalization": along_axis,
    "LpPool": windowed,
    "MaxPool": windowed,
    "Pad": padded,
    "Reshape": reshaped,
    "Resize": resized,
    "Slice": sliced,
    "Softmax": along_axis,
    "SpaceToDepth": space_to_depth,
    "Split": along_axis,
    "Squeeze": reshaped,
    "TopK": along_axis,
    "Transpose": transposed_axes,
    "Unsqueeze": reshaped,
    "Upsample": resized,
}


def reach_of(node: ir.Node, index: int, axes: Mapping[ir.Value, Axes]) -> Reach:
    """Return what a node's outputs depend on of its input ``index``, which has spatial axes.

    axes: of every tensor that has rows and columns.
    Raises GlobalOperatorError for an operator that depends on everything, and GraphError for one
    that windows cannot run; both name the node.
    """
    value = node.inputs[index]
    assert value is not None
    kind = node.op_type
    if is_global(node, axes):
        raise needs_all(node)
    if kind in ELEMENTWISE or kind == "Concat":
        reach = _broadcast(node, value, axes[value])
        if kind == "Concat":
            along_axis(node, axes[value])
        _check_operands(node, reach.axes, axes)
        return reach
    if kind == "Expand":
        return _broadcast(node, value, axes[value])
    if kind == "MatMul":
        return multiplied(node, index, axes)
    if kind == "Gather" and index == 1 and constant_of(node.inputs[0]) is not None:
        return chosen(node, axes[value])
    make = _FIRST_INPUT.get(kind)
    if kind.startswith("Reduce"):
        make = reduced
    if make is None or node.domain not in ("", "ai.onnx"):
        raise unknown(node)
    if index or any(other in axes for other in node.inputs[1:] if other is not None):
        raise unknown(node, "it has two inputs with rows and columns")
    if kind == "MaxPool" and len(node.outputs) > 1 and list(node.outputs[1].uses()):
        raise unknown(node, "it returns positions in the frame")
    return make(node, axes[value])


def is_global(node: ir.Node, axes: Mapping[ir.Value, Axes]) -> bool:
    """Return whether every output of a node depends on every pixel of its first input."""
    source = node.inputs[0] if node.inputs else None
    if source is None or source not in axes:
        return False
    if node.op_type in _GLOBAL:
        return True
    if node.op_type.startswith("Reduce"):
        over = reduced_axes(node)
        return over is not None and any(axis in axes[source] for axis in over)
    if node.op_type in ("ArgMax", "ArgMin", "Softmax", "LogSoftmax"):
        default = 0 if node.op_type.startswith("Arg") else -1
        attribute = node.attributes.get("axis")
        axis = default if attribute is None else attribute.as_int()
        return axis % len(static_shape(source) or (0,)) in axes[source]
    return False


def _broadcast(node: ir.Node, value: ir.Value, axes: Axes) -> Reach:
    """Return the reach of an operator whose operands are broadcast, aligned at their last axes."""
    shape, result = static_shape(value), static_shape(node.outputs[0])
    if shape is None or result is None:
        raise unknown(node, "its sizes are not known")
    shift = len(result) - len(shape)
    placed = (axes[0] + shift, axes[1] + shift)
    if any(shape[a] != result[b] for a, b in zip(axes, placed, strict=True)):
        raise unknown(node, "its operands do not have the same rows and columns")
    return pointwise(placed)


def _check_operands(node: ir.Node, placed: Axes, axes: Mapping[ir.Value, Axes]) -> None:
    """Raise GraphError for an operand that has rows or columns of its own, such as a mask."""
    rank = len(static_shape(node.outputs[0]) or ())
    for value in node.inputs:
        if value is None or value in axes:
            continue
        shape = static_shape(value)
        if shape is None and value.const_value is not None:
            shape = tuple(int(side) for side in value.const_value.shape.numpy())
        if shape is None:
            raise unknown(node, "the size of an operand is not known")
        for axis in placed:
            own = axis - (rank - len(shape))
            if own >= 0 and shape[own] != 1:
                raise unknown(node, "an operand has a value of its own for every row or column")
