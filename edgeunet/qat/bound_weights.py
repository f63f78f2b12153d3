"""Find, for every weight of a graph, the network's weight that it comes from, and the factor.

An export permutes weights (image channels, pixel unshuffles) and scales them (batch norm, gates,
layer scales, equalization). While only convolutions are trained, every weight of a graph's
convolution is a weight of the network times a constant. A bias also has a constant added. Two
exports with marked weights show which weight and which constant it is, whatever the rewrites do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgeunet.graph.values import CONVOLUTIONS, Floats, constant_of
from edgeunet.models.network import Network

GraphOf = Callable[[Network], ir.Model]
"""Returns the graph of a network, which it may change."""

# Marks are floats: below this limit, two of them differ by more than their rounding.
_DIGIT = 1 << 18
# Start of the marks of high digits. A fraction keeps layers different, so none are merged.
_HIGH = 1 << 10
_FRACTION = 0.2
_MOST_ROUNDING = 0.25


@dataclass(frozen=True)
class Binding:
    """The origin of the weights of one convolution in a graph.

    layer: name of the network's module.
    places: for every (output, input) pair, or (input, output) if transposed, its place in the
        layer.
    bias_places: for every bias, its place in the layer.
    scale: factors of the weights, (O, I, 1, 1).
    bias_scale: factors of the bias, (channels,).
    offset: added to the bias, (channels,); None if the graph's convolution has no bias. The bias is
        ``bias_scale * bias[bias_places] + offset``, or ``offset`` alone if the layer has none.
    """

    layer: str
    places: Tensor
    scale: Tensor
    bias_places: Tensor
    bias_scale: Tensor
    offset: Tensor | None


class BoundConvolution(nn.Module):
    """Computes the weights of one convolution of a graph from the network's current weights."""

    def __init__(self, network: Network, binding: Binding) -> None:
        super().__init__()
        layer = network.get_submodule(binding.layer)
        if not isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            raise TypeError(f"{binding.layer} is no convolution")
        self.layer = layer
        self._shape = (*binding.scale.shape[:2], *layer.weight.shape[2:])
        straight = torch.equal(binding.places, torch.arange(len(binding.places)))
        self.places: Tensor | None
        self.scale: Tensor
        self.bias_places: Tensor
        self.bias_scale: Tensor
        self.offset: Tensor | None
        for name, tensor in (
            ("places", None if straight else binding.places),
            ("scale", binding.scale),
            ("bias_places", binding.bias_places),
            ("bias_scale", binding.bias_scale),
            ("offset", binding.offset),
        ):
            self.register_buffer(name, tensor, persistent=False)

    def forward(self) -> tuple[Tensor, Tensor | None]:
        """Return (weight, bias) in floats, as in the graph; bias may be None."""
        weight = self.layer.weight
        if self.places is not None:
            weight = weight.flatten(0, 1).index_select(0, self.places)
        weight = weight.reshape(self._shape) * self.scale
        if self.offset is None or self.layer.bias is None:
            return weight, self.offset
        return weight, self.layer.bias[self.bias_places] * self.bias_scale + self.offset


def convolutions(model: ir.Model) -> list[ir.Node]:
    """Return a float graph's convolutions, transposed ones included, in execution order."""
    return [
        node
        for node in model.graph
        if node.op_type in CONVOLUTIONS and constant_of(node.inputs[1]) is not None
    ]


def bind(network: Network, graph_of: GraphOf, model: ir.Model) -> tuple[Binding, ...]:
    """Return a binding for every convolution of ``model``, which ``graph_of`` made of ``network``.

    Raises RuntimeError when the graph's weights are not permuted and scaled weights of the network.
    """
    marks = _Marks(network, graph_of)
    found = _weights_of(model)
    up = marks.seen_after(lambda n: _DIGIT + n % _DIGIT, lambda n: _DIGIT + n)
    down = marks.seen_after(lambda n: 2 * _DIGIT - n % _DIGIT, lambda n: 2 * _DIGIT - n)
    high = up
    if marks.weights > _DIGIT:
        high = marks.seen_after(
            lambda n: _HIGH + n // _DIGIT + _FRACTION * (n % _DIGIT / _DIGIT), lambda n: 1.0 * n
        )
    if marks.biases > _DIGIT or any(len(some) != len(found) for some in (up, down, high)):
        raise RuntimeError("an export of marked weights has other convolutions")
    bindings = []
    for node, rising, falling, upper in zip(found, up, down, high, strict=True):
        binding = marks.binding(node, rising, falling, None if upper is rising else upper)
        _check(BoundConvolution(network, binding), node)
        bindings.append(binding)
    return tuple(bindings)


class _Marks:
    """The network's convolutions, with a number for every pair of channels and every bias.

    These numbers are written into the weights as marks. A graph made of them shows where each
    number went, and its factor.
    """

    def __init__(self, network: Network, graph_of: GraphOf) -> None:
        self._network, self._graph_of = network, graph_of
        self._layers = {
            name: layer
            for name, layer in network.named_modules()
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
        }
        sizes = [layer.weight.shape[0] * layer.weight.shape[1] for layer in self._layers.values()]
        widths = [layer.out_channels for layer in self._layers.values()]
        self.weights, self.biases = sum(sizes), sum(widths)
        self._first = dict(zip(self._layers, np.cumsum([0, *sizes[:-1]]), strict=True))
        self._first_bias = dict(zip(self._layers, np.cumsum([0, *widths[:-1]]), strict=True))

    def seen_after(self, weight_mark: Mark, bias_mark: Mark) -> list[_Weights]:
        """Return the weights of a graph that is made of the network with these marks."""
        marked = copy.deepcopy(self._network)
        with torch.no_grad():
            for name, layer in marked.named_modules():
                if name not in self._layers:
                    _forget_offsets(layer)
            for name in self._layers:
                layer = marked.get_submodule(name)
                if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                    self._mark(name, layer, weight_mark, bias_mark)
        return _weights_of(self._graph_of(marked))

    def _mark(
        self,
        name: str,
        layer: nn.Conv2d | nn.ConvTranspose2d,
        weight_mark: Mark,
        bias_mark: Mark,
    ) -> None:
        pairs = layer.weight.shape[:2]
        numbers = self._first[name] + np.arange(pairs[0] * pairs[1]).reshape(*pairs, 1, 1)
        layer.weight.copy_(torch.from_numpy(weight_mark(numbers)))
        if layer.bias is not None:
            numbers = self._first_bias[name] + np.arange(len(layer.bias))
            layer.bias.copy_(torch.from_numpy(bias_mark(numbers)))

    def binding(
        self, node: _Weights, rising: _Weights, falling: _Weights, upper: _Weights | None
    ) -> Binding:
        """Return the origin of the weights of one convolution of the graph.

        rising, falling: its weights in the graphs with rising and with falling marks.
        upper: its weights in the graph with marks of the high digits, if one digit is not enough.
        """
        scale, numbers = _read(rising.weight, falling.weight)
        if upper is not None:
            numbers = numbers + _DIGIT * _rounded(_first_of_kernel(upper.weight), scale, _HIGH)
        known = scale != 0
        starts = np.array([*self._first.values()])
        layer_index = int(np.searchsorted(starts, numbers[known].max(initial=0), "right")) - 1
        name = [*self._layers][layer_index]
        places = np.where(known, numbers - self._first[name], 0).astype(np.int64)
        bias_scale, bias_places, offset = self._bias(name, node, rising, falling)
        return Binding(
            name,
            torch.from_numpy(places.reshape(-1)),
            torch.from_numpy(scale.astype(np.float32)[:, :, None, None]),
            torch.from_numpy(bias_places),
            torch.from_numpy(bias_scale.astype(np.float32)),
            None if offset is None else torch.from_numpy(offset.astype(np.float32)),
        )

    def _bias(
        self, name: str, node: _Weights, rising: _Weights, falling: _Weights
    ) -> tuple[Floats, NDArray[np.int64], Floats | None]:
        """Return (factors, places, offset) of a convolution's bias; empty without a bias."""
        offset = node.bias
        if offset is None or rising.bias is None or falling.bias is None:
            return np.zeros(0), np.zeros(0, np.int64), offset
        scale, numbers = _read(rising.bias, falling.bias)
        places = np.where(scale != 0, numbers - self._first_bias[name], 0).astype(np.int64)
        bias = self._layers[name].bias
        if bias is not None:
            offset = offset - scale * bias.detach().cpu().numpy()[places]
        return scale, places, offset


Mark = Callable[[Floats], Floats]


@dataclass(frozen=True)
class _Weights:
    weight: Floats
    bias: Floats | None


def _weights_of(model: ir.Model) -> list[_Weights]:
    found = []
    for node in convolutions(model):
        weight = constant_of(node.inputs[1])
        bias = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
        if weight is not None:
            found.append(_Weights(weight, bias))
    return found


def _forget_offsets(layer: nn.Module) -> None:
    """Set to zero what is added beside convolutions, because it would change their marks."""
    for name in ("bias", "running_mean"):
        tensor = getattr(layer, name, None)
        if isinstance(tensor, Tensor):
            tensor.zero_()


def _read(rising: Floats, falling: Floats) -> tuple[Floats, Floats]:
    """Return (factors, numbers) from the weights with rising and with falling marks."""
    rising, falling = _first_of_kernel(rising), _first_of_kernel(falling)
    scale = (rising + falling) / (3 * _DIGIT)
    return scale, _rounded(rising, scale, _DIGIT)


def _first_of_kernel(content: Floats) -> Floats:
    first: Floats = content if content.ndim == 1 else content[..., 0, 0]
    return first.astype(np.float64)


def _rounded(marked: Floats, scale: Floats, start: int) -> Floats:
    """Return the numbers of marks that begin at ``start``; 0 where the factor is 0."""
    whole = np.full(scale.shape, float(start))
    numbers = np.divide(marked, scale, out=whole, where=scale != 0) - start
    rounded: Floats = np.rint(numbers)
    if np.abs(numbers - rounded).max(initial=0.0) > _MOST_ROUNDING:
        raise RuntimeError("the weights of the graph are not the network's, permuted and scaled")
    return rounded.astype(np.int64)


def _check(bound: BoundConvolution, node: _Weights) -> None:
    with torch.no_grad():
        for given, wanted in zip(bound(), (node.weight, node.bias), strict=True):
            if (given is None) != (wanted is None):
                raise RuntimeError("a graph's convolution has a bias that its network has not")
            if given is None or wanted is None:
                continue
            reach = float(np.abs(wanted).max(initial=0.0)) or 1.0
            if np.abs(given.cpu().numpy() - wanted).max(initial=0.0) > 1e-4 * reach:
                raise RuntimeError(f"{type(bound.layer).__name__}: weights are not as exported")


def trained_names(network: Network, bindings: Sequence[Binding]) -> set[str]:
    """Return the names of the parameters that bindings read."""
    layers = {binding.layer for binding in bindings}
    return {n for n, _ in network.named_parameters() if n.rpartition(".")[0] in layers}
