"""Restorers and super-resolution networks of papers, restated small: one picture to one picture."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


def conv(
    inside: int,
    outside: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
) -> nn.Conv2d:
    padding = dilation * (kernel // 2)
    return nn.Conv2d(inside, outside, kernel, stride, padding, dilation, groups, bias)


class SRCNN(nn.Module):
    """Dong et al. 2014, Learning a deep convolutional network for image super-resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv(3, 8, 9), nn.ReLU(), conv(8, 6, 1), nn.ReLU(), conv(6, 3, 5)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


class VDSR(nn.Module):
    """Kim et al. 2016, Accurate image super-resolution using very deep convolutional networks."""

    def __init__(self, depth: int = 5) -> None:
        super().__init__()
        middle = [part for _ in range(depth) for part in (conv(8, 8), nn.ReLU())]
        self.layers = nn.Sequential(conv(3, 8), nn.ReLU(), *middle, conv(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = x + self.layers(x)
        return z


class FFDNet(nn.Module):
    """Zhang et al. 2018, FFDNet: pixels at half resolution, with a map of the noise's strength."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(13, 10), nn.ReLU(), conv(10, 10), nn.ReLU(), conv(10, 12))

    def forward(self, x: Tensor) -> Tensor:
        half = F.pixel_unshuffle(x, 2)
        strength = torch.full_like(half[:, :1], 25 / 255)
        return F.pixel_shuffle(self.layers(torch.cat([half, strength], 1)), 2)


class ResBlock(nn.Module):
    def __init__(self, width: int, scale: float = 1.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(width, width), nn.ReLU(), conv(width, width))
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = x + self.scale * self.layers(x)
        return z


class DRUNet(nn.Module):
    """Zhang et al. 2021, Plug-and-play image restoration: residual blocks, strided, transposed."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        w = width
        self.head, self.tail = conv(3, w, bias=False), conv(w, 3, bias=False)
        self.one, self.two, self.three = ResBlock(w), ResBlock(2 * w), ResBlock(4 * w)
        self.down1 = nn.Conv2d(w, 2 * w, 2, 2, bias=False)
        self.down2 = nn.Conv2d(2 * w, 4 * w, 2, 2, bias=False)
        self.up2 = nn.ConvTranspose2d(4 * w, 2 * w, 2, 2, bias=False)
        self.up1 = nn.ConvTranspose2d(2 * w, w, 2, 2, bias=False)
        self.back2, self.back1 = ResBlock(2 * w), ResBlock(w)

    def forward(self, x: Tensor) -> Tensor:
        head = self.head(x)
        one = self.one(head)
        two = self.two(self.down1(one))
        deep = self.three(self.down2(two))
        y: Tensor = self.tail(self.back1(self.up1(self.back2(self.up2(deep) + two)) + one) + head)
        return y


class LayerNorm2d(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(1 + 0.1 * torch.randn(width))
        self.bias = nn.Parameter(0.1 * torch.randn(width))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        y = (x - mean) / (variance + 1e-6).sqrt()
        return self.weight.view(1, -1, 1, 1) * y + self.bias.view(1, -1, 1, 1)


class NAFBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = LayerNorm2d(width), LayerNorm2d(width)
        self.expand, self.deep = (
            conv(width, 2 * width, 1),
            conv(2 * width, 2 * width, 3, groups=2 * width),
        )
        self.attend, self.join = conv(width, width, 1), conv(width, width, 1)
        self.wide, self.narrow = conv(width, 2 * width, 1), conv(width, width, 1)
        self.beta = nn.Parameter(0.5 * torch.ones(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.deep(self.expand(self.norm1(x))).chunk(2, dim=1)
        gated = a * b
        y = x + self.beta * self.join(gated * self.attend(F.adaptive_avg_pool2d(gated, 1)))
        a, b = self.wide(self.norm2(y)).chunk(2, dim=1)
        z: Tensor = y + self.narrow(a * b)
        return z


class NAFNet(nn.Module):
    """Chen et al. 2022, Simple baselines for image restoration."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.head, self.tail = conv(3, width), conv(width, 3)
        self.one, self.two, self.back = NAFBlock(width), NAFBlock(2 * width), NAFBlock(width)
        self.down = nn.Conv2d(width, 2 * width, 2, 2)
        self.up = nn.Sequential(conv(2 * width, 4 * width, 1), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(self.head(x))
        y: Tensor = self.tail(self.back(self.up(self.two(self.down(one))) + one))
        return x + y


class HINBlock(nn.Module):
    def __init__(self, inside: int, outside: int, *, normal: bool) -> None:
        super().__init__()
        self.first, self.second = conv(inside, outside), conv(outside, outside)
        self.skip = conv(inside, outside, 1)
        self.norm = nn.InstanceNorm2d(outside // 2, affine=True) if normal else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        if self.norm is not None:
            a, b = y.chunk(2, dim=1)
            y = torch.cat([self.norm(a), b], 1)
        z: Tensor = F.leaky_relu(self.second(F.leaky_relu(y, 0.2)), 0.2) + self.skip(x)
        return z


class HINet(nn.Module):
    """Chen et al. 2021, HINet: half of the channels normalized; two U-Nets, one after the other."""

    def __init__(self, width: int = 4, *, normal: bool = True) -> None:
        super().__init__()
        self.head1, self.head2 = conv(3, width), conv(3, width)
        self.enc1 = HINBlock(width, width, normal=normal)
        self.enc2 = HINBlock(width, width, normal=normal)
        self.down1, self.down2 = conv(width, 2 * width, 4 - 1, 2), conv(width, 2 * width, 3, 2)
        self.mid1 = HINBlock(2 * width, 2 * width, normal=False)
        self.mid2 = HINBlock(2 * width, 2 * width, normal=False)
        self.up1 = nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.up2 = nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.sam, self.image = conv(width, width), conv(width, 3)
        self.join, self.last = conv(2 * width, width, 1), conv(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        one = self.enc1(self.head1(x))
        back = self.up1(self.mid1(self.down1(one))) + one
        image = self.image(back) + x
        attended = back + self.sam(back) * torch.sigmoid(image.mean(1, keepdim=True))
        two = self.enc2(self.join(torch.cat([self.head2(x), attended], 1)))
        y: Tensor = self.last(self.up2(self.mid2(self.down2(two))) + two)
        return y + x


class MIMOUNet(nn.Module):
    """Cho et al. 2021, Rethinking coarse-to-fine approach: the picture enters at two sizes."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.head, self.small = conv(3, width), conv(3, 2 * width)
        self.down, self.mix = conv(width, 2 * width, 3, 2), conv(4 * width, 2 * width)
        self.one, self.two, self.back = ResBlock(width), ResBlock(2 * width), ResBlock(width)
        self.up, self.join = nn.ConvTranspose2d(2 * width, width, 4, 2, 1), conv(2 * width, width)
        self.last = conv(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        half = F.interpolate(x, scale_factor=0.5)
        one = self.one(self.head(x))
        two = self.two(self.mix(torch.cat([self.down(one), self.small(half)], 1)))
        y: Tensor = self.last(self.back(self.join(torch.cat([self.up(two), one], 1))))
        return y + x


class ZeroDCE(nn.Module):
    """Guo et al. 2020, Zero-DCE: curves for every pixel, applied again and again."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.first, self.second = conv(3, width), conv(width, width)
        self.third, self.last = conv(2 * width, width), conv(2 * width, 12)

    def forward(self, x: Tensor) -> Tensor:
        first = F.relu(self.first(x))
        second = F.relu(self.second(first))
        third = F.relu(self.third(torch.cat([first, second], 1)))
        for curve in torch.chunk(torch.tanh(self.last(torch.cat([first, third], 1))), 4, dim=1):
            x = x + curve * (torch.pow(x, 2) - x)
        return x


class EDSR(nn.Module):
    """Lim et al. 2017, Enhanced deep residual networks, with the mean of colours taken off."""

    def __init__(self, factor: int = 2, width: int = 8) -> None:
        super().__init__()
        self.head = conv(3, width)
        self.body = nn.Sequential(ResBlock(width, 0.1), ResBlock(width, 0.1), conv(width, width))
        self.tail = nn.Sequential(
            conv(width, width * factor**2), nn.PixelShuffle(factor), conv(width, 3)
        )
        self.register_buffer("mean", torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        mean = self.get_buffer("mean")
        y = self.head(x - mean)
        y = self.tail(y + self.body(y))
        z: Tensor = y + mean
        return z


class RCAN(nn.Module):
    """Zhang et al. 2018, RCAN: channels are weighed by means over the whole picture."""

    def __init__(self, width: int = 8, factor: int = 2) -> None:
        super().__init__()
        self.head, self.first, self.second = conv(3, width), conv(width, width), conv(width, width)
        self.squeeze, self.excite = conv(width, 2, 1), conv(2, width, 1)
        self.tail = nn.Sequential(conv(width, 3 * factor**2), nn.PixelShuffle(factor))

    def forward(self, x: Tensor) -> Tensor:
        head = self.head(x)
        y = self.second(F.relu(self.first(head)))
        weight = torch.sigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        large: Tensor = self.tail(head + y * weight)
        return large


class RRDB(nn.Module):
    """Wang et al. 2018, ESRGAN: dense blocks, and two steps of nearest interpolation."""

    def __init__(self, width: int = 6, grow: int = 4) -> None:
        super().__init__()
        self.head = conv(3, width)
        self.dense = nn.ModuleList(conv(width + grow * i, grow) for i in range(2))
        self.join = conv(width + 2 * grow, width)
        self.up1, self.up2 = conv(width, width), conv(width, width)
        self.last = conv(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        head = self.head(x)
        known = [head]
        for layer in self.dense:
            known.append(F.leaky_relu(layer(torch.cat(known, 1)), 0.2))
        y = head + 0.2 * self.join(torch.cat(known, 1))
        for up in (self.up1, self.up2):
            y = F.leaky_relu(up(F.interpolate(y, scale_factor=2.0, mode="nearest")), 0.2)
        large: Tensor = self.last(y)
        return large


class SRVGG(nn.Module):
    """Wang et al. 2021, Real-ESRGAN's compact network: PReLU, and the picture itself enlarged."""

    def __init__(self, width: int = 8, factor: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(conv(3, width), nn.PReLU(width), conv(width, width), nn.PReLU(width)),
            conv(width, 3 * factor**2),
        )
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        large = F.pixel_shuffle(self.layers(x), self.factor)
        return large + F.interpolate(x, scale_factor=float(self.factor), mode="nearest")


class IMDN(nn.Module):
    """Hui et al. 2019, Information multi-distillation: some channels are put aside at each step."""

    def __init__(self, width: int = 8, factor: int = 2) -> None:
        super().__init__()
        self.head, self.tail = conv(3, width), conv(width, 3 * factor**2)
        self.one, self.two = conv(width, width), conv(width - 2, width)
        self.three, self.join = conv(width - 2, 2), conv(6, width, 1)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        head = self.head(x)
        aside1, rest = torch.split(F.leaky_relu(self.one(head), 0.05), [2, 6], dim=1)
        aside2, rest = torch.split(F.leaky_relu(self.two(rest), 0.05), [2, 6], dim=1)
        y = head + self.join(torch.cat([aside1, aside2, self.three(rest)], 1))
        return F.pixel_shuffle(self.tail(y), self.factor)


class Restormer(nn.Module):
    """Zamir et al. 2022, Restormer: attention between channels, over all of the picture."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.head, self.last = conv(3, width), conv(width, 3)
        self.norm, self.qkv = LayerNorm2d(width), conv(width, 3 * width, 1)
        self.deep = conv(3 * width, 3 * width, 3, groups=3 * width)
        self.project = conv(width, width, 1)
        self.gate, self.join = conv(width, 4 * width, 1), conv(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(x)
        n, c, h, w = y.shape
        q, k, v = (part.reshape(n, c, -1) for part in self.deep(self.qkv(self.norm(y))).chunk(3, 1))
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        attended = (q @ k.transpose(-2, -1)).softmax(dim=-1) @ v
        y = y + self.project(attended.reshape(n, c, h, w))
        a, b = self.gate(y).chunk(2, dim=1)
        y = y + self.join(F.gelu(a) * b)
        z: Tensor = x + self.last(y)
        return z


class MPRNet(nn.Module):
    """Zamir et al. 2021, MPRNet, one stage: the halves of the picture go their own ways first."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.head, self.block = conv(3, width), ResBlock(width)
        self.whole, self.last = ResBlock(width), conv(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        half = x.shape[2] // 2
        top, bottom = x[:, :, :half], x[:, :, half:]
        parts = [self.block(self.head(part)) for part in (top, bottom)]
        y: Tensor = self.last(self.whole(torch.cat(parts, 2)))
        return x + y


class SwinIR(nn.Module):
    """Liang et al. 2021, SwinIR: attention within windows of 8x8 that tile the picture."""

    def __init__(self, width: int = 8, window: int = 8) -> None:
        super().__init__()
        self.head, self.last, self.window = conv(3, width), conv(width, 3), window
        self.norm, self.qkv = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        s = self.window
        y = self.head(x)
        n, c, h, w = y.shape
        cells = y.view(n, c, h // s, s, w // s, s).permute(0, 2, 4, 3, 5, 1).reshape(-1, s * s, c)
        q, k, v = self.qkv(self.norm(cells)).chunk(3, dim=-1)
        attended = (q @ k.transpose(-2, -1) * c**-0.5).softmax(dim=-1) @ v
        cells = cells + self.project(attended)
        back = cells.view(n, h // s, w // s, s, s, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w)
        z: Tensor = x + self.last(y + back)
        return z


class GrayDnCNN(nn.Module):
    """Zhang et al. 2017, DnCNN, as most of its weights are: for one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(1, 8), nn.ReLU(), conv(8, 8), nn.ReLU(), conv(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = x - self.layers(x)
        return z
