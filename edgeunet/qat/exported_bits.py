"""Quantization-aware fine-tuning on the graph that an export would quantize.

The network's own export defines the tensors in 8 bits, the order of sums and the factors of
equalization. A ``Replay`` of that graph is trained, with the weights of the network's convolutions.
Intervals are measured once, on the initial weights. An export of the result measures its own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import onnx_ir as ir
import torch
from torch import nn

from edgeunet.convert.int8_order import Int8Order
from edgeunet.convert.network_graph import NetworkGraphs, frame_module
from edgeunet.convert.quantizing import make_quantizer
from edgeunet.errors import RecipeError
from edgeunet.graph.equalize import prepare
from edgeunet.graph.quantized import quantize
from edgeunet.models.blocks import NAFBlock
from edgeunet.models.network import Network
from edgeunet.qat.bound_weights import bind, trained_names
from edgeunet.qat.replay import Replay
from edgeunet.recipes import Recipe
from edgeunet.specs import Precision
from edgeunet.train.fake_quantization import Quantization

# Side in bottleneck pixels: small, but without axes of one element, which would be broadcast.
_SIDE = 4


class ExportedBits:
    """The ``FakeQuantization`` that matches ``edgeunet export --int8``."""

    def __init__(
        self,
        recipe: Recipe,
        order: Int8Order,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        """order: as for an export; measured ranges are not stored."""
        self._recipe, self._order, self._report = recipe, order, report

    def begin(self, network: Network) -> Quantization:
        absorb_offsets(network)
        module = frame_module(copy.deepcopy(network).eval(), self._recipe)
        order = replace(self._order, folder=None)
        quantizer = make_quantizer(order, NetworkGraphs(module, self._recipe), self._report)
        if not quantizer.placement.convolutions[0]:
            raise RecipeError(
                f"recipe {self._recipe.name!r} has no convolution that {quantizer.engine} "
                "would compute in 8 bits",
                hint="train it without --qat",
            )
        return Quantization(quantizer.engine, quantizer.factors, quantizer.intervals)

    def form(self, network: Network, quantization: Quantization) -> Callable[[Network], nn.Module]:
        self._report("reading the graph that is quantized")

        def graph_of(some: Network) -> ir.Model:
            model = graph_for_replay(some, self._recipe)
            prepare(model, quantization.factors)
            return model

        model = graph_of(copy.deepcopy(network))
        bindings = bind(network, graph_of, model)
        quantize(model, quantization.intervals, quantization.engine)
        learned = trained_names(network, bindings)

        def acting(some: Network) -> nn.Module:
            for name, parameter in some.named_parameters():
                if name not in learned:
                    parameter.requires_grad_(False)
            return Replay(model, bindings, some, self._recipe)

        return acting


def graph_for_replay(network: Network, recipe: Recipe) -> ir.Model:
    """Return a network's float graph at a small size; the network is changed to BGR order."""
    side = _SIDE * network.multiple
    module = frame_module(network.eval(), recipe)
    return NetworkGraphs(module, recipe).at(side, side, Precision.FP32)


@torch.no_grad()
def absorb_offsets(network: Network) -> None:
    """Move the offsets of a norm into the convolution that reads it, in place.

    The network computes the same. An export does this as well, and the convolution's bias would
    then depend on its weights, which are trained.
    """
    for block in network.modules():
        if isinstance(block, NAFBlock):
            for norm, reader in ((block.norm1, block.conv1), (block.norm2, block.conv4)):
                if reader.bias is not None:
                    reader.bias.add_(reader.weight.flatten(1) @ norm.bias)
                    norm.bias.zero_()
