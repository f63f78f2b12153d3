"""Segmenters and matting networks of papers, restated small: one picture to scores of pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tests.foreign.zoo_restorers import LayerNorm2d, conv

CLASSES = 4


def unit(
    inside: int,
    outside: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Module:
    return nn.Sequential(
        conv(inside, outside, kernel, stride, dilation=dilation, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )


def larger(x: Tensor, like: Tensor, *, corners: bool = False) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=corners)


class AttentionUNet(nn.Module):
    """Oktay et al. 2018, Attention U-Net: gates on the skips."""

    def __init__(self, w: int = 6) -> None:
        super().__init__()
        self.one, self.two = unit(3, w), unit(w, 2 * w)
        self.gate, self.skip, self.psi = conv(2 * w, w, 1), conv(w, w, 1), conv(w, 1, 1)
        self.up, self.back = conv(2 * w, w), unit(2 * w, w)
        self.head = conv(w, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(x)
        up = F.interpolate(self.two(F.max_pool2d(one, 2)), scale_factor=2, mode="nearest")
        gate = torch.sigmoid(self.psi(F.relu(self.gate(up) + self.skip(one))))
        y: Tensor = self.head(self.back(torch.cat([self.up(up), one * gate], 1)))
        return y


class LinkNet(nn.Module):
    """Chaurasia and Culurciello 2017, LinkNet: a ResNet whose levels are added."""

    def __init__(self, w: int = 6) -> None:
        super().__init__()
        self.stem = unit(3, w, 7, 2)
        self.one, self.two = unit(w, w), unit(w, 2 * w, 3, 2)
        self.shrink = unit(2 * w, w, 1)
        self.up = nn.ConvTranspose2d(w, w, 3, 2, 1, output_padding=1)
        self.last = nn.ConvTranspose2d(w, w, 3, 2, 1, output_padding=1)
        self.head = nn.ConvTranspose2d(w, CLASSES, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        stem = F.max_pool2d(self.stem(x), 3, 2, 1)
        one = stem + self.one(stem)
        back = F.relu(self.up(self.shrink(self.two(one)))) + one
        y: Tensor = self.head(F.relu(self.last(back)))
        return y


class ResUNet(nn.Module):
    """A U-Net on a ResNet, as segmentation_models.pytorch builds it (He et al. 2016)."""

    def __init__(self, w: int = 6) -> None:
        super().__init__()
        self.stem, self.one = unit(3, w, 7, 2), unit(w, w)
        self.two, self.short = unit(w, 2 * w, 3, 2), conv(w, 2 * w, 1, 2)
        self.back, self.top, self.head = unit(3 * w, w), unit(w, w), conv(w, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x)
        one = self.one(stem) + stem
        two = F.relu(self.two(one) + self.short(one))
        up = F.interpolate(two, scale_factor=2.0, mode="nearest")
        up = F.interpolate(self.back(torch.cat([up, one], 1)), scale_factor=2.0, mode="nearest")
        y: Tensor = self.head(self.top(up))
        return y


class ConvNeXtUNet(nn.Module):
    """Liu et al. 2022, A ConvNet for the 2020s: large kernels, LayerNorm on channels, GELU."""

    def __init__(self, w: int = 6) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, w, 4, 4)
        self.deep, self.norm = conv(w, w, 7, groups=w), nn.LayerNorm(w)
        self.wide, self.narrow = nn.Linear(w, 4 * w), nn.Linear(4 * w, w)
        self.down, self.middle = nn.Conv2d(w, 2 * w, 2, 2), unit(2 * w, w)
        self.head = conv(w, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x)
        y = self.norm(self.deep(stem).permute(0, 2, 3, 1))
        y = stem + self.narrow(F.gelu(self.wide(y))).permute(0, 3, 1, 2)
        deep = F.interpolate(self.middle(self.down(y)), scale_factor=2.0, mode="bilinear")
        scores: Tensor = self.head(y + deep)
        return F.interpolate(scores, scale_factor=4.0, mode="bilinear")


class DeepLabV3Plus(nn.Module):
    """Chen et al. 2018, Encoder-decoder with atrous separable convolution."""

    def __init__(self, w: int = 6) -> None:
        super().__init__()
        self.stem, self.low = unit(3, w, 3, 2), unit(w, w, 3, 2)
        self.high = unit(w, 2 * w, 3, 2)
        self.atrous = nn.ModuleList(unit(2 * w, w, 3, dilation=d) for d in (1, 2, 4))
        self.pool, self.join = unit(2 * w, w, 1), unit(4 * w, w, 1)
        self.skip, self.last, self.head = unit(w, w, 1), unit(2 * w, w), conv(w, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        low = self.low(self.stem(x))
        high = self.high(low)
        mean = larger(self.pool(F.adaptive_avg_pool2d(high, 1)), high)
        y = self.join(torch.cat([*(part(high) for part in self.atrous), mean], 1))
        y = self.head(self.last(torch.cat([larger(y, low), self.skip(low)], 1)))
        return larger(y, x)


class PSPNet(nn.Module):
    """Zhao et al. 2017, Pyramid scene parsing: means over a grid of the whole picture."""

    def __init__(self, w: int = 6) -> None:
        super().__init__()
        self.stem = nn.Sequential(unit(3, w, 3, 2), unit(w, w, 3, 2))
        self.pools = nn.ModuleList(unit(w, 2, 1) for _ in (1, 2, 4))
        self.head = nn.Sequential(unit(w + 6, w), conv(w, CLASSES, 1))

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x)
        parts = [stem]
        for bins, pool in zip((1, 2, 4), self.pools, strict=True):
            parts.append(larger(pool(F.adaptive_avg_pool2d(stem, bins)), stem, corners=True))
        return larger(self.head(torch.cat(parts, 1)), x, corners=True)


class FastSCNN(nn.Module):
    """Poudel et al. 2019, Fast-SCNN: one path at an eighth, one at a thirty-second."""

    def __init__(self, w: int = 6) -> None:
        super().__init__()
        self.down = nn.Sequential(unit(3, w, 3, 2), unit(w, w, 3, 2))
        self.deep = nn.Sequential(unit(w, 2 * w, 3, 2), unit(2 * w, 2 * w, 3, groups=2 * w))
        self.high, self.low = conv(w, w, 1), conv(2 * w, w, 1)
        self.head = nn.Sequential(unit(w, w, 3, groups=w), conv(w, CLASSES, 1))

    def forward(self, x: Tensor) -> Tensor:
        down = self.down(x)
        joined = F.relu(self.high(down) + larger(self.low(self.deep(down)), down))
        return larger(self.head(joined), x)


class BiSeNet(nn.Module):
    """Yu et al. 2018, BiSeNet: a spatial path, and a context path with attention by means."""

    def __init__(self, w: int = 6) -> None:
        super().__init__()
        self.spatial = nn.Sequential(unit(3, w, 7, 2), unit(w, w, 3, 2))
        self.context = nn.Sequential(unit(3, w, 3, 4), unit(w, w, 3, 2))
        self.attend, self.mix = conv(w, w, 1), unit(2 * w, w, 1)
        self.weigh, self.head = conv(w, w, 1), conv(w, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        near, far = self.spatial(x), self.context(x)
        far = far * torch.sigmoid(self.attend(far.mean((2, 3), keepdim=True)))
        y = self.mix(torch.cat([near, larger(far, near)], 1))
        y = y + y * torch.sigmoid(self.weigh(F.adaptive_avg_pool2d(y, 1)))
        return larger(self.head(y), x)


class SegFormer(nn.Module):
    """Xie et al. 2021, SegFormer: attention over all of the picture; scores at a quarter."""

    def __init__(self, w: int = 8) -> None:
        super().__init__()
        self.embed, self.norm = nn.Conv2d(3, w, 7, 4, 3), nn.LayerNorm(w)
        self.shrink = nn.Conv2d(w, w, 4, 4)
        self.query, self.keys, self.project = nn.Linear(w, w), nn.Linear(w, 2 * w), nn.Linear(w, w)
        self.deep, self.head = conv(w, w, 3, groups=w), conv(w, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.embed(x)
        n, c, h, w = y.shape
        tokens = self.norm(y.flatten(2).transpose(1, 2))
        few = self.shrink(tokens.transpose(1, 2).reshape(n, c, h, w)).flatten(2).transpose(1, 2)
        k, v = self.keys(few).chunk(2, dim=-1)
        attended = (self.query(tokens) @ k.transpose(1, 2) * c**-0.5).softmax(-1) @ v
        y = y + self.project(attended).transpose(1, 2).reshape(n, c, h, w)
        scores: Tensor = self.head(F.gelu(self.deep(y)))
        return scores


class U2Net(nn.Module):
    """Qin et al. 2020, U2-Net: a U in every level; several maps of one object."""

    def __init__(self, w: int = 4) -> None:
        super().__init__()
        self.units = nn.ModuleList([unit(3, w), unit(w, w), unit(w, w, 3, dilation=2)])
        self.backs = nn.ModuleList([unit(2 * w, w), unit(2 * w, w)])
        self.low, self.top = nn.ModuleList([unit(w, w), unit(w, w)]), unit(2 * w, w)
        self.side1, self.side2, self.join = conv(w, 1), conv(w, 1), conv(2, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first = self.units[0](x)
        second = self.units[1](F.max_pool2d(first, 2, ceil_mode=True))
        third = self.units[2](second)
        back = self.backs[0](torch.cat([third, second], 1))
        one = first + self.backs[1](torch.cat([larger(back, first), first], 1))
        two = self.low[1](self.low[0](F.max_pool2d(one, 2, ceil_mode=True)))
        top = self.top(torch.cat([larger(two, one), one], 1))
        sides = [self.side1(top), larger(self.side2(two), x)]
        return torch.sigmoid(self.join(torch.cat(sides, 1))), torch.sigmoid(sides[0])


class MODNet(nn.Module):
    """Ke et al. 2022, MODNet: what a picture means at low resolution, and its detail at full."""

    def __init__(self, w: int = 4) -> None:
        super().__init__()
        self.low = nn.Sequential(unit(3, w, 3, 2), unit(w, 2 * w, 3, 2), unit(2 * w, 2 * w, 3, 2))
        self.squeeze, self.excite = nn.Linear(2 * w, w), nn.Linear(w, 2 * w)
        self.coarse, self.detail = unit(2 * w, w), unit(w + 3, w)
        self.head = conv(w, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        low = self.low(x)
        weight = torch.sigmoid(self.excite(F.relu(self.squeeze(low.mean((2, 3))))))
        coarse = self.coarse(low * weight[:, :, None, None])
        fine = self.detail(torch.cat([larger(coarse, x), x], 1))
        return torch.sigmoid(self.head(fine))


class LRASPP(nn.Module):
    """Howard et al. 2019, Searching for MobileNetV3: hard swish, squeeze and excitation."""

    def __init__(self, w: int = 6) -> None:
        super().__init__()
        self.stem, self.deep = conv(3, w, 3, 2), conv(w, w, 5, 2, groups=w)
        self.squeeze, self.excite, self.high = conv(w, 2, 1), conv(2, w, 1), conv(w, 2 * w, 3, 2)
        self.scale, self.low, self.head = (
            conv(2 * w, w, 1),
            conv(w, CLASSES, 1),
            conv(w, CLASSES, 1),
        )
        self.mix = conv(2 * w, w, 1)

    def forward(self, x: Tensor) -> Tensor:
        stem = F.hardswish(self.stem(x))
        low = F.hardswish(self.deep(stem))
        weight = F.hardsigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(low, 1)))))
        low = low * weight
        high = F.hardswish(self.high(low))
        high = F.relu(self.mix(high)) * torch.sigmoid(self.scale(F.adaptive_avg_pool2d(high, 1)))
        return larger(larger(self.head(high), low) + self.low(low), x)


class GroupNormUNet(nn.Module):
    """Wu and He 2018, Group normalization, in a U-Net as many use it."""

    def __init__(self, w: int = 8) -> None:
        super().__init__()
        self.one, self.norm1 = conv(3, w), nn.GroupNorm(2, w)
        self.two, self.norm2 = conv(w, w), nn.GroupNorm(4, w)
        self.head = conv(2 * w, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = F.silu(self.norm1(self.one(x)))
        two = F.silu(self.norm2(self.two(F.avg_pool2d(one, 2))))
        y: Tensor = self.head(torch.cat([larger(two, one), one], 1))
        return y


class HRNet(nn.Module):
    """Sun et al. 2019, Deep high-resolution representation learning: levels side by side."""

    def __init__(self, w: int = 4) -> None:
        super().__init__()
        self.stem, self.fine, self.coarse = unit(3, w, 3, 2), unit(w, w), unit(w, 2 * w, 3, 2)
        self.cross_up, self.cross_down = conv(2 * w, w, 1), conv(w, 2 * w, 3, 2)
        self.last_fine, self.last_coarse = unit(w, w), unit(2 * w, 2 * w)
        self.head = conv(3 * w, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x)
        fine, coarse = self.fine(stem), self.coarse(stem)
        crossed = F.relu(coarse + self.cross_down(fine))
        fine = self.last_fine(F.relu(fine + larger(self.cross_up(coarse), fine)))
        coarse = larger(self.last_coarse(crossed), fine)
        return larger(self.head(torch.cat([fine, coarse], 1)), x)


class ENet(nn.Module):
    """Paszke et al. 2016, ENet: pooled and strided at once, asymmetric and dilated kernels."""

    def __init__(self, w: int = 8) -> None:
        super().__init__()
        self.first = conv(3, w - 3, 3, 2)
        self.tall, self.wide = (
            nn.Conv2d(w, w, (5, 1), padding=(2, 0)),
            nn.Conv2d(w, w, (1, 5), padding=(0, 2)),
        )
        self.dilated, self.act = conv(w, w, 3, dilation=4), nn.PReLU(w)
        self.up = nn.ConvTranspose2d(w, CLASSES, 3, 2, 1, output_padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(torch.cat([self.first(x), F.max_pool2d(x, 2)], 1))
        y = self.act(y + self.wide(self.tall(y)))
        y = self.act(y + self.dilated(y))
        scores: Tensor = self.up(y)
        return scores


class ShuffleSeg(nn.Module):
    """Gamal et al. 2018, ShuffleSeg: channels are shuffled between grouped convolutions."""

    def __init__(self, w: int = 8) -> None:
        super().__init__()
        self.stem, self.one = unit(3, w, 3, 2), unit(w, w, 1, groups=2)
        self.deep, self.head = unit(w, w, 3, groups=w), conv(w, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x)
        y = self.one(stem)
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        y = stem + self.deep(y)
        return F.interpolate(self.head(y), scale_factor=2.0, mode="bilinear")


class PanopticFPN(nn.Module):
    """Kirillov et al. 2019, Panoptic feature pyramid networks, the segmenter of it."""

    def __init__(self, w: int = 6) -> None:
        super().__init__()
        self.stem, self.two, self.three = unit(3, w, 3, 2), unit(w, w, 3, 2), unit(w, w, 3, 2)
        self.side1, self.side2 = conv(w, w, 1), conv(w, w, 1)
        self.smooth1, self.smooth2, self.smooth3 = unit(w, w), unit(w, w), unit(w, w)
        self.head = conv(w, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.stem(x)
        two = self.two(one)
        three = self.three(two)
        two = self.side2(two) + F.interpolate(three, scale_factor=2.0, mode="nearest")
        one = self.side1(one) + F.interpolate(two, scale_factor=2.0, mode="nearest")
        parts = self.smooth1(one)
        for smooth, level, scale in ((self.smooth2, two, 2.0), (self.smooth3, three, 4.0)):
            parts = parts + F.interpolate(smooth(level), scale_factor=scale, mode="bilinear")
        return F.interpolate(self.head(parts), scale_factor=2.0, mode="bilinear")


class ChannelNormUNet(nn.Module):
    """A U-Net with LayerNorm over channels and average pooling, as in Restormer's and NAFNet's
    segmenting relatives.
    """

    def __init__(self, w: int = 6) -> None:
        super().__init__()
        self.one, self.norm = conv(3, w), LayerNorm2d(w)
        self.two, self.head = conv(w, w), conv(2 * w, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = F.gelu(self.norm(self.one(x)), approximate="tanh")
        two = F.elu(self.two(F.avg_pool2d(one, 4)))
        up = F.interpolate(two, scale_factor=4.0, mode="nearest")
        scores: Tensor = self.head(torch.cat([one, up], 1))
        return scores
