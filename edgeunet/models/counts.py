"""Counts a network's parameters, multiply-accumulates and skip elements."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgeunet.models.network import Network
from edgeunet.models.recurrence import no_memory
from edgeunet.models.skips import level_channels, map_channels
from edgeunet.recipes import NetworkTable, Recipe


@dataclass(frozen=True)
class Counts:
    """Size of a network.

    params: number of learned values.
    macs: multiply-accumulates of all convolutions and linear layers for one image.
    height, width: size of that image in pixels.
    skip_elements_per_pixel: elements held for the decoders, per pixel of the frame.
    """

    params: int
    macs: int
    height: int
    width: int
    skip_elements_per_pixel: float

    @property
    def macs_per_pixel(self) -> float:
        return self.macs / (self.height * self.width)


def count(recipe: Recipe, *, height: int = 256, width: int = 256) -> Counts:
    """Count on torch's meta device, which handles shapes and computes nothing."""
    with torch.device("meta"):
        network = Network(recipe.network, recipe.pathways).eval()
        macs = _macs(network, torch.empty(1, 3, height, width))
    params = sum(parameter.numel() for parameter in network.parameters())
    return Counts(params, macs, height, width, skip_elements_per_pixel(recipe.network))


def skip_elements_per_pixel(network: NetworkTable) -> float:
    """Return the elements per frame pixel that are held for the decoders during the bottleneck."""
    if network.skip == "aggregate":
        return map_channels(network) / (1 << 2 * (network.levels - 1))
    return sum(level_channels(network, level) / (1 << 2 * level) for level in range(network.levels))


def _macs(network: Network, image: Tensor) -> int:
    total = 0

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.ConvTranspose2d):
            weights = layer.weight[0].numel()
            total += weights * inputs[0].numel()
        elif isinstance(layer, nn.Conv2d):
            total += layer.weight[0].numel() * output.numel()
        elif isinstance(layer, nn.Linear):
            total += layer.in_features * output.numel()

    handles = [
        layer.register_forward_hook(add)
        for layer in network.modules()
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))
    ]
    try:
        if network.recurrence is None:
            network(image)
        else:
            fuse = network.recurrence.fuse
            network.step(image, no_memory(image, network.multiple, fuse=fuse))
    finally:
        for handle in handles:
            handle.remove()
    return total
