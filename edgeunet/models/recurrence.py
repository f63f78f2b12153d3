"""What a network keeps from frame to frame, and how the next frame uses it.

The previous output is aligned with the frame in blocks (``alignment.py``). ``trust.py`` says where
it still fits. ``blend`` shows it to the network beside the frame, and blends it with the output
once more. ``fuse`` also keeps a fused frame: a recursive mean of the noisy frames with a gain of
its own at each place (a Kalman filter). The network then denoises the fused frame in place of the
frame itself.

A new network trusts nothing, so it is exactly the network of single frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeunet.models.alignment import BLOCK, fetch, fetch_between, motion
from edgeunet.models.judge import Judge
from edgeunet.models.trust import MOST_COUNT, Trust, Trusted, local_mean, shifted

COUNT_STEPS = 8.0
"""The count is kept in 8 bits, in steps of one eighth of a frame."""

# In 8 bits, an output that is the previous one to a larger share would never change again.
_MOST_KEPT = 0.9

# A block that has moved by whole pixels is hardly worth a frame, because details between pixels are
# lost. Where much around a block has moved, it has moved by less than a pixel.
_MOVED_COUNT = 1.0
_MOVED_AREA, _MOVED_SHARE, _MOVED_DOUBT = 5, 0.15, 3.0

_GATE_FEATURES = 8


@dataclass(frozen=True)
class Memory:
    """What is kept from one frame to the next; all of it is rounded to 8 bits.

    previous: (N, 3, H, W) float32, 0..1, the output. H and W are those of the frame.
    count: (N, 1, H' / 2, W' / 2) float32, 0..MOST_COUNT, of the padded frame: how many frames the
        fused frame is worth. 0 is no memory, so a memory of zeros is that of a first frame.
    fused: (N, 3, H', W') float32, 0..1, of the padded frame; None without ``fuse``.
    """

    previous: Tensor
    count: Tensor
    fused: Tensor | None


@dataclass(frozen=True)
class Recalled:
    """The frame and what was recalled for it; everything has the size of the padded frame.

    base: (N, 3, H', W'), what the network denoises: the fused frame, or the frame itself.
    frame: (N, 3, H', W'), the frame.
    previous: (N, 3, H', W'), the previous output where it lies now; the frame where there is none.
    known: (N, 1, H' / 2, W' / 2), 0..1: whether there is a memory.
    count: (N, 1, H' / 2, W' / 2): how many frames before this one are trusted.
    noise: (N, 1, H' / 8, W' / 8): the deviation of the noise, 0..0.25.
    """

    base: Tensor
    frame: Tensor
    previous: Tensor
    known: Tensor
    count: Tensor
    noise: Tensor

    def stacked(self, *, fuse: bool) -> Tensor:
        """Return what the network reads: (N, 6 or 9, H', W')."""
        parts = [self.base, self.previous]
        return torch.cat([*parts, self.frame] if fuse else parts, dim=1)


class Recurrence(nn.Module):
    """Recalls a memory for a frame, and blends it with the network's output."""

    def __init__(self, *, fuse: bool) -> None:
        super().__init__()
        self.fuse = fuse
        self.trust = Trust()
        self.gate = Judge(_GATE_FEATURES)

    @property
    def extra_channels(self) -> int:
        """Channels that the network reads beside its image."""
        return 6 if self.fuse else 3

    def recall(self, frame: Tensor, previous: Tensor, count: Tensor, fused: Tensor) -> Recalled:
        """Bring a memory to where the frame's contents lie now.

        frame, previous, fused: (N, 3, H', W'), 0..1, padded. Without ``fuse``, give the frame as
        ``fused``. count: see ``Memory``.
        """
        moved = motion(frame.detach() * 255.0, previous.detach() * 255.0)
        kept = [previous, fused] if self.fuse else [previous]
        # Between pixels a memory is rounded again, because it is handed on in bytes.
        fetched = _rounded(fetch_between(torch.cat(kept, dim=1), moved), 255.0)
        aligned, mean = (fetched[:, :3], fetched[:, 3:]) if self.fuse else (fetched, frame)
        return self.judged(frame, aligned, fetch_count(count, moved), moves(moved), mean)[1]

    def judged(
        self, frame: Tensor, aligned: Tensor, counted: Tensor, moving: Tensor, mean: Tensor
    ) -> tuple[Trusted, Recalled]:
        """Return how far an aligned memory can be trusted, and what is recalled from it.

        aligned, counted, mean: the memory where it lies now. moving: see ``moves``.
        """
        told, lowered = _lowered(counted, moving)
        trusted = self.trust(frame, aligned, mean if self.fuse else None, told, lowered)
        known = (counted * COUNT_STEPS).clamp(0.0, 1.0)
        fresh = _enlarged(known, 2)
        aligned = frame + fresh * (shifted(aligned, trusted.shift) - frame)
        if not self.fuse:
            recalled = Recalled(frame, frame, aligned, known, trusted.count, trusted.noise)
            return trusted, recalled
        mean = frame + fresh * (shifted(mean, trusted.shift) - frame)
        share = trusted.count / (1.0 + trusted.count)
        base = frame + _enlarged(share, 2) * (mean - frame)
        return trusted, Recalled(base, frame, aligned, known, trusted.count, trusted.noise)

    def blended(self, output: Tensor, recalled: Recalled) -> Tensor:
        """Blend the output, (N, 3, H', W'), with the aligned previous one."""
        gate = self.gate(_gate_features(output, recalled)) * recalled.known * _MOST_KEPT
        return output + _enlarged(gate, 2) * (recalled.previous - output)


def fetch_count(count: Tensor, moved: Tensor) -> Tensor:
    """Return the count where it lies now; parts of its pixels are left out."""
    return fetch(count, torch.floor(moved * 0.5), size=BLOCK // 2)


def moves(moved: Tensor) -> Tensor:
    """Return whether each block has moved, 0 or 1: (N, 1, H / 8, W / 8)."""
    return (moved.abs().amax(dim=1, keepdim=True) * 2.0).clamp(max=1.0)


def _lowered(count: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
    """Return what an aligned count says of the noise, and for how much it counts.

    moving: see ``moves``.
    """
    limit = MOST_COUNT + moving * (_MOVED_COUNT - MOST_COUNT)
    told = torch.minimum(count, _enlarged(limit, BLOCK // 2))
    doubt = (local_mean(moving, _MOVED_AREA) - _MOVED_SHARE).clamp(min=0.0) * _MOVED_DOUBT
    return told, told / (1.0 + told * _enlarged(doubt, BLOCK // 2))


def next_count(recalled: Recalled) -> Tensor:
    """Return the count that the next frame recalls, before it is rounded."""
    return (recalled.count + 1.0).clamp(max=MOST_COUNT)


def remembered(output: Tensor, recalled: Recalled, *, fuse: bool) -> Memory:
    """Return the memory for the next frame, rounded to what is kept in 8 bits.

    output: (N, 3, H, W), blended. Gradients pass through the rounding (straight-through).
    """
    return Memory(
        _rounded(output.clamp(0.0, 1.0), 255.0),
        _rounded(next_count(recalled), COUNT_STEPS),
        _rounded(recalled.base.clamp(0.0, 1.0), 255.0) if fuse else None,
    )


def no_memory(image: Tensor, multiple: int, *, fuse: bool) -> Memory:
    """Return the memory before the first frame: zeros. image: (N, 3, H, W)."""
    count, _, height, width = image.shape
    padded = tuple(-(-side // multiple) * multiple // 2 for side in (height, width))
    fused = image.new_zeros(count, 3, 2 * padded[0], 2 * padded[1]) if fuse else None
    return Memory(torch.zeros_like(image), image.new_zeros(count, 1, *padded), fused)


def _rounded(values: Tensor, steps: float) -> Tensor:
    return values + (torch.round(values * steps) / steps - values).detach()


def _enlarged(values: Tensor, factor: int) -> Tensor:
    return functional.interpolate(values, scale_factor=float(factor), mode="nearest")


def _halved(values: Tensor) -> Tensor:
    """Return the mean over the channels and over squares of 2x2 pixels."""
    return functional.avg_pool2d(values.mean(dim=1, keepdim=True), 2)


def _gate_features(output: Tensor, recalled: Recalled) -> Tensor:
    """Return what the gate is judged by: -1..1, in proportion to the noise."""
    noise = _enlarged(recalled.noise, 4) * 0.25 + 1.0 / 255.0
    away, seen = output - recalled.previous, recalled.frame - recalled.previous
    sizes = [_halved(away), _halved(away.abs()), _halved(seen), local_mean(_halved(seen), 5)]
    sizes += [_halved((output - recalled.base).abs()), _halved((output - recalled.frame).abs())]
    parts = [size / (size.abs() + noise) for size in sizes]
    share = recalled.count / (1.0 + recalled.count)
    return torch.cat([*parts, share, noise / (noise + 4.0 / 255.0)], dim=1)
