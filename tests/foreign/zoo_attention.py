"""Networks with attention, and one with aligned corners, as their own code writes them, but small.

Their operators are those that join rows and columns, move cells, and interpolate by the place in
the frame: the hardest for windows.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tests.foreign.zoo_restorers import conv
from tests.foreign.zoo_segmenters import CLASSES, unit


def in_cells(x: Tensor, side: int) -> Tensor:
    """Return (N * cells, side * side, C) of (N, H, W, C)."""
    n, h, w, c = x.shape
    x = x.view(n, h // side, side, w // side, side, c)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, side * side, c)


def from_cells(x: Tensor, side: int, h: int, w: int) -> Tensor:
    """Return (N, H, W, C) of (N * cells, side * side, C)."""
    x = x.view(-1, h // side, w // side, side, side, x.shape[-1])
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, h, w, x.shape[-1])


class SwinBlock(nn.Module):
    """Attention in cells, which are moved by half of their side in every other block."""

    def __init__(self, width: int, side: int, moved: int, heads: int = 2) -> None:
        super().__init__()
        self.side, self.moved, self.heads = side, moved, heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.bias = nn.Parameter(0.1 * torch.randn(heads, side**2, side**2))

    def mask(self, h: int, w: int) -> Tensor:
        """Return (cells, side**2, side**2): pixels from opposite ends do not see each other."""
        parts = (slice(0, -self.side), slice(-self.side, -self.moved), slice(-self.moved, None))
        number = torch.zeros(1, h, w, 1)
        for i, rows in enumerate(parts):
            for j, columns in enumerate(parts):
                number[:, rows, columns] = 3 * i + j
        cells = in_cells(number, self.side).squeeze(-1)
        return -100.0 * (cells[:, None] != cells[:, :, None]).float()

    def forward(self, x: Tensor, h: int, w: int) -> Tensor:
        n, _, c = x.shape
        y = self.norm1(x).view(n, h, w, c)
        y = torch.roll(y, (-self.moved, -self.moved), (1, 2)) if self.moved else y
        qkv = self.qkv(in_cells(y, self.side))
        qkv = qkv.view(-1, self.side**2, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        scores = qkv[0] * c**-0.5 @ qkv[1].transpose(-2, -1) + self.bias
        if self.moved:
            mask = self.mask(h, w)[:, None]
            scores = (scores.view(n, -1, *scores.shape[1:]) + mask).view(scores.shape)
        y = (scores.softmax(-1) @ qkv[2]).transpose(1, 2).reshape(-1, self.side**2, c)
        y = from_cells(self.project(y), self.side, h, w)
        y = torch.roll(y, (self.moved, self.moved), (1, 2)) if self.moved else y
        x = x + y.reshape(n, h * w, c)
        z: Tensor = x + self.mlp(self.norm2(x))
        return z


class ShiftedSwinIR(nn.Module):
    """Liang et al. 2021, SwinIR: padded to whole cells, moved cells, for twice the size."""

    def __init__(self, width: int = 8, side: int = 8) -> None:
        super().__init__()
        self.side = side
        self.head, self.join, self.last = conv(3, width), conv(width, width), conv(width, 12)
        self.blocks = nn.ModuleList(SwinBlock(width, side, moved) for moved in (0, side // 2))

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[2:]
        more = (0, -columns % self.side, 0, -rows % self.side)
        head = self.head(F.pad(x, more, mode="reflect"))
        n, c, h, w = head.shape
        y = head.flatten(2).transpose(1, 2)
        for block in self.blocks:
            y = block(y, h, w)
        y = self.join(y.transpose(1, 2).view(n, c, h, w)) + head
        return F.pixel_shuffle(self.last(y), 2)[:, :, : 2 * rows, : 2 * columns]


class TokenNorm(nn.Module):
    """LayerNorm on tokens, as Restormer's code has it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x.flatten(2).transpose(1, 2))
        return y.transpose(1, 2).reshape(x.shape)


class ChannelAttention(nn.Module):
    """Attention between channels over the whole picture, then a gated convolution."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, nn.Parameter(torch.ones(heads, 1, 1))
        self.norm1, self.norm2 = TokenNorm(width), TokenNorm(width)
        self.qkv, self.deep = (
            conv(width, 3 * width, 1),
            conv(3 * width, 3 * width, groups=3 * width),
        )
        self.project, self.join = conv(width, width, 1), conv(2 * width, width, 1)
        self.expand, self.gate = conv(width, 4 * width, 1), conv(4 * width, 4 * width, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        parts = self.deep(self.qkv(self.norm1(x))).chunk(3, 1)
        q, k, v = (part.reshape(n, self.heads, c // self.heads, h * w) for part in parts)
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        mixed = (q @ k.transpose(-2, -1) * self.scale).softmax(-1) @ v
        x = x + self.project(mixed.reshape(n, c, h, w))
        a, b = self.gate(self.expand(self.norm2(x))).chunk(2, 1)
        z: Tensor = x + self.join(F.gelu(a) * b)
        return z


class DeepRestormer(nn.Module):
    """Zamir et al. 2022, Restormer: two levels of attention between channels."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.head, self.last = conv(3, width), conv(width, 3)
        self.one, self.two = ChannelAttention(width, 1), ChannelAttention(2 * width, 2)
        self.down = nn.Sequential(conv(width, width // 2), nn.PixelUnshuffle(2))
        self.up = nn.Sequential(conv(2 * width, 4 * width), nn.PixelShuffle(2))
        self.join, self.back = conv(2 * width, width, 1), ChannelAttention(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(self.head(x))
        two = self.two(self.down(one))
        back: Tensor = self.last(self.back(self.join(torch.cat([self.up(two), one], 1))))
        return x + back


class Uformer(nn.Module):
    """Wang et al. 2022, Uformer: attention in cells at two levels of a U, written with einsum."""

    def __init__(self, width: int = 8, side: int = 4) -> None:
        super().__init__()
        self.side = side
        self.head, self.last = conv(3, width), conv(2 * width, 3)
        self.norm = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(2 * width)])
        self.qkv = nn.ModuleList([nn.Linear(width, 3 * width), nn.Linear(2 * width, 6 * width)])
        self.down = nn.Conv2d(width, 2 * width, 4, 2, 1)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, 2)

    def attend(self, x: Tensor, level: int) -> Tensor:
        _, c, h, w = x.shape
        tokens = in_cells(self.norm[level](x.permute(0, 2, 3, 1)), self.side)
        q, k, v = self.qkv[level](tokens).chunk(3, -1)
        scores = torch.einsum("bic,bjc->bij", q, k).mul(c**-0.5).softmax(-1)
        mixed = from_cells(torch.einsum("bij,bjc->bic", scores, v), self.side, h, w)
        return x + mixed.permute(0, 3, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        one = self.attend(self.head(x), 0)
        two = self.attend(F.gelu(self.down(one)), 1)
        y: Tensor = self.last(torch.cat([self.up(two), one], 1))
        return x + y


class BilinearUNet(nn.Module):
    """Ronneberger et al. 2015, U-Net, as it is often trained: bilinear, with aligned corners."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        w = width
        self.first, self.second, self.third = unit(3, w), unit(w, 2 * w), unit(2 * w, 2 * w)
        self.back2, self.back1 = unit(4 * w, w), unit(2 * w, w)
        self.head = conv(w, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        second = self.second(F.max_pool2d(first, 2))
        y = self.third(F.max_pool2d(second, 2))
        for skip, back in ((second, self.back2), (first, self.back1)):
            y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=True)
            y = back(torch.cat([skip, y], 1))
        scores: Tensor = self.head(y)
        return scores
