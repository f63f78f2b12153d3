"""Layers that halve or double the resolution between levels."""

from __future__ import annotations

from torch import Tensor, nn

from edgeunet.models.blocks import conv1x1
from edgeunet.recipes import DownKind, UpKind


def make_down(kind: DownKind, channels: int) -> nn.Module:
    """Return a layer that halves height and width; ``conv`` also doubles the channels."""
    if kind == "maxpool":
        return nn.MaxPool2d(2)
    return nn.Conv2d(channels, 2 * channels, 2, stride=2)


class Up(nn.Module):
    """A layer that doubles height and width of a tensor with ``2 * channels`` channels.

    ``bilinear`` (UMC, arXiv 2005.00225) keeps the channels. ``transposed`` (U-Net, arXiv
    1505.04597) and ``shuffle`` (NAFNet, arXiv 2204.04676: 1x1 convolution without bias, then pixel
    shuffle) halve them.
    """

    def __init__(self, kind: UpKind, channels: int) -> None:
        super().__init__()
        layer: nn.Module
        if kind == "bilinear":
            layer = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        elif kind == "transposed":
            layer = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        else:
            layer = nn.Sequential(
                conv1x1(2 * channels, 4 * channels, bias=False), nn.PixelShuffle(2)
            )
        self.layer = layer
        self.out_channels = 2 * channels if kind == "bilinear" else channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return y
