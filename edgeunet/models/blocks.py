"""Blocks of a level. Every block keeps height and width of its (N, C, H, W) input."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeunet.recipes import BlockKind

LAYER_NORM_EPS = 1e-6


def conv3x3(in_channels: int, out_channels: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)


def conv1x1(in_channels: int, out_channels: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 1, bias=bias)


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each with batch norm and ReLU (U-Net, arXiv 1505.04597)."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool) -> None:
        super().__init__(
            conv3x3(in_channels, out_channels, bias=bias),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            conv3x3(out_channels, out_channels, bias=bias),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )


class ResidualConv(nn.Module):
    """``x + conv(relu(conv(x)))`` without normalization (EDSR, arXiv 1707.02921).

    It has no statistics over pixels, so it fuses and quantizes well. The second convolution starts
    with small weights, so that a deep stack starts near the identity.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = conv3x3(channels, channels)
        self.project = conv3x3(channels, channels)
        with torch.no_grad():
            self.project.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(torch.relu(self.expand(x)))
        return x + y


class LayerNorm2d(nn.Module):
    """Normalization over the channels of each pixel (NAFNet, arXiv 2204.04676)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            # Torch's kernel is several times as fast in training; an export needs plain operators.
            last = x.permute(0, 2, 3, 1)
            shape = (x.shape[1],)
            normed = functional.layer_norm(last, shape, self.weight, self.bias, LAYER_NORM_EPS)
            return normed.permute(0, 3, 1, 2)
        centred = x - x.mean(dim=1, keepdim=True)
        variance = (centred * centred).mean(dim=1, keepdim=True)
        normal = centred / torch.sqrt(variance + LAYER_NORM_EPS)
        return normal * self.weight[:, None, None] + self.bias[:, None, None]


class NAFBlock(nn.Module):
    """NAFNet's block with simple gates instead of activations (arXiv 2204.04676).

    attention: use simplified channel attention (SCA), a mean over the whole frame. A network that
        runs in windows has it only in the core, which runs on the whole frame.
    """

    def __init__(self, channels: int, *, attention: bool) -> None:
        super().__init__()
        self.norm1 = LayerNorm2d(channels)
        self.conv1 = conv1x1(channels, 2 * channels)
        self.depthwise = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.sca = conv1x1(channels, channels) if attention else None
        self.conv3 = conv1x1(channels, channels)
        self.norm2 = LayerNorm2d(channels)
        self.conv4 = conv1x1(channels, 2 * channels)
        self.conv5 = conv1x1(channels, channels)
        # Zero at the start, as published: the untrained block is the identity.
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = _simple_gate(self.depthwise(self.conv1(self.norm1(x))))
        if self.sca is not None:
            y = y * self.sca(y.mean(dim=(2, 3), keepdim=True))
        x = x + self.conv3(y) * self.beta
        z: Tensor = self.conv5(_simple_gate(self.conv4(self.norm2(x))))
        return x + z * self.gamma


def _simple_gate(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=1)
    return first * second


class BlockStack(nn.Sequential):
    """The blocks of one level, from ``in_channels`` to ``channels``."""

    def __init__(
        self,
        kind: BlockKind,
        in_channels: int,
        channels: int,
        blocks: int,
        *,
        attention: bool,
        bias: bool,
    ) -> None:
        layers: list[nn.Module] = []
        if kind == "double":
            sizes = [in_channels] + [channels] * blocks
            layers = [DoubleConv(sizes[i], channels, bias=bias) for i in range(blocks)]
        else:
            if in_channels != channels:
                layers.append(conv1x1(in_channels, channels))
            for _ in range(blocks):
                layers.append(
                    ResidualConv(channels)
                    if kind == "residual"
                    else NAFBlock(channels, attention=attention)
                )
        super().__init__(*layers)
