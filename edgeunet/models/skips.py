"""Skips: what an encoder level gives to the decoder level of the same size.

In the encoder, ``StoredSkips`` keeps the tensor of every level, and ``AggregatedSkips`` (MSIAM)
adds
all levels into one small map. In the decoder, a merge per level joins what was kept with the
upsampled tensor.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeunet.models.blocks import conv1x1, conv3x3
from edgeunet.recipes import NetworkTable, SkipKind

# softplus(BETA_OF_ONE) = 1: a gate starts as a plain addition.
BETA_OF_ONE = math.log(math.e - 1)


def level_channels(network: NetworkTable, level: int) -> int:
    """Return the channels of a level's tensor."""
    return network.width << level


def map_channels(network: NetworkTable) -> int:
    """Return the channels of the aggregated map.

    The map has the channels, height and width of the deepest skip level.
    """
    return level_channels(network, network.levels - 1)


class StoredSkips(nn.Module):
    """Keeps the tensor of every level until its decoder has used it."""

    def collect(self, held: list[Tensor], level: int, x: Tensor) -> list[Tensor]:
        return [*held, x]

    def source(self, held: list[Tensor], level: int) -> Tensor:
        return held[level]


class AggregatedSkips(nn.Module):
    """The multi-scale information aggregation module (MSIAM) of UNet-- (arXiv 2412.18276).

    A 1x1 convolution (RC) reduces each level to the map's number of values. A pixel unshuffle (RS)
    brings it to the map's height and width. A 1x1 convolution over all levels fuses them. It equals
    a sum of one 1x1 convolution per level, so the map is accumulated level by level, and only one
    tensor of (N, C, H, W) / 8 elements is held (with four levels).
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
            # The sum needs one bias only, which the first level has.
            fuse.append(conv1x1(reduced * factor**2, channels, bias=level == 0))
        self.reduce = nn.ModuleList(reduce)
        self.fuse = nn.ModuleList(fuse)

    def collect(self, held: list[Tensor], level: int, x: Tensor) -> list[Tensor]:
        part = self.fuse[level](self.reduce[level](x))
        return [held[0] + part] if held else [part]

    def source(self, held: list[Tensor], level: int) -> Tensor:
        return held[0]


class Concatenate(nn.Module):
    """Stacks the sources on the channels of the upsampled tensor (U-Net, arXiv 1505.04597)."""

    def forward(self, up: Tensor, sources: list[Tensor]) -> Tensor:
        return torch.cat([up, *sources], dim=1)


class Add(nn.Module):
    """Adds the sources to the upsampled tensor (NAFNet, arXiv 2204.04676)."""

    def forward(self, up: Tensor, sources: list[Tensor]) -> Tensor:
        for source in sources:
            up = up + source
        return up


class GatedAdd(nn.Module):
    """Adds ``softplus(beta) * r`` for every source r, with one learned gate each (AddUNet).

    AddUNet is arXiv 2601.13208. ``alphas`` are the non-negative factors; they can be read and set.
    """

    def __init__(self, sources: int) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.full((sources,), BETA_OF_ONE))

    @property
    def alphas(self) -> Tensor:
        """The factors of the sources, at least 0."""
        return functional.softplus(self.beta)

    def forward(self, up: Tensor, sources: list[Tensor]) -> Tensor:
        alphas = self.alphas
        for index, source in enumerate(sources):
            up = up + alphas[index] * source
        return up


class Expand(nn.Module):
    """The information enhancement module (IEM) of UNet-- (arXiv 2412.18276) for one level.

    A 1x1 convolution and a pixel shuffle bring the map to the level's size. A 3x3 convolution then
    gives the level's channels, and the result is added to the upsampled tensor. The module runs
    just before its result is needed, so that only one expanded tensor is alive.

    reentry: also add a 3x3 convolution of the frame. At small widths the map holds fewer values per
        pixel than the image.
    """

    def __init__(
        self, network: NetworkTable, level: int, *, reentry: bool, image_channels: int = 3
    ) -> None:
        super().__init__()
        factor = 2 ** (network.levels - 1 - level)
        channels = level_channels(network, level)
        small = max(1, channels // 4)
        self.expand = nn.Sequential(
            conv1x1(map_channels(network), small * factor**2), _shuffle(factor)
        )
        self.enhance = conv3x3(small, channels)
        self.reentry = conv3x3(image_channels, channels, bias=False) if reentry else None

    def forward(self, up: Tensor, sources: list[Tensor], frame: Tensor) -> Tensor:
        up = up + self.enhance(self.expand(sources[0]))
        return up if self.reentry is None else up + self.reentry(frame)


def make_store(network: NetworkTable) -> StoredSkips | AggregatedSkips:
    """Return the encoder's side of the network's skips."""
    return AggregatedSkips(network) if network.skip == "aggregate" else StoredSkips()


def make_merge(
    network: NetworkTable, level: int, sources: int, image_channels: int = 3
) -> nn.Module:
    """Return the merge of one decoder level.

    sources: number of tensors that it joins. image_channels: of the image that reentry reads.
    """
    kind: SkipKind = network.skip
    if kind == "aggregate":
        reentry = network.reentry and level == 0
        return Expand(network, level, reentry=reentry, image_channels=image_channels)
    if kind == "gated":
        return GatedAdd(sources)
    return Concatenate() if kind == "concat" else Add()


def _shuffle(factor: int) -> nn.Module:
    return nn.PixelShuffle(factor) if factor > 1 else nn.Identity()


def _unshuffle(factor: int) -> nn.Module:
    return nn.PixelUnshuffle(factor) if factor > 1 else nn.Identity()
