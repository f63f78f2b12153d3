"""Run a graph in torch with gradients: the 8-bit computation of an engine, in floats.

Tensors that the graph stores in 8 bits, weights included, are rounded by torch's fake quantization
with the graph's scales. Gradients pass the rounding unchanged, except where a value is clipped (the
straight-through estimator, Bengio et al., arXiv 1308.3432). A graph without quantizers runs in
floats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeunet.errors import GraphError
from edgeunet.graph.values import CONVOLUTIONS, constant_of
from edgeunet.models.network import Network
from edgeunet.qat.bound_weights import Binding, BoundConvolution
from edgeunet.recipes import Recipe
from edgeunet.specs import Task

_LARGEST_WEIGHT = 127
_LIMITS = {ir.DataType.UINT8: (0, 255), ir.DataType.INT8: (-128, 127)}
# Operators that turn the result into bytes or a class, which have no gradient.
_FINISHING = frozenset({"ArgMax", "Cast", "Clip", "Round", "Softmax"})

Apply = Callable[..., Tensor | tuple[Tensor, ...]]


@dataclass
class _Step:
    """One node. last: the inputs that no later node reads."""

    apply: Apply
    inputs: tuple[ir.Value, ...]
    node: ir.Node
    last: tuple[ir.Value, ...] = ()


class Replay(nn.Module):
    """Computes what a graph computes, with the weights of a network; a drop-in for ``Network``.

    Images may have any height and width. They are rounded and clipped to bytes, and padded with
    zeros to whole bottleneck windows, as in an export.
    """

    def __init__(
        self, model: ir.Model, bindings: Sequence[Binding], network: Network, recipe: Recipe
    ) -> None:
        """Prepare to run a graph.

        model: for one frame that needs no padding, with its convolutions in the order of the
            bindings. Raises GraphError for an unknown operator.
        """
        super().__init__()
        self._multiple = network.multiple
        self._frame = model.graph.inputs[0]
        self._ends = [
            (pathway.output, pathway.head, _unfinished(value))
            for pathway, value in zip(recipe.pathways, model.graph.outputs, strict=True)
        ]
        self.bound = nn.ModuleList(BoundConvolution(network, binding) for binding in bindings)
        self._steps: list[_Step] = []
        needed = _needed([value for *_, value in self._ends])
        bound = iter(self.bound)
        for node in model.graph:
            if node.op_type in CONVOLUTIONS:
                layer = next(bound)
                if isinstance(layer, BoundConvolution) and node in needed:
                    self._steps.append(_Step(_convolution(node, layer), _read(node)[:1], node))
            elif node in needed and not _is_constant(node):
                self._steps.append(_Step(self._operator(node), _read(node), node))
        kept = {value for *_, value in self._ends}
        for step in reversed(self._steps):
            step.last = tuple(set(step.inputs) - kept)
            kept.update(step.inputs)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        height, width = image.shape[-2:]
        padding = (0, -width % self._multiple, 0, -height % self._multiple)
        pixels = (functional.pad(image, padding) * 255.0).round().clamp(0.0, 255.0)
        values = {self._frame: pixels.flip(1).permute(0, 2, 3, 1)}
        for step in self._steps:
            result = step.apply(*(values[value] for value in step.inputs))
            several = result if isinstance(result, tuple) else (result,)
            values.update(zip(step.node.outputs, several, strict=True))
            for value in step.last:
                del values[value]
        answers = {}
        for name, task, end in self._ends:
            answer = values[end]
            if task is Task.DENOISE:
                answer = answer.permute(0, 3, 1, 2).flip(1) / 255.0
            answers[name] = answer if task is Task.CLASSIFY else answer[..., :height, :width]
        return answers

    def _operator(self, node: ir.Node) -> Apply:
        """Return the function that computes a node from the tensors it reads."""
        kind = node.op_type
        if kind == "QuantizeLinear":
            return _quantizer(node)
        if kind == "DequantizeLinear":
            if _root(node.inputs[0]) is not self._frame:
                # Fake quantization keeps real values, so there is nothing to dequantize.
                return lambda x: x
            factor = float(_constant(node, 1))
            return lambda x: x * factor
        if kind in _PLAIN:
            return self._with_constants(node, _PLAIN[kind])
        if kind in _MADE:
            return _MADE[kind](node)
        raise GraphError(
            f"operator {kind} (node {node.name!r}) cannot be computed with gradients",
            hint="use operators that the shipped networks use, or extend qat/replay.py",
        )

    def _with_constants(self, node: ir.Node, function: Callable[..., Tensor]) -> Apply:
        """Return a function of a node with its constant inputs filled in."""
        names: list[str | None] = []
        for value in node.inputs:
            content = constant_of(value)
            names.append(None if content is None else f"constant_{len(dict(self.named_buffers()))}")
            if content is not None:
                tensor = torch.from_numpy(np.array(content))
                self.register_buffer(names[-1] or "", tensor, persistent=False)

        def apply(*given: Tensor) -> Tensor:
            tensors = iter(given)
            return function(
                *(next(tensors) if name is None else getattr(self, name) for name in names)
            )

        return apply


def _read(node: ir.Node) -> tuple[ir.Value, ...]:
    """Return the inputs of a node that are not constants."""
    return tuple(v for v in node.inputs if v is not None and constant_of(v) is None)


def _unfinished(value: ir.Value) -> ir.Value:
    """Return the float tensor that an answer is made from."""
    producer = value.producer()
    while producer is not None and producer.op_type in _FINISHING and producer.inputs[0]:
        value = producer.inputs[0]
        producer = value.producer()
    return value


def _needed(values: Sequence[ir.Value]) -> set[ir.Node]:
    """Return the nodes that values depend on."""
    found: set[ir.Node] = set()
    waiting = list(values)
    while waiting:
        producer = waiting.pop().producer()
        if producer is not None and producer not in found:
            found.add(producer)
            waiting.extend(value for value in producer.inputs if value is not None)
    return found


def _is_constant(node: ir.Node) -> bool:
    """Return whether a node only computes weights, which come from the network here."""
    return all(value is None or constant_of(value) is not None for value in node.inputs)


def _root(value: ir.Value | None) -> ir.Value | None:
    """Return the tensor that an 8-bit tensor was before it was moved."""
    producer = value.producer() if value is not None else None
    while producer is not None and producer.op_type in ("Transpose", "DepthToSpace", "MaxPool"):
        value = producer.inputs[0]
        producer = value.producer() if value is not None else None
    return value


def _quantizer(node: ir.Node) -> Apply:
    zero = _constant(node, 2)
    limits = _LIMITS[ir.DataType.from_numpy(zero.dtype)]
    scale, start = float(_constant(node, 1)), int(zero)
    return lambda x: torch.fake_quantize_per_tensor_affine(x, scale, start, *limits)


def _convolution(node: ir.Node, layer: BoundConvolution) -> Apply:
    """Return a convolution with the network's weights, in 8 bits if the graph has them so."""
    stride, dilation = _numbers(node, "strides", (1, 1)), _numbers(node, "dilations", (1, 1))
    top, left, bottom, right = _numbers(node, "pads", (0, 0, 0, 0))
    group = node.attributes.get("group")
    groups = 1 if group is None else group.as_int()
    if (top, left) != (bottom, right):
        raise ValueError(f"{node.name!r} pads one side more than the other")
    if node.op_type == "ConvTranspose":

        def apply_transposed(x: Tensor) -> Tensor:
            weight, bias = layer()
            return functional.conv_transpose2d(
                x, weight, bias, stride, (top, left), 0, groups, dilation
            )

        return apply_transposed
    in_bits = _dequantized(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    maker = node.inputs[0].producer() if node.inputs[0] is not None else None
    source = float(_constant(maker, 1)) if maker is not None and _dequantized(bias) else None

    def apply(x: Tensor) -> Tensor:
        weight, bias = layer()
        if in_bits:
            weight, scales = _rounded_weight(weight)
            if bias is not None and source is not None:
                steps = scales * source
                bias = bias + ((bias / steps).round() * steps - bias).detach()
        return functional.conv2d(x, weight, bias, stride, (top, left), dilation, groups)

    return apply


def _rounded_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights in 8 bits, symmetric per output channel, and the scales, (O,)."""
    reach = weight.detach().abs().amax(dim=(1, 2, 3))
    scales = torch.where(reach > 0, reach / _LARGEST_WEIGHT, torch.ones_like(reach))
    zeros = torch.zeros(len(scales), dtype=torch.int32, device=weight.device)
    limits = (-_LARGEST_WEIGHT, _LARGEST_WEIGHT)
    return torch.fake_quantize_per_channel_affine(weight, scales, zeros, 0, *limits), scales


def _dequantized(value: ir.Value | None) -> bool:
    producer = value.producer() if value is not None else None
    return producer is not None and producer.op_type == "DequantizeLinear"


def _constant(node: ir.Node, index: int) -> Any:
    content = constant_of(node.inputs[index])
    if content is None:
        raise ValueError(f"input {index} of {node.name!r} is no constant")
    return content


def _numbers(node: ir.Node, name: str, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    attribute = node.attributes.get(name)
    return otherwise if attribute is None else tuple(attribute.as_ints())


def _number(node: ir.Node, name: str, otherwise: int) -> int:
    attribute = node.attributes.get(name)
    return otherwise if attribute is None else attribute.as_int()


def _depth_to_space(node: ir.Node) -> Apply:
    block, mode = _number(node, "blocksize", 0), node.attributes.get("mode")
    nested = mode is not None and mode.as_string() == "CRD"

    def apply(x: Tensor) -> Tensor:
        return functional.pixel_shuffle(x if nested else _reordered(x, block**2), block)

    return apply


def _space_to_depth(node: ir.Node) -> Apply:
    block = _number(node, "blocksize", 0)

    def apply(x: Tensor) -> Tensor:
        return _reordered(functional.pixel_unshuffle(x, block), x.shape[1])

    return apply


def _reordered(x: Tensor, groups: int) -> Tensor:
    """Put channel ``g * n + i`` of ``groups`` groups of n at ``i * groups + g``."""
    count, channels, height, width = x.shape
    split = x.reshape(count, groups, channels // groups, height, width)
    return split.transpose(1, 2).reshape(x.shape)


def _resize(node: ir.Node) -> Apply:
    factors = _constant(node, 2)
    mode, where = (
        "" if attribute is None else attribute.as_string()
        for attribute in map(node.attributes.get, ("mode", "coordinate_transformation_mode"))
    )
    if (mode, where) != ("linear", "half_pixel") or list(factors[:2]) != [1.0, 1.0]:
        raise ValueError(f"{node.name!r} resizes in a way that is not known")
    scale = (float(factors[2]), float(factors[3]))
    return lambda x: functional.interpolate(
        x, scale_factor=scale, mode="bilinear", align_corners=False
    )


def _max_pool(node: ir.Node) -> Apply:
    kernel = _numbers(node, "kernel_shape", ())
    stride = _numbers(node, "strides", (1, 1))
    if any(_numbers(node, "pads", (0, 0, 0, 0))):
        raise ValueError(f"{node.name!r} pads")
    return lambda x: functional.max_pool2d(x, kernel, stride)


def _mean(node: ir.Node) -> Apply:
    axes, keep = _numbers(node, "axes", ()), bool(_number(node, "keepdims", 1))
    return lambda x: x.mean(dim=axes, keepdim=keep)


def _gemm(node: ir.Node) -> Apply:
    weight, bias = (torch.from_numpy(np.array(_constant(node, index))) for index in (1, 2))
    if not _number(node, "transB", 0):
        weight = weight.T
    return lambda x: functional.linear(x, weight.to(x.device), bias.to(x.device))


def _split(node: ir.Node) -> Apply:
    sizes, axis = [int(size) for size in _constant(node, 1)], _number(node, "axis", 0)
    return lambda x: torch.split(x, sizes, axis)


def _transpose(node: ir.Node) -> Apply:
    order = _numbers(node, "perm", ())
    return lambda x: x.permute(order)


def _concat(node: ir.Node) -> Apply:
    axis = _number(node, "axis", 0)
    return lambda *several: torch.cat(several, axis)


_PLAIN: dict[str, Callable[..., Tensor]] = {
    "Add": torch.add,
    "Div": torch.div,
    "Mul": torch.mul,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
}
_MADE: dict[str, Callable[[ir.Node], Apply]] = {
    "Cast": lambda node: lambda x: x,
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Gemm": _gemm,
    "MaxPool": _max_pool,
    "ReduceMean": _mean,
    "Resize": _resize,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Transpose": _transpose,
}
