"""What an encoder level hands to its decoder level.

Encoder side: ``StoredSkips`` keeps every level's tensor; ``AggregatedSkips`` (MSIAM) adds
every level into one small map. Decoder side: a merge per level joins what was kept with the
upsampled tensor.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeunet.models.blocks import conv1x1, conv3x3
from edgeunet.recipes import NetworkTable, SkipKind

# softplus(BETA_OF_ONE) = 1: a gate that starts open, like a plain addition.
BETA_OF_ONE = math.log(math.e - 1)


def level_channels(network: NetworkTable, level: int) -> int:
    return network.width << level


def map_channels(network: NetworkTable) -> int:
    """Channels of the aggregated map: those of the deepest skip level, at its size."""
    return level_channels(network, network.levels - 1)


class StoredSkips(nn.Module):
    """Keep the tensor of every level until its decoder has used it."""

    def collect(self, held: list[Tensor], level: int, x: Tensor) -> list[Tensor]:
        return [*held, x]

    def source(self, held: list[Tensor], level: int) -> Tensor:
        return held[level]


class AggregatedSkips(nn.Module):
    """UNet--'s multi-scale information aggregation module (MSIAM, arXiv 2412.18276).

    RC, a 1x1 convolution, brings each level to as many values as the map has; RS, a pixel
    unshuffle, brings it to the map's size; a 1x1 convolution fuses. A 1x1 convolution over a
    concatenation is a sum of 1x1 convolutions, so the map is accumulated level by level and
    only one tensor of (N, C, H, W) / 8 elements lives (four levels).
    """

    def __init__(self, network: NetworkTable) -> None:
        super().__init__()
        channels = map_channels(network)
        reduce: list[nn.Module] = []
        fuse: list[nn.Module] = []
        for level in range(network.levels):
            factor = 2 ** (network.levels - 1 - level)
            reduced = max(1, channels // factor**2)
            reduce.append(
                nn.Sequential(conv1x1(level_channels(network, level), reduced), _unshuffle(factor))
            )
            # One bias for the sum is enough; the first level carries it.
            fuse.append(conv1x1(reduced * factor**2, channels, bias=level == 0))
        self.reduce = nn.ModuleList(reduce)
        self.fuse = nn.ModuleList(fuse)

    def collect(self, held: list[Tensor], level: int, x: Tensor) -> list[Tensor]:
        part = self.fuse[level](self.reduce[level](x))
        return [held[0] + part] if held else [part]

    def source(self, held: list[Tensor], level: int) -> Tensor:
        return held[0]


class Concatenate(nn.Module):
    """U-Net: sources are stacked on the channels of the upsampled tensor."""

    def forward(self, up: Tensor, sources: list[Tensor]) -> Tensor:
        return torch.cat([up, *sources], dim=1)


class Add(nn.Module):
    """NAFNet: sources are added."""

    def forward(self, up: Tensor, sources: list[Tensor]) -> Tensor:
        for source in sources:
            up = up + source
        return up


class GatedAdd(nn.Module):
    """AddUNet (arXiv 2601.13208): ``u + softplus(beta) * r``, one learned gate per skip.

    A gate can be read and set: ``alphas`` are the non-negative factors themselves.
    """

    def __init__(self, sources: int) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.full((sources,), BETA_OF_ONE))

    @property
    def alphas(self) -> Tensor:
        return functional.softplus(self.beta)

    def forward(self, up: Tensor, sources: list[Tensor]) -> Tensor:
        alphas = self.alphas
        for index, source in enumerate(sources):
            up = up + alphas[index] * source
        return up


class Expand(nn.Module):
    """UNet--'s information enhancement module (IEM) for one level.

    A 1x1 convolution and a pixel shuffle bring the map to the level's size, a 3x3
    convolution enhances it to the level's channels; the result is added. Run just before
    use, so that only one expanded tensor lives.

    reentry: the level's input also has the frame in it, through a 3x3 convolution. At small
    widths the map holds fewer values per pixel than the image.
    """

    def __init__(self, network: NetworkTable, level: int, *, reentry: bool) -> None:
        super().__init__()
        factor = 2 ** (network.levels - 1 - level)
        channels = level_channels(network, level)
        small = max(1, channels // 4)
        self.expand = nn.Sequential(
            conv1x1(map_channels(network), small * factor**2), _shuffle(factor)
        )
        self.enhance = conv3x3(small, channels)
        self.reentry = conv3x3(3, channels, bias=False) if reentry else None

    def forward(self, up: Tensor, sources: list[Tensor], frame: Tensor) -> Tensor:
        up = up + self.enhance(self.expand(sources[0]))
        return up if self.reentry is None else up + self.reentry(frame)


def make_store(network: NetworkTable) -> StoredSkips | AggregatedSkips:
    return AggregatedSkips(network) if network.skip == "aggregate" else StoredSkips()


def make_merge(network: NetworkTable, level: int, sources: int) -> nn.Module:
    """Return the merge of one decoder level that has ``sources`` tensors to join."""
    kind: SkipKind = network.skip
    if kind == "aggregate":
        return Expand(network, level, reentry=network.reentry and level == 0)
    if kind == "gated":
        return GatedAdd(sources)
    return Concatenate() if kind == "concat" else Add()


def _shuffle(factor: int) -> nn.Module:
    return nn.PixelShuffle(factor) if factor > 1 else nn.Identity()


def _unshuffle(factor: int) -> nn.Module:
    return nn.PixelUnshuffle(factor) if factor > 1 else nn.Identity()
