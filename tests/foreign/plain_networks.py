"""The plainest networks of three families, a few channels wide."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class DnCNN(nn.Module):
    """Zhang et al. 2017, Beyond a Gaussian denoiser: the noise is what is computed."""

    def __init__(self, channels: int = 3, width: int = 8, depth: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        noise: Tensor = self.layers(x)
        return x - noise


class UNet(nn.Module):
    """Ronneberger et al. 2015, U-Net, padded; one level by a transposed convolution, one by linear
    interpolation to the size of the skip.
    """

    def __init__(self, width: int = 6, classes: int = 5) -> None:
        super().__init__()
        self.first, self.second = _double(3, width), _double(width, 2 * width)
        self.middle = _double(2 * width, 4 * width)
        self.up = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2)
        self.above, self.last = _double(4 * width, 2 * width), _double(3 * width, width)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        second = self.second(F.max_pool2d(first, 2))
        middle = self.middle(F.max_pool2d(second, 2))
        above = self.above(torch.cat([self.up(middle), second], 1))
        above = F.interpolate(above, size=first.shape[2:], mode="bilinear", align_corners=False)
        scores: Tensor = self.head(self.last(torch.cat([above, first], 1)))
        return scores


def _double(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
        nn.Conv2d(outside, outside, 3, padding=1),
        nn.ReLU(),
    )


class ESPCN(nn.Module):
    """Shi et al. 2016, Real-time single image super-resolution: pixels are shuffled at the end."""

    def __init__(self, factor: int = 3, channels: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 12, 5, padding=2),
            nn.Tanh(),
            nn.Conv2d(12, 8, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(8, channels * factor**2, 3, padding=1),
            nn.PixelShuffle(factor),
        )

    def forward(self, x: Tensor) -> Tensor:
        large: Tensor = self.layers(x)
        return large
