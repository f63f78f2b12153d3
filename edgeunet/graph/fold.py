"""Fold constant factors and offsets into the neighbouring convolution.

Every rule keeps the function; only float rounding changes. The rules fold layer scales and batch
norm after a convolution, the affine part of a normalisation before one, and the gate of a skip. The
gate is multiplied into the convolution that makes the skip, and divided out of all its other
readers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from edgeunet.graph.convolutions import group_of
from edgeunet.graph.values import (
    CONVOLUTIONS,
    Floats,
    add_initializer,
    channel_vector,
    constant_of,
    drop_unused_initializers,
    only_use,
    set_input,
    static_shape,
)

# Operators with f(c * x) = c * f(x) for c > 0, channel by channel or not.
_HOMOGENEOUS = frozenset(
    {
        "Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean",
        "DepthToSpace", "SpaceToDepth", "Reshape", "Transpose", "Slice", "Resize", "Identity",
    }
)  # fmt: skip

# A gate outside this range would move weights out of FP16's comfortable range.
_GATE_RANGE = (2.0**-6, 2.0**6)


@dataclass
class FoldCounts:
    """Number of nodes that each rule removed."""

    after_conv: int = 0
    before_conv: int = 0
    gates: int = 0
    slices: int = 0

    @property
    def total(self) -> int:
        return self.after_conv + self.before_conv + self.gates + self.slices


def fold(model: ir.Model) -> FoldCounts:
    """Apply every rule, in place, until none applies; return the number of nodes removed."""
    counts = FoldCounts()
    graph = model.graph
    rules: tuple[tuple[str, Callable[[ir.Graph, ir.Node], bool]], ...] = (
        ("after_conv", _fold_into_conv_before),
        ("before_conv", _fold_into_conv_after),
        ("gates", _fold_gate),
        ("slices", _join_slices),
    )
    changed = True
    while changed:
        changed = False
        for node in list(graph):
            for name, rule in rules:
                if node.graph is graph and rule(graph, node):
                    setattr(counts, name, getattr(counts, name) + 1)
                    changed = True
    drop_unused_initializers(graph)
    return counts


def _constant_operand(node: ir.Node) -> tuple[ir.Value, Floats] | None:
    """Return (the other input, the constant) of a Mul or Add, or None without a constant."""
    if len(node.inputs) != 2:
        return None
    for index in (0, 1):
        constant, other = constant_of(node.inputs[index]), node.inputs[1 - index]
        if constant is not None and other is not None and constant_of(other) is None:
            return other, constant
    return None


def _fold_into_conv_before(graph: ir.Graph, node: ir.Node) -> bool:
    """Fold a per-channel Mul or Add into the weights and bias of the convolution before it."""
    if node.op_type not in ("Mul", "Add"):
        return False
    operand = _constant_operand(node)
    if operand is None:
        return False
    value, constant = operand
    conv = value.producer()
    if conv is None or conv.op_type not in CONVOLUTIONS or only_use(value) is not node:
        return False
    weight = constant_of(conv.inputs[1])
    shape = static_shape(value)
    if weight is None or shape is None or static_shape(node.outputs[0]) != shape:
        return False
    vector = channel_vector(constant, shape[1], axis=1, rank=len(shape))
    if vector is None:
        return False
    if node.op_type == "Mul":
        _scale_conv(graph, conv, vector.astype(weight.dtype))
    else:
        bias = _bias_of(conv, shape[1], weight.dtype)
        _set_bias(graph, conv, bias + vector.astype(weight.dtype))
    _bypass(graph, node, value)
    return True


def _fold_into_conv_after(graph: ir.Graph, node: ir.Node) -> bool:
    """Fold a per-channel Mul or Add into the weights and bias of the convolution after it.

    An offset is folded only if the convolution does not pad: padding is zero, not the offset.
    """
    if node.op_type not in ("Mul", "Add"):
        return False
    operand = _constant_operand(node)
    conv = only_use(node.outputs[0])
    if operand is None or conv is None or conv.op_type != "Conv":
        return False
    value, constant = operand
    weight, shape = constant_of(conv.inputs[1]), static_shape(node.outputs[0])
    if weight is None or shape is None or static_shape(value) != shape:
        return False
    if conv.inputs[0] is not node.outputs[0] or group_of(conv) != 1:
        return False
    vector = channel_vector(constant, shape[1], axis=1, rank=len(shape))
    if vector is None:
        return False
    vector = vector.astype(weight.dtype)
    if node.op_type == "Mul":
        _set_weight(graph, conv, weight * vector[None, :, None, None])
    else:
        pads = conv.attributes.get("pads")
        if pads is not None and any(pads.as_ints()):
            return False
        bias = _bias_of(conv, weight.shape[0], weight.dtype)
        _set_bias(graph, conv, bias + np.einsum("oihw,i->o", weight, vector))
    conv.replace_input_with(0, value)
    graph.remove(node, safe=True)
    return True


@dataclass
class _Rescaling:
    """Convolutions whose weights change: those that make a tensor and those that read it."""

    makers: list[ir.Node] = field(default_factory=list)
    readers: list[ir.Node] = field(default_factory=list)


def _fold_gate(graph: ir.Graph, node: ir.Node) -> bool:
    """Fold ``skip * gate`` with a positive scalar gate, where the skip has other readers.

    The convolution that makes the skip is multiplied by the gate. Every other convolution that
    reads the skip, directly or through homogeneous operators, is divided by it.
    """
    if node.op_type != "Mul":
        return False
    operand = _constant_operand(node)
    if operand is None or operand[1].size != 1:
        return False
    skip, constant = operand
    gate = float(constant.reshape(()))
    if not _GATE_RANGE[0] <= gate <= _GATE_RANGE[1] or skip.is_graph_output():
        return False
    if static_shape(node.outputs[0]) != static_shape(skip):
        return False
    plan = _Rescaling()
    maker = skip.producer()
    while maker is not None and maker.op_type in ("Relu", "LeakyRelu"):
        source = maker.inputs[0]
        if source is None or only_use(source) is not maker:
            return False
        maker = source.producer()
    if maker is None or maker.op_type not in CONVOLUTIONS:
        return False
    if constant_of(maker.inputs[1]) is None:
        return False
    plan.makers.append(maker)
    if not _collect_readers(skip, node, plan):
        return False
    channels = static_shape(maker.outputs[0])
    if channels is None:
        return False
    _scale_conv(graph, maker, np.full(channels[1], gate, dtype=np.float32))
    for reader in plan.readers:
        weight = constant_of(reader.inputs[1])
        if weight is not None:
            _set_weight(graph, reader, (weight / gate).astype(weight.dtype))
    _bypass(graph, node, skip)
    return True


def _collect_readers(value: ir.Value, but: ir.Node, plan: _Rescaling) -> bool:
    """Collect all convolutions that can undo a factor on ``value``.

    Returns False when some reader has no weights to undo it.
    """
    for use in value.uses():
        reader = use.node
        if reader is but:
            continue
        weighted = reader.op_type in CONVOLUTIONS or reader.op_type == "Gemm"
        if weighted and use.idx == 0 and constant_of(reader.inputs[1]) is not None:
            plan.readers.append(reader)
        elif reader.op_type in _HOMOGENEOUS and use.idx == 0:
            output = reader.outputs[0]
            if output.is_graph_output() or not _collect_readers(output, but, plan):
                return False
        else:
            return False
    return True


def _join_slices(graph: ir.Graph, node: ir.Node) -> bool:
    """Join two Slices with step 1 and constant bounds over different axes into one."""
    if node.op_type != "Slice" or node.inputs[0] is None:
        return False
    first = node.inputs[0].producer()
    if first is None or first.op_type != "Slice" or only_use(node.inputs[0]) is not node:
        return False
    bounds = [[constant_of(v) for v in n.inputs[1:]] for n in (first, node)]
    if any(len(b) != 4 or any(c is None for c in b) for b in bounds):
        return False
    columns = [
        np.concatenate([np.atleast_1d(a), np.atleast_1d(b)]) for a, b in zip(*bounds, strict=True)
    ]
    if np.any(columns[3] != 1) or np.unique(columns[2]).size != columns[2].size:
        return False
    for index, (label, column) in enumerate(
        zip(("starts", "ends", "axes", "steps"), columns, strict=True), start=1
    ):
        value = add_initializer(graph, f"{node.name}_{label}", column.astype(np.int64))
        node.replace_input_with(index, value)
    node.replace_input_with(0, first.inputs[0])
    graph.remove(first, safe=True)
    return True


def _bypass(graph: ir.Graph, node: ir.Node, value: ir.Value) -> None:
    ir.convenience.replace_all_uses_with(node.outputs[0], value, replace_graph_outputs=True)
    graph.remove(node, safe=True)


def _scale_conv(graph: ir.Graph, conv: ir.Node, vector: Floats) -> None:
    """Multiply a convolution's output channels by ``vector``."""
    weight = constant_of(conv.inputs[1])
    if weight is None:
        return
    if conv.op_type == "Conv":
        shaped = vector.reshape(-1, 1, 1, 1)
        _set_weight(graph, conv, (weight * shaped).astype(weight.dtype))
    else:
        # ConvTranspose: (in, out / group, kh, kw); with groups the outputs run group by group.
        groups = group_of(conv)
        per_group = vector.reshape(groups, 1, -1, 1, 1)
        split = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
        _set_weight(graph, conv, (split * per_group).reshape(weight.shape).astype(weight.dtype))
    if len(conv.inputs) > 2 and conv.inputs[2] is not None:
        bias = _bias_of(conv, vector.size, weight.dtype)
        _set_bias(graph, conv, bias * vector.astype(weight.dtype))


def _bias_of(conv: ir.Node, channels: int, dtype: np.dtype[Any]) -> Floats:
    bias = constant_of(conv.inputs[2]) if len(conv.inputs) > 2 else None
    return np.zeros(channels, dtype=dtype) if bias is None else bias


def _set_weight(graph: ir.Graph, node: ir.Node, content: Floats) -> None:
    # A new initializer, because another node may read the old one.
    conv_weight = node.inputs[1]
    name = conv_weight.name if conv_weight is not None else None
    set_input(node, 1, add_initializer(graph, name or f"{node.name}_weight", content))


def _set_bias(graph: ir.Graph, node: ir.Node, content: Floats) -> None:
    old = node.inputs[2] if len(node.inputs) > 2 else None
    name = old.name if old is not None and old.name else f"{node.name}_bias"
    set_input(node, 2, add_initializer(graph, name, content))
