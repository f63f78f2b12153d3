"""Find the range of its inputs that a range of a graph's outputs depends on.

The operators are walked from the outputs to the inputs. Ranges are half-open, [start, stop), in
elements along one spatial axis. They are not clipped to the tensor: what reaches past its border is
padding of the graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.values import constant_of, static_shape
from edgeunet.specs import FRAME

Axes = tuple[int, int]
"""The axes of a tensor that are its rows and its columns."""

_POINTWISE = frozenset(
    {
        "Add", "Cast", "Clip", "Div", "Exp", "Identity", "LeakyRelu", "Mul", "Neg", "Pow",
        "Reciprocal", "Relu", "Round", "Sigmoid", "Sqrt", "Sub", "QuantizeLinear",
        "DequantizeLinear",
    }
)  # fmt: skip

# Pointwise in space as long as they work along the channels.
_CHANNELWISE = frozenset(
    {"ArgMax", "BatchNormalization", "Concat", "ReduceMean", "Softmax", "Split"}
)

_GLOBAL_HINT = "run the levels it is in on whole frames, or cut the plan at it"


class GlobalOperatorError(GraphError):
    """An operator whose every output depends on every input pixel."""


@dataclass(frozen=True)
class Range:
    """Elements [start, stop) along one axis."""

    start: int
    stop: int

    def joined(self, other: Range) -> Range:
        return Range(min(self.start, other.start), max(self.stop, other.stop))


Rule = Callable[[Range], Range]
"""Maps a range of an operator's output to the range of one input that it depends on."""

_Sources = tuple[tuple[ir.Value, Rule], ...]


def spatial_axes(graph: ir.Graph) -> dict[ir.Value, Axes]:
    """Return the row and column axes of every tensor that has them.

    Inputs, and all tensors around convolutions and pools, are (N, C, H, W). FRAME, and any uint8
    input whose last axis has three elements, is (N, H, W, 3).
    """
    axes: dict[ir.Value, Axes] = {}
    for value in graph.inputs:
        shape = static_shape(value)
        if shape is not None and len(shape) == 4:
            frame = shape[3] == 3 and (value.name == FRAME or value.dtype is ir.DataType.UINT8)
            axes[value] = (1, 2) if frame else (2, 3)
    for node in graph:
        known = [axes[v] for v in node.inputs if v is not None and v in axes]
        if not known:
            continue
        result = known[0]
        if node.op_type == "Transpose":
            perm = list(node.attributes["perm"].as_ints())
            result = (perm.index(result[0]), perm.index(result[1]))
        elif node.op_type == "ArgMax" and not _flag(node, "keepdims", 1):
            axis = _int(node, "axis", 0)
            result = (result[0] - (axis < result[0]), result[1] - (axis < result[1]))
        for output in node.outputs:
            shape = static_shape(output)
            if shape is not None and len(shape) > max(result):
                axes[output] = result
    return axes


class ReceptiveField:
    """The receptive fields of all operators of a graph, read once for many questions.

    The graph must not be changed while this object is in use.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._axes = spatial_axes(graph)
        self._inputs = tuple(graph.inputs)
        self._backwards = tuple(reversed(list(graph)))
        self._sources: tuple[dict[ir.Node, _Sources], dict[ir.Node, _Sources]] = ({}, {})

    def needed(self, wanted: Mapping[ir.Value, Range], which: int) -> dict[ir.Value, Range]:
        """Return the range of every graph input that output ranges depend on, along one axis.

        wanted: ranges of outputs.
        which: 0 for rows, 1 for columns. Inputs that no wanted output depends on are left out.
            Raises GlobalOperatorError for an operator that depends on everything, and GraphError
            for one that is not known; both name the node.
        """
        ranges: dict[ir.Value, Range] = dict(wanted)
        for node in self._backwards:
            outputs = [ranges[v] for v in node.outputs if v in ranges]
            if not outputs:
                continue
            reach = outputs[0]
            for other in outputs[1:]:
                reach = reach.joined(other)
            for value, rule in self._sources_of(node, which):
                found = rule(reach)
                ranges[value] = ranges[value].joined(found) if value in ranges else found
        return {value: ranges[value] for value in self._inputs if value in ranges}

    def _sources_of(self, node: ir.Node, which: int) -> _Sources:
        """Return the inputs of which a node needs a range, each with its rule."""
        known = self._sources[which]
        if node not in known:
            known[node] = tuple(
                (value, reach_rule(node, index, self._axes, which))
                for index, value in enumerate(node.inputs)
                if value is not None
                and constant_of(value) is None
                and value in self._axes
                and not _is_broadcast(value, node, self._axes, which)
            )
        return known[node]


def global_nodes(graph: ir.Graph) -> list[ir.Node]:
    """Return the nodes that reduce over rows and columns, in execution order."""
    axes = spatial_axes(graph)
    return [node for node in graph if _is_global(node, axes)]


def _is_broadcast(
    value: ir.Value, node: ir.Node, axes: Mapping[ir.Value, Axes], which: int
) -> bool:
    """Return whether an axis with one element is broadcast, so that it has no range."""
    shape = static_shape(value)
    output = static_shape(node.outputs[0])
    axis = axes[value][which]
    if shape is None or output is None or node.op_type not in _POINTWISE:
        return False
    return shape[axis] == 1 and len(output) > axis and output[axis] != 1


def reach_rule(node: ir.Node, index: int, axes: Mapping[ir.Value, Axes], which: int) -> Rule:
    """Return the rule from output ranges of a node to ranges of its input ``index``.

    which: the axis, 0 for rows, 1 for columns.
    Raises the errors of ``ReceptiveField.needed``.
    """
    kind = node.op_type
    if kind in _POINTWISE or kind == "Transpose":
        return _same
    if _is_global(node, axes):
        raise GlobalOperatorError(
            f"operator {kind} (node {node.name!r}) needs the whole frame at once",
            hint=_GLOBAL_HINT,
        )
    if kind in _CHANNELWISE:
        return _same
    make = _RULES.get(kind)
    source = node.inputs[0]
    if make is None or source is None:
        raise GraphError(
            f"operator {kind} (node {node.name!r}) cannot run window by window: "
            "what it reaches is not known",
            hint="run its level on whole frames, or teach graph/receptive.py its reach",
        )
    return make(node, axes[source][which], which)


def _is_global(node: ir.Node, axes: Mapping[ir.Value, Axes]) -> bool:
    if node.op_type in ("GlobalAveragePool", "GlobalMaxPool"):
        return True
    if not node.op_type.startswith("Reduce") and node.op_type not in ("ArgMax", "Softmax"):
        return False
    source = node.inputs[0]
    if source is None or source not in axes:
        return False
    rank = len(static_shape(source) or ())
    if "axes" in node.attributes:
        over = [a % rank for a in node.attributes["axes"].as_ints()]
    elif "axis" in node.attributes:
        over = [node.attributes["axis"].as_int() % rank]
    else:
        over = list(range(rank))
    return any(axis in axes[source] for axis in over)


def _same(reach: Range) -> Range:
    return reach


def _windowed(node: ir.Node, axis: int, which: int) -> Rule:
    """Return the rule of a convolution or pool.

    Output i reads [i * stride - pad, i * stride - pad + (kernel - 1) * dilation].
    """
    kernel = _kernel(node, which)
    stride = _pair(node, "strides", which, 1)
    pad = _pair(node, "pads", which, 0)
    if "auto_pad" in node.attributes and node.attributes["auto_pad"].as_string() not in (
        "NOTSET",
        "VALID",
    ):
        raise GraphError(
            f"node {node.name!r} pads by auto_pad, which depends on the frame size",
            hint="export it with explicit pads",
        )
    span = (kernel - 1) * _pair(node, "dilations", which, 1)
    return lambda reach: Range(
        reach.start * stride - pad, (reach.stop - 1) * stride - pad + span + 1
    )


def _transposed(node: ir.Node, axis: int, which: int) -> Rule:
    """Return the rule of a transposed convolution.

    Input i writes [i * stride - pad, i * stride - pad + (kernel - 1) * dilation].
    """
    stride = _pair(node, "strides", which, 1)
    pad = _pair(node, "pads", which, 0)
    span = (_kernel(node, which) - 1) * _pair(node, "dilations", which, 1)
    return lambda reach: Range(
        -((span - reach.start - pad) // stride), (reach.stop - 1 + pad) // stride + 1
    )


def _depth_to_space(node: ir.Node, axis: int, which: int) -> Rule:
    block = _int(node, "blocksize", 1)
    return lambda reach: Range(reach.start // block, -(-reach.stop // block))


def _space_to_depth(node: ir.Node, axis: int, which: int) -> Rule:
    block = _int(node, "blocksize", 1)
    return lambda reach: Range(reach.start * block, reach.stop * block)


def _resize(node: ir.Node, axis: int, which: int) -> Rule:
    scales = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "nearest"
    where = (
        node.attributes["coordinate_transformation_mode"].as_string()
        if "coordinate_transformation_mode" in node.attributes
        else "half_pixel"
    )
    if scales is None or scales.size <= axis or mode not in ("linear", "nearest"):
        raise GraphError(
            f"Resize node {node.name!r} ({mode}) has no constant scale this understands",
            hint="export it with constant scales and linear or nearest mode",
        )
    if where not in ("asymmetric", "half_pixel", "pytorch_half_pixel"):
        raise GraphError(
            f"Resize node {node.name!r} maps coordinates by {where}, which depends on the frame "
            "size",
            hint="export it with half_pixel or asymmetric coordinates",
        )
    scale = float(scales[axis])
    middle = 0.0 if where == "asymmetric" else 0.5

    def origin(position: int) -> int:
        return math.floor((position + middle) / scale - middle)

    # Linear reads the two neighbours; nearest reads at most the same two.
    return lambda reach: Range(origin(reach.start), origin(reach.stop - 1) + 2)


def _slice(node: ir.Node, axis: int, which: int) -> Rule:
    starts, axes_ = constant_of(node.inputs[1]), constant_of(node.inputs[3])
    steps = constant_of(node.inputs[4]) if len(node.inputs) > 4 else None
    if starts is None or axes_ is None or (steps is not None and (steps != 1).any()):
        raise GraphError(
            f"Slice node {node.name!r} has no constant bounds with step 1",
            hint="export it with constant bounds",
        )
    for start, sliced in zip(starts.reshape(-1), axes_.reshape(-1), strict=True):
        if int(sliced) == axis and int(start) > 0:
            first = int(start)
            return lambda reach: Range(reach.start + first, reach.stop + first)
    return _same


_RULES: dict[str, Callable[[ir.Node, int, int], Rule]] = {
    "Conv": _windowed,
    "MaxPool": _windowed,
    "AveragePool": _windowed,
    "ConvTranspose": _transposed,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Resize": _resize,
    "Slice": _slice,
}


def _kernel(node: ir.Node, which: int) -> int:
    if "kernel_shape" in node.attributes:
        return int(node.attributes["kernel_shape"].as_ints()[which])
    weight = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if weight is None:
        raise GraphError(
            f"node {node.name!r} has no known kernel", hint="export it with a constant weight"
        )
    return int(weight.shape[2 + which])


def _pair(node: ir.Node, name: str, which: int, default: int) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None else int(attribute.as_ints()[which])


def _int(node: ir.Node, name: str, default: int) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def _flag(node: ir.Node, name: str, default: int) -> bool:
    return bool(_int(node, name, default))
