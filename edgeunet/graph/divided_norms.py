"""Divide normalisations over the frame into what reads the whole frame and what windows can do.

InstanceNormalization reads a whole tensor and makes another one. Divided, two vectors are made of
the whole tensor: the mean, and from what differs from it the variance. The rest is a product and a
sum, element by element. So one tensor is held in place of two. GroupNormalization (Wu and He 2018)
is divided as well, as exporters write it: an InstanceNormalization of channels that a Reshape
joined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeunet.graph.divided_means import is_large, pixels_per_row, reduced
from edgeunet.graph.inserting import Inserter
from edgeunet.graph.values import Floats, constant_of, only_use, static_shape

_EPSILON = 1e-5


@dataclass(frozen=True)
class _Norm:
    """A normalisation: groups of the channels of ``x`` have a mean and a variance each.

    x: (1, C, H, W). last: the node that makes the result.
    scale, bias: of every group, (groups,).
    """

    node: ir.Node
    x: ir.Value
    last: ir.Node
    groups: int
    scale: Floats
    bias: Floats


def with_divided_norms(model: ir.Model) -> ir.Model:
    """Return a copy of a graph with divided normalisations, or the graph itself if it has none."""
    if not any(_norm_of(node) for node in model.graph):
        return model
    copy = model.clone()
    for node in [node for node in copy.graph if _norm_of(node)]:
        # Asked again, because what one norm makes is what the next one reads.
        norm = _norm_of(node)
        if norm is not None:
            _divide(copy.graph, norm)
    return copy


def _norm_of(node: ir.Node) -> _Norm | None:
    """Return what a node normalises, None for another node or one that cannot be divided."""
    if node.op_type != "InstanceNormalization" or node.inputs[0] is None:
        return None
    scale, bias = (constant_of(value) for value in node.inputs[1:3])
    if scale is None or bias is None:
        return None
    x = node.inputs[0]
    shape = static_shape(x)
    if shape is None or shape[0] != 1:
        return None
    if len(shape) == 4 and x.dtype is ir.DataType.FLOAT:
        return _Norm(node, x, node, shape[1], scale, bias)
    before, after = x.producer(), only_use(node.outputs[0])
    if before is None or after is None or {before.op_type, after.op_type} != {"Reshape"}:
        return None
    source = before.inputs[0]
    if source is None or only_use(x) is not node or source.dtype is not ir.DataType.FLOAT:
        return None
    sides = static_shape(source)
    if sides is None or len(sides) != 4 or static_shape(after.outputs[0]) != sides:
        return None
    if sides[0] != 1 or sides[1] % shape[1]:
        return None
    return _Norm(node, source, after, shape[1], scale, bias)


def _divide(graph: ir.Graph, norm: _Norm) -> None:
    x, made = norm.x, norm.last.outputs[0]
    _, channels, rows, columns = static_shape(x) or ()
    add = Inserter(graph, norm.last, f"{made.name}_divided")
    mean_of = _mean_over(graph, add, norm, channels)
    attribute = norm.node.attributes.get("epsilon")
    epsilon = _EPSILON if attribute is None else attribute.as_float()

    def of(kind: str, *values: ir.Value) -> ir.Value:
        return add.node(kind, values, (1, channels, 1, 1))

    mean = mean_of(x)
    apart = add.node("Sub", [x, mean], (1, channels, rows, columns))
    variance = mean_of(add.node("Mul", [apart, apart], (1, channels, rows, columns)))
    least = add.constant("epsilon", np.array(epsilon, np.float32))
    deviation = of("Sqrt", of("Add", variance, least))
    each = channels // norm.groups
    scale, bias = (
        add.constant(name, np.repeat(numbers, each).astype(np.float32).reshape(1, channels, 1, 1))
        for name, numbers in (("scale", norm.scale), ("bias", norm.bias))
    )
    factor = of("Div", scale, deviation)
    # Another difference from the mean, so that it is not held between the passes.
    apart = add.node("Sub", [x, mean], (1, channels, rows, columns))
    product = add.node("Mul", [apart, factor], (1, channels, rows, columns))
    result = add.node("Add", [product, bias], (1, channels, rows, columns))
    ir.convenience.replace_all_uses_with(made, result, replace_graph_outputs=True)
    gone = [norm.last]
    before = norm.node.inputs[0]
    joined = None if before is None else before.producer()
    if norm.last is not norm.node:
        gone += [norm.node, *(() if joined is None else (joined,))]
    name, made.name = made.name, f"{made.name}_gone"
    graph.remove(gone, safe=True)
    result.name = name


def _mean_over(
    graph: ir.Graph, add: Inserter, norm: _Norm, channels: int
) -> Callable[[ir.Value], ir.Value]:
    """Return what makes (1, C, 1, 1) of (1, C, H, W): the mean of the channel's group."""
    pixels = pixels_per_row(graph, norm.x)
    vector = (1, channels, 1, 1)
    each = channels // norm.groups

    def mean_of(value: ir.Value) -> ir.Value:
        small = reduced(add, value, pixels) if is_large(value) else value
        mean = add.node("GlobalAveragePool", [small], vector)
        if each == 1:
            return mean
        grouped = add.reshape(mean, (1, norm.groups, each))
        over = [ir.AttrInt64s("axes", [2]), ir.AttrInt64("keepdims", 1)]
        means = add.node("ReduceMean", [grouped], (1, norm.groups, 1), over)
        target = add.constant("groups", np.array((1, norm.groups, each), np.int64))
        return add.reshape(add.node("Expand", [means, target], (1, norm.groups, each)), vector)

    return mean_of
