"""Write INT8 into a graph as QuantizeLinear and DequantizeLinear nodes, with all ranges.

A tensor that is stored in 8 bits is quantized once, where it is made, and dequantized separately
for every reader. Engines join dequantizer, operator and quantizer into one integer kernel. A cut
between stages then holds the 8-bit tensor, because it is the smallest. Operators that only move
numbers work on the 8-bit tensors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgeunet.graph.int8_placement import Points, moving, points_of
from edgeunet.graph.values import (
    Floats,
    add_initializer,
    constant_of,
    drop_unused_initializers,
    set_input,
)
from edgeunet.specs import Engine

Interval = tuple[float, float]
"""The smallest and the largest value that the 8 bits of a tensor represent."""

_LARGEST_WEIGHT = 127
_INT8, _UINT8 = (-128, 127), (0, 255)


def quantize(
    model: ir.Model,
    intervals: Sequence[Interval],
    engine: Engine,
    *,
    kept: Collection[int] = (),
) -> None:
    """Quantize a float graph in place.

    intervals: the range of every tensor that ``show_points`` names, in that order.
    kept: numbers, in execution order, of the convolutions that stay in floats.
    Raises ValueError when the number of intervals is wrong.
    """
    graph = model.graph
    everything = Points(model, Engine.ONNXRUNTIME).values
    if len(everything) != len(intervals):
        raise ValueError(f"{len(intervals)} intervals for {len(everything)} tensors")
    points = points_of(model, engine, kept)
    table = _joined(dict(zip(everything, intervals, strict=True)), points.groups)
    rewriting = _Rewriting(graph, engine)
    stored = set(points.values)
    # Collected first, because the nodes inserted below read the same values.
    readers = {v: [(u.node, u.idx) for u in v.uses()] for v in points.values}
    for value in points.values:
        rewriting.store(value, table[value])
    for value in points.values:
        rewriting.dequantize(value, readers[value])
    rewriting.move(stored)
    for node in points.convolutions:
        if node not in points.quantized:
            continue
        if node in points.framed:
            rewriting.read_frame(node, points.framed[node])
        rewriting.weights(node)
    RemoveUnusedNodesPass()(model)
    drop_unused_initializers(graph)


class _Rewriting:
    def __init__(self, graph: ir.Graph, engine: Engine) -> None:
        self._graph, self._engine = graph, engine
        self._stored: dict[ir.Value, ir.Value] = {}
        self._parameters: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}
        self._scales: dict[ir.Value, float] = {}

    def store(self, value: ir.Value, interval: Interval) -> None:
        """Insert a QuantizeLinear behind a tensor."""
        scale, zero = self._scale(interval)
        parameters = self._constants(value.name or "", scale, zero)
        node = self._node("QuantizeLinear", [value, *parameters], f"{value.name}_q", value)
        node.outputs[0].type = ir.TensorType(parameters[1].dtype or ir.DataType.INT8)
        producer = value.producer()
        if producer is None:
            raise ValueError(f"{value.name!r} is made by nothing")
        self._graph.insert_after(producer, node)
        self._remember(node.outputs[0], parameters, scale)
        self._stored[value] = node.outputs[0]

    def dequantize(self, value: ir.Value, readers: Sequence[tuple[ir.Node, int]]) -> None:
        """Insert a DequantizeLinear of its own before every reader of a stored tensor."""
        for node, index in readers:
            self._read(self._stored[value], node, index)

    def _read(self, stored: ir.Value, node: ir.Node, index: int) -> None:
        parameters = self._parameters[stored]
        name = f"{stored.name}_dq_{node.name or node.outputs[0].name}_{index}"
        new = self._node("DequantizeLinear", [stored, *parameters], name, stored)
        new.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        self._graph.insert_before(node, new)
        node.replace_input_with(index, new.outputs[0])

    def move(self, stored: Collection[ir.Value]) -> None:
        """Make operators that only move numbers read and write 8-bit tensors."""
        for node in list(self._graph):
            if node.op_type not in moving(self._engine):
                continue
            sources = [v for v in node.inputs if v is not None and constant_of(v) is None]
            makers = [v.producer() for v in sources]
            if not all(maker and maker.op_type == "DequantizeLinear" for maker in makers):
                continue
            bits = [maker.inputs[0] for maker in makers if maker is not None]
            known = [v for v in bits if v is not None and v in self._parameters]
            if len(known) != len(sources) or len({self._scales[v] for v in known}) != 1:
                continue
            result = node.outputs[0]
            readers = [(use.node, use.idx) for use in result.uses()]
            for index, value in enumerate(known):
                node.replace_input_with(index, value)
            result.type = known[0].type
            self._remember(result, self._parameters[known[0]], self._scales[known[0]])
            for reader, index in readers:
                self._read(result, reader, index)

    def read_frame(self, node: ir.Node, frame: tuple[ir.Node, float]) -> None:
        """Make a convolution read the frame's bytes, which are exact in 8 bits."""
        transpose, factor = frame
        source = self._graph.inputs[0]
        moved = self._node("Transpose", [source], f"{node.outputs[0].name}_frame", None)
        moved.attributes["perm"] = transpose.attributes["perm"]
        moved.outputs[0].shape, moved.outputs[0].type = transpose.outputs[0].shape, source.type
        self._graph.insert_before(node, moved)
        parameters = self._constants(f"{node.outputs[0].name}_frame", factor, 0)
        self._remember(moved.outputs[0], parameters, factor)
        self._read(moved.outputs[0], node, 0)

    def weights(self, node: ir.Node) -> None:
        """Quantize the weights of a convolution, symmetric, with one scale per output channel."""
        value = node.inputs[1]
        content = constant_of(value)
        if value is None or content is None:
            raise ValueError(f"{node.name!r} has no constant weights")
        node.attributes["kernel_shape"] = ir.AttrInt64s("kernel_shape", content.shape[2:])
        scales, bits = quantized_weights(content)
        name = value.name or f"{node.outputs[0].name}_weight"
        set_input(node, 1, self._constant(node, name, bits, scales))
        bias = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
        maker = node.inputs[0].producer() if node.inputs[0] is not None else None
        if bias is None or self._engine is not Engine.ONNXRUNTIME or maker is None:
            return
        source = maker.inputs[0]
        if source is None or source not in self._scales:
            return
        steps = (scales * np.float32(self._scales[source])).astype(np.float32)
        limits = np.iinfo(np.int32)
        counts = np.clip(np.rint(bias / steps.astype(np.float64)), limits.min, limits.max)
        old = node.inputs[2]
        name = (old.name if old is not None else None) or f"{node.outputs[0].name}_bias"
        set_input(node, 2, self._constant(node, name, counts.astype(np.int32), steps))

    def _constant(self, node: ir.Node, name: str, content: Floats, scales: Floats) -> ir.Value:
        """Insert integers with a DequantizeLinear along axis 0; return its result."""
        inputs = [
            add_initializer(self._graph, f"{name}_bits", content),
            add_initializer(self._graph, f"{name}_scale", scales.astype(np.float32)),
            add_initializer(self._graph, f"{name}_zero", np.zeros(len(scales), content.dtype)),
        ]
        new = self._node("DequantizeLinear", inputs, f"{inputs[0].name}_dq", inputs[0])
        new.attributes["axis"] = ir.AttrInt64("axis", 0)
        new.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        self._graph.insert_before(node, new)
        return new.outputs[0]

    def _scale(self, interval: Interval) -> tuple[float, int]:
        return scale_of(interval, self._engine)

    def _constants(self, name: str, scale: float, zero: int) -> tuple[ir.Value, ir.Value]:
        kind = np.int8 if self._engine is Engine.TENSORRT else np.uint8
        return (
            add_initializer(self._graph, f"{name}_scale", np.array(scale, np.float32)),
            add_initializer(self._graph, f"{name}_zero", np.array(zero, kind)),
        )

    def _remember(
        self, value: ir.Value, parameters: tuple[ir.Value, ir.Value], scale: float
    ) -> None:
        self._parameters[value], self._scales[value] = parameters, scale

    def _node(
        self, kind: str, inputs: Sequence[ir.Value], name: str, like: ir.Value | None
    ) -> ir.Node:
        node = ir.Node("", kind, inputs=inputs, num_outputs=1, name=f"node_{name}")
        node.outputs[0].name = name
        if like is not None:
            node.outputs[0].shape = like.shape
        return node


def scale_of(interval: Interval, engine: Engine) -> tuple[float, int]:
    """Return (scale, zero point) of 8 bits that cover an interval and represent zero exactly.

    For TensorRT: symmetric int8. For onnxruntime: uint8 with a zero point, its fastest form. A
    tensor that is always zero gets the scale 1.
    """
    low, high = min(interval[0], 0.0), max(interval[1], 0.0)
    if engine is Engine.TENSORRT:
        reach = max(-low, high)
        return (float(np.float32(reach / _INT8[1])) or 1.0, 0)
    scale = float(np.float32((high - low) / _UINT8[1]))
    if scale == 0.0:
        return 1.0, 0
    return scale, int(np.clip(round(-low / scale), *_UINT8))


def quantized_weights(content: Floats) -> tuple[Floats, Floats]:
    """Return (scales, int8 weights), symmetric, with one scale per output channel (axis 0)."""
    reach = np.abs(content.reshape(len(content), -1)).max(axis=1)
    scales = np.where(reach > 0, reach / _LARGEST_WEIGHT, 1.0).astype(np.float32)
    counts = np.rint(content / scales.reshape(-1, *(1,) * (content.ndim - 1)))
    return scales, np.clip(counts, -_LARGEST_WEIGHT, _LARGEST_WEIGHT).astype(np.int8)


def _joined(
    table: Mapping[ir.Value, Interval], groups: Sequence[frozenset[ir.Value]]
) -> dict[ir.Value, Interval]:
    joined = dict(table)
    for group in groups:
        low, high = zip(*(table[value] for value in group), strict=True)
        joined.update(dict.fromkeys(group, (min(low), max(high))))
    return joined
