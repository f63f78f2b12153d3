"""Choose the tensors that are stored in 8 bits and the convolutions that compute with them.

These stay in floats: arithmetic on the frame itself; transposed convolutions, because engines
disagree on the axis along which their weights are quantized; vectors; for onnxruntime, the
convolution that makes the image; and convolutions that are named by the caller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeunet.graph.macs import macs_of_node
from edgeunet.graph.receptive import global_nodes
from edgeunet.graph.values import constant_of, only_use
from edgeunet.specs import FRAME, Engine

_MOVING = frozenset({"DepthToSpace", "MaxPool", "SpaceToDepth"})
# Operators that may turn the result of a convolution into an image.
_FINISHING = frozenset({"Add", "Cast", "Clip", "Mul", "Pad", "Round", "Slice", "Transpose"})


def moving(engine: Engine) -> frozenset[str]:
    """Return the operators that move numbers without changing them, and so work on 8 bits.

    onnxruntime can concatenate tensors with different scales; for TensorRT they share one scale.
    """
    return _MOVING | {"Concat"} if engine is Engine.TENSORRT else _MOVING


@dataclass(frozen=True)
class Placement:
    """The part of a quantized graph that computes in 8 bits.

    convolutions: (in 8 bits, all).
    macs: multiply-accumulates (in 8 bits, all).
    kept: names of the convolutions that stay in floats.
    """

    convolutions: tuple[int, int]
    macs: tuple[int, int]
    kept: tuple[str, ...]

    @property
    def share(self) -> float:
        return self.macs[0] / max(self.macs[1], 1)


class Points:
    """The tensors of a float graph that can be stored in 8 bits.

    They are listed in execution order, which is the same for every frame size; their names may
    differ. For onnxruntime and without ``kept``, this lists every tensor whose range is measured.
    ``points_of`` returns the tensors that are stored.
    """

    def __init__(self, model: ir.Model, engine: Engine, kept: Collection[int] = ()) -> None:
        """kept: numbers of the convolutions that stay in floats."""
        graph = model.graph
        self._moving = moving(engine)
        vectors = _vectors(graph)
        self.convolutions = tuple(
            node for node in graph if is_convolution(node) and node not in vectors
        )
        wanted = {node for i, node in enumerate(self.convolutions) if i not in kept}
        self.framed = {node: frame for node in wanted if (frame := _frame_of(node)) is not None}
        if engine is Engine.TENSORRT:
            # TensorRT has no zero points: half of the 8-bit range would be unused for a frame.
            wanted -= set(self.framed)
            self.framed = {}
        self.quantized = frozenset(wanted)
        found: set[ir.Value] = set()
        for node in wanted - set(self.framed):
            found.update(self._roots(node.inputs[0]))
        if engine is Engine.ONNXRUNTIME:
            # onnxruntime has integer kernels only for convolutions whose result is in 8 bits.
            found.update(_result(node) for node in wanted)
            for node in reversed(graph):
                if node.op_type == "Concat" and node.outputs[0] in found:
                    found.update(*(self._roots(v) for v in node.inputs))
        self._add_sums(graph, found, engine)
        order = {v: i for i, v in enumerate(v for node in graph for v in node.outputs)}
        self.values = tuple(sorted(found, key=lambda value: order[value]))
        self.groups = self._groups(graph, found)

    def _add_sums(self, graph: ir.Graph, found: set[ir.Value], engine: Engine) -> None:
        """Add the sums of 8-bit tensors; TensorRT adds one term in the accumulators instead."""
        for node in graph:
            if node.op_type != "Add" or any(
                v is None or constant_of(v) is not None for v in node.inputs
            ):
                continue
            terms = [v for v in node.inputs if v is not None]
            if engine is Engine.TENSORRT:
                joined = [v for v in terms if v.producer() in self.quantized and only_use(v)]
                if joined:
                    terms.remove(joined[-1])
                    found.discard(joined[-1])
                    # The other term is stored in 8 bits, if it can be.
                    for root in self._roots(terms[0]):
                        if root.producer() in self.quantized:
                            found.add(root)
            if all(self._roots(v) <= found for v in terms):
                found.add(_result(node))

    def _roots(self, value: ir.Value | None) -> frozenset[ir.Value]:
        """Return the tensors that reach a value through moving operators alone."""
        producer = value.producer() if value is not None else None
        if value is None or producer is None:
            return frozenset()
        if producer.op_type not in self._moving:
            return frozenset({value})
        sources = [v for v in producer.inputs if v is not None and constant_of(v) is None]
        return frozenset().union(*(self._roots(source) for source in sources))

    def _groups(
        self, graph: ir.Graph, found: Collection[ir.Value]
    ) -> tuple[frozenset[ir.Value], ...]:
        """Return the sets of stored tensors that are concatenated, and so share a scale."""
        groups: list[frozenset[ir.Value]] = []
        for node in graph:
            if node.op_type != "Concat" or "Concat" not in self._moving:
                continue
            joined = self._roots(node.outputs[0])
            if not joined <= set(found):
                continue
            for group in [g for g in groups if g & joined]:
                groups.remove(group)
                joined |= group
            groups.append(joined)
        return tuple(groups)


def points_of(model: ir.Model, engine: Engine, kept: Collection[int] = ()) -> Points:
    """Return the tensors stored in 8 bits. kept: numbers of convolutions that stay in floats."""
    return Points(model, engine, {*kept, *makers_of_images(model, engine)})


def makers_of_images(model: ir.Model, engine: Engine) -> tuple[int, ...]:
    """Return the numbers of the convolutions whose result becomes an image by arithmetic alone.

    Empty for TensorRT, which can leave the result of an integer convolution in floats. onnxruntime
    computes with integers only if the result is stored in 8 bits. Its 255 steps would have to cover
    all noise that may occur, and so would be coarser than the steps of the image.
    """
    if engine is not Engine.ONNXRUNTIME:
        return ()
    convolutions = Points(model, engine).convolutions
    return tuple(number for number, node in enumerate(convolutions) if _makes_image(node))


def _makes_image(node: ir.Node) -> bool:
    """Return whether arithmetic alone turns a node's result into (N, H, W, C) images only."""
    found = [node.outputs[0]]
    for value in found:
        readers = [use.node for use in value.uses()]
        if any(reader.op_type not in _FINISHING for reader in readers):
            return False
        if not readers and (value.shape is None or len(value.shape) != 4):
            return False
        found += [reader.outputs[0] for reader in readers]
    return True


def quantization_key(model: ir.Model) -> tuple[str, str]:
    """Return (digest of the weights, digest of the structure) of a float graph.

    The weights are all floats that any node reads, because those of a norm or a gate change the
    ranges as well.
    """
    weights, structure = hashlib.sha256(), hashlib.sha256()
    for value in Points(model, Engine.ONNXRUNTIME).values:
        producer = value.producer()
        structure.update(f"{producer.op_type if producer else ''} ".encode())
    for node in model.graph:
        for parameter in node.inputs:
            content = constant_of(parameter)
            if content is not None and np.issubdtype(content.dtype, np.floating):
                structure.update(f"{node.op_type}{content.shape} ".encode())
                weights.update(np.ascontiguousarray(content).tobytes())
    return weights.hexdigest(), structure.hexdigest()


def show_points(model: ir.Model) -> tuple[str, ...]:
    """Make every tensor that can be stored in 8 bits an output, in place; return their names."""
    values = Points(model, Engine.ONNXRUNTIME).values
    known = set(model.graph.outputs)
    model.graph.outputs.extend(value for value in values if value not in known)
    return tuple(value.name or "" for value in values)


def placement_of(model: ir.Model, engine: Engine, kept: Collection[int] = ()) -> Placement:
    """Return what ``quantize`` would compute in 8 bits in a float graph."""
    points = points_of(model, engine, kept)
    every = sum(macs_of_node(node) for node in model.graph)
    inside = sum(macs_of_node(node) for node in points.quantized)
    floats = [n for n in points.convolutions if n not in points.quantized]
    return Placement(
        (len(points.quantized), len(points.convolutions)),
        (inside, every),
        tuple(weight_name(node) for node in floats),
    )


def weight_name(convolution: ir.Node) -> str:
    """Return the name of a convolution's weight, which names its place in the network."""
    weight = convolution.inputs[1]
    return (weight.name if weight is not None else None) or ""


def is_convolution(node: ir.Node) -> bool:
    """Return whether a node is a 2-D convolution with constant weights and bias."""
    if node.op_type != "Conv":
        return False
    weight = constant_of(node.inputs[1])
    biases = [v for v in node.inputs[2:] if v is not None]
    return (
        weight is not None
        and weight.ndim == 4
        and all(constant_of(bias) is not None for bias in biases)
    )


def _vectors(graph: ir.Graph) -> set[ir.Node]:
    """Return the nodes that work only on averages over the frame."""
    found = set(global_nodes(graph))
    for node in graph:
        makers = [v.producer() for v in node.inputs if v is not None and constant_of(v) is None]
        if makers and all(maker in found for maker in makers):
            found.add(node)
    return found


def _result(node: ir.Node) -> ir.Value:
    """Return the result of a node, or of the activation function that alone reads it."""
    reader = only_use(node.outputs[0])
    if reader is not None and reader.op_type == "Relu":
        return reader.outputs[0]
    return node.outputs[0]


def _frame_of(node: ir.Node) -> tuple[ir.Node, float] | None:
    """Return the transposition and the factor between the uint8 frame and a convolution, if any."""
    scaled = node.inputs[0].producer() if node.inputs[0] is not None else None
    if scaled is None or scaled.op_type != "Mul" or scaled.inputs[0] is None:
        return None
    factor, transpose = constant_of(scaled.inputs[1]), scaled.inputs[0].producer()
    if factor is None or factor.size != 1 or transpose is None or transpose.op_type != "Transpose":
        return None
    source = transpose.inputs[0]
    cast = source.producer() if source is not None else None
    if cast is None or cast.op_type != "Cast" or cast.inputs[0] is None:
        return None
    return (transpose, float(factor.reshape(()))) if cast.inputs[0].name == FRAME else None
