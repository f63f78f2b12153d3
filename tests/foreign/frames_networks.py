"""Networks that read several frames, a few channels wide."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class FastDVDnet(nn.Module):
    """Tassano et al. 2020, FastDVDnet: three frames at a time, then the three results.

    Five frames along the channels, oldest first, and a map of the noise; the middle frame's image.
    """

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.one, self.two = _Block(width), _Block(width)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        parts = [self.one(x[:, 3 * i : 3 * i + 9], noise) for i in range(3)]
        image: Tensor = self.two(torch.cat(parts, 1), noise)
        return image


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(12, width, 3, padding=1)
        self.down = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.up = nn.Conv2d(2 * width, 4 * width, 3, padding=1)
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        a, b, c = torch.split(x, 3, dim=1)
        first = F.relu(self.first(torch.cat([a, noise, b, noise, c, noise], 1)))
        up = F.pixel_shuffle(self.up(F.relu(self.down(first))), 2)
        image: Tensor = b - self.last(first + up)
        return image


class TwoFrames(nn.Module):
    """A frame and the one before, as inputs of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.before = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(3, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, now: Tensor, before: Tensor) -> Tensor:
        image: Tensor = now + self.last(F.relu(self.now(now) - self.before(before)))
        return image


class VideoOnAnAxis(nn.Module):
    """Three frames on an axis of their own, (1, 3, C, H, W), to an image of twice the size.

    As the recurrent networks of BasicSR have it (Chan et al., BasicVSR, 2021), forwards alone.
    """

    def __init__(self, c: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, c, 3, padding=1)
        self.next = nn.Conv2d(2 * c, c, 3, padding=1)
        self.last = nn.Conv2d(c, 12, 3, padding=1)

    def forward(self, clip: Tensor) -> Tensor:
        state = F.relu(self.first(clip[:, 0]))
        for number in (1, 2):
            read = torch.cat([F.relu(self.first(clip[:, number])), state], 1)
            state = F.relu(self.next(read))
        larger: Tensor = F.interpolate(clip[:, -1], scale_factor=2.0, mode="bilinear")
        return F.pixel_shuffle(self.last(state), 2) + larger


class WithLevel(nn.Module):
    """A picture and a strength of noise in one input of four channels, as DRUNet has it."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x[:, :3] - self.last(F.relu(self.first(x)))
        return y
