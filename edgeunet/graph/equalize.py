"""Equalize the channels of tensors before they are stored in 8 bits.

All channels of a tensor share one scale, so a channel with a tenth of the range gets a tenth of the
steps. Convolutions, sums, ReLU and operators that only move numbers commute with a positive factor
per channel. So the factor is multiplied into the weights that make a channel, and divided out of
the weights that read it. This is cross-layer equalization (Nagel et al., ICCV 2019). Here it also
goes through sums and pixel shuffles, and the ranges are measured on frames. The float network
computes the same, up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeunet.graph.convolutions import group_of
from edgeunet.graph.int8_placement import is_convolution
from edgeunet.graph.values import (
    Floats,
    add_initializer,
    constant_of,
    only_use,
    set_input,
    static_shape,
)

# Larger factors only occur for channels that are almost always zero.
_LARGEST_FACTOR = 256.0
_CHANNELWISE = frozenset({"Identity", "LeakyRelu", "MaxPool", "Relu"})

Numbers = NDArray[np.intp]


def prepare(model: ir.Model, factors: Sequence[float]) -> None:
    """Reorder sums and scale channels, in place.

    factors: the result of ``factors_of``, which does not depend on the frame size.
    Raises ValueError when their number is wrong.
    """
    sum_small_terms_first(model)
    channels = _Channels(model)
    if len(channels.free) != len(factors):
        raise ValueError(f"{len(factors)} factors for {len(channels.free)} channels")
    everywhere = np.ones(channels.count, np.float32)
    everywhere[channels.free] = factors
    channels.scale(everywhere[channels.root])


def factors_of(
    model: ir.Model, values: Sequence[ir.Value], reaches: Sequence[Floats]
) -> tuple[float, ...]:
    """Return the factor of each free channel.

    model: the graph after ``sum_small_terms_first``.
    values: the tensors that will be stored in 8 bits.
    reaches: for each of them the largest magnitude of each channel, (channels,) float.
    A channel grows until, in one of its tensors, it reaches the magnitude of the largest channel.
    """
    channels = _Channels(model)
    room = np.full(channels.count, np.inf)
    for value, reach in zip(values, reaches, strict=True):
        numbers = channels.of(value)
        if numbers is not None and reach.max() > 0:
            least = reach.max() / _LARGEST_FACTOR
            np.minimum.at(room, channels.root[numbers], reach.max() / np.maximum(reach, least))
    found = np.where(np.isfinite(room), room, 1.0)[channels.free]
    # Four digits are stored in files, so the rounded factors make the same graph again.
    return tuple(float(f"{factor:.4g}") for factor in found)


def sum_small_terms_first(model: ir.Model) -> None:
    """Rewrite (x + conv) + conv as x + (conv + conv), where nothing else reads the inner sum.

    x comes through the whole decoder and has a larger range than the terms that are added to it. In
    the new order, the stored intermediate sum is the one with the smaller range, so its steps are
    finer. The nodes that make x are moved down, so that x is not held for longer.
    """
    graph = model.graph
    for last in list(graph):
        first = _only_maker(last, 0, "Add")
        if last.op_type != "Add" or first is None or _only_maker(last, 1, "Conv") is None:
            continue
        if _only_maker(first, 1, "Conv") is None or first.inputs[0] is None:
            continue
        large = first.inputs[0]
        maker = large.producer()
        if maker is None or maker.op_type == "Conv" or large.shape != last.outputs[0].shape:
            continue
        inner, outer = (first.inputs[1], last.inputs[1]), (large, first.outputs[0])
        for node, terms in ((first, inner), (last, outer)):
            for index, term in enumerate(terms):
                node.replace_input_with(index, term)
        down = [first]
        if only_use(large) is last:
            source = _only_maker(maker, 0, "Conv")
            down += [maker] if source is None else [source, maker]
        for node in down:
            graph.remove(node)
            graph.insert_before(last, node)


def _only_maker(node: ir.Node, index: int, op_type: str) -> ir.Node | None:
    """Return the node that makes an input, if it has this type and no other reader; else None."""
    value = node.inputs[index] if index < len(node.inputs) else None
    maker = value.producer() if value is not None else None
    if value is None or maker is None or maker.op_type != op_type or value.is_graph_output():
        return None
    return maker if only_use(value) is node else None


class _Channels:
    """The channels of all tensors of a graph, grouped so that each group has one factor.

    root: for every channel, the representative of its group.
    free: the roots whose factor can be chosen, in execution order. All other factors are 1.
    """

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._start: dict[ir.Value, int] = {}
        self.count = 0
        for node in self._graph:
            for value in node.outputs:
                shape = static_shape(value)
                if shape is not None and len(shape) == 4:
                    self._start[value] = self.count
                    self.count += shape[1]
        self._parent = np.arange(self.count)
        self._fixed = np.zeros(self.count, bool)
        self._makers: list[tuple[ir.Node, Numbers]] = []
        self._readers: list[tuple[ir.Node, Numbers]] = []
        for node in self._graph:
            self._visit(node)
        for value in self._graph.outputs:
            self._fix(value)
        self.root = np.array([self._find(i) for i in range(self.count)], np.intp)
        fixed = np.zeros(self.count, bool)
        fixed[self.root[self._fixed]] = True
        leading = self.root == np.arange(self.count)
        self.free: Numbers = np.flatnonzero(leading & ~fixed)

    def of(self, value: ir.Value | None) -> Numbers | None:
        """Return the numbers of a tensor's channels, or None for a tensor without channels."""
        shape = None if value is None else static_shape(value)
        if value is None or shape is None or value not in self._start:
            return None
        start = self._start[value]
        return np.arange(start, start + shape[1])

    def scale(self, factors: Floats) -> None:
        """Multiply every channel by its factor, in the weights of the graph."""
        for node, numbers in self._makers:
            column = factors[numbers]
            self._set(node, 1, _constant(node, 1) * column[:, None, None, None])
            if len(node.inputs) > 2 and node.inputs[2] is not None:
                self._set(node, 2, _constant(node, 2) * column)
        for node, numbers in self._readers:
            self._set(node, 1, _constant(node, 1) / factors[numbers][None, :, None, None])

    def _set(self, node: ir.Node, index: int, content: Floats) -> None:
        old = node.inputs[index]
        name = (old.name if old is not None else None) or f"{node.outputs[0].name}_{index}"
        set_input(node, index, add_initializer(self._graph, name, content))

    def _visit(self, node: ir.Node) -> None:
        """Group the channels that need one factor, and fix those whose factor has to be 1."""
        inputs = [v for v in node.inputs if v is not None and constant_of(v) is None]
        known = [self.of(value) for value in inputs]
        there = [numbers for numbers in known if numbers is not None]
        result = self.of(node.outputs[0])
        if result is None or not there or len(there) != len(known):
            self._fix_all(node)
        elif is_convolution(node):
            self._makers.append((node, result))
            if group_of(node) == 1:
                self._readers.append((node, there[0]))
            else:
                self._fix(inputs[0])
        elif node.op_type in _CHANNELWISE:
            self._tie(result, there[0])
        elif node.op_type == "Add" and all(v.shape == node.outputs[0].shape for v in inputs):
            for numbers in there:
                self._tie(result, numbers)
        elif node.op_type == "Concat" and node.attributes["axis"].as_int() == 1:
            self._tie(result, np.concatenate(there))
        elif node.op_type in ("DepthToSpace", "SpaceToDepth"):
            up = node.op_type == "DepthToSpace"
            few, many = (result, there[0]) if up else (there[0], result)
            times = len(many) // len(few)
            mode = node.attributes.get("mode")
            nested = mode is not None and mode.as_string() == "CRD"
            self._tie(np.repeat(few, times) if nested else np.tile(few, times), many)
        else:
            self._fix_all(node)

    def _fix_all(self, node: ir.Node) -> None:
        for value in (*node.inputs, *node.outputs):
            if value is not None:
                self._fix(value)

    def _fix(self, value: ir.Value) -> None:
        numbers = self.of(value)
        if numbers is not None:
            self._fixed[numbers] = True

    def _tie(self, some: Numbers, others: Numbers) -> None:
        for one, other in zip(some, others, strict=True):
            first, second = sorted((self._find(one), self._find(other)))
            self._parent[second] = first

    def _find(self, number: Any) -> int:
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return int(number)


def _constant(node: ir.Node, index: int) -> Floats:
    content = constant_of(node.inputs[index])
    if content is None:
        raise ValueError(f"{node.name!r} has no constant weights")
    return content
