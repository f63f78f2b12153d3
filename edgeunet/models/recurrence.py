"""What a network keeps from frame to frame, and how the next frame uses it.

The previous output is aligned with the frame in blocks (``alignment.py``). A learned trust says
where it still fits. ``blend`` shows it to the network beside the frame, and blends it with the
output once more. ``fuse`` also keeps a fused frame: a recursive mean of the noisy frames with a
gain of its own at each place (a Kalman filter whose innovation is judged by a small network). The
network then denoises the fused frame in place of the frame itself.

A new network trusts nothing, so it is exactly the network of single frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeunet.models.alignment import BLOCK, fetch, motion
from edgeunet.models.blocks import conv3x3

MOST_COUNT = 31.0
"""The mean of the fused frame never counts for more frames than this."""

COUNT_STEPS = 8.0
"""The count is kept in 8 bits, in steps of one eighth of a frame."""

# In 8 bits, an output that is the previous one to a larger share would never change again.
_MOST_KEPT = 0.9

_HIDDEN = 12
# With plain ReLU, all hidden channels of a judge were dead after 200 steps.
_LEAK = 0.1
_TRUST_FEATURES = 8
_GATE_FEATURES = 6


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
    """

    base: Tensor
    frame: Tensor
    previous: Tensor
    known: Tensor
    count: Tensor

    def stacked(self, *, fuse: bool) -> Tensor:
        """Return what the network reads: (N, 6 or 9, H', W')."""
        parts = [self.base, self.previous]
        return torch.cat([*parts, self.frame] if fuse else parts, dim=1)


class Judge(nn.Sequential):
    """Three convolutions at half of the size, from features to one value of 0..1 per place.

    It begins with 0 everywhere.
    """

    def __init__(self, features: int) -> None:
        last = conv3x3(_HIDDEN, 1)
        nn.init.zeros_(last.weight)
        if last.bias is not None:
            nn.init.zeros_(last.bias)
        super().__init__(
            conv3x3(features, _HIDDEN),
            nn.LeakyReLU(_LEAK),
            conv3x3(_HIDDEN, _HIDDEN),
            nn.LeakyReLU(_LEAK),
            last,
        )

    def forward(self, features: Tensor) -> Tensor:
        y = features
        for layer in self:
            y = layer(y)
        if self.training:
            within: Tensor = _Within.apply(y)  # type: ignore[no-untyped-call]
            return within
        return y.clamp(0.0, 1.0)


class _Within(torch.autograd.Function):
    """Clips to 0..1, and lets gradients through that lead back into that range.

    Plain clipping has no gradient outside: a judge that trusts nothing would never learn to.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return values.clamp(0.0, 1.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        leads_out = ((values <= 0) & (gradient > 0)) | ((values >= 1) & (gradient < 0))
        return gradient.masked_fill(leads_out, 0.0)


class Recurrence(nn.Module):
    """Recalls a memory for a frame, and blends it with the network's output."""

    def __init__(self, *, fuse: bool) -> None:
        super().__init__()
        self.fuse = fuse
        self.trust = Judge(_TRUST_FEATURES)
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
        moved = motion(frame * 255.0, previous * 255.0)
        kept = [previous, fused] if self.fuse else [previous]
        fetched = fetch(torch.cat(kept, dim=1), moved)
        aligned, mean = (fetched[:, :3], fetched[:, 3:]) if self.fuse else (fetched, frame)
        return self.judged(frame, aligned, fetch_count(count, moved), mean)

    def judged(self, frame: Tensor, aligned: Tensor, counted: Tensor, mean: Tensor) -> Recalled:
        """Return what is recalled from an aligned memory, by how far it can be trusted.

        aligned, mean: the previous output and fused frame where they lie now.
        """
        known = counted.clamp(0.0, 1.0)
        fresh = _doubled(known)
        aligned = frame + fresh * (aligned - frame)
        mean = frame + fresh * (mean - frame)
        trust = self.trust(_trust_features(frame, aligned, mean, counted))
        trusted = trust * counted
        share = trusted / (1.0 + trusted)
        base = frame + _doubled(share) * (mean - frame) if self.fuse else frame
        return Recalled(base, frame, aligned, known, trusted)

    def blended(self, output: Tensor, recalled: Recalled) -> Tensor:
        """Blend the output, (N, 3, H', W'), with the aligned previous one."""
        gate = self.gate(_gate_features(output, recalled)) * recalled.known * _MOST_KEPT
        return output + _doubled(gate) * (recalled.previous - output)


def fetch_count(count: Tensor, moved: Tensor) -> Tensor:
    """Return the count where it lies now. Of an odd motion, half a pixel of it is left out."""
    return fetch(count, torch.floor(moved * 0.5), size=BLOCK // 2)


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


def _doubled(values: Tensor) -> Tensor:
    return functional.interpolate(values, scale_factor=2.0, mode="nearest")


def _halved(values: Tensor) -> Tensor:
    """Return the mean over the channels and over squares of 2x2 pixels."""
    return functional.avg_pool2d(values.mean(dim=1, keepdim=True), 2)


def _detail(image: Tensor) -> Tensor:
    """Return how much pixels differ from the mean of their square of 2x2, at half of the size."""
    return _halved((image - _doubled(functional.avg_pool2d(image, 2))).abs())


def _trust_features(frame: Tensor, aligned: Tensor, mean: Tensor, counted: Tensor) -> Tensor:
    """Return what the trust is judged by; grey levels are brought to about 0..1."""
    away, off = frame - aligned, frame - mean
    parts = [
        *(_halved(away), _halved(away.abs()), _halved(off), _halved(off.abs())),
        *(_detail(frame), _detail(aligned), _detail(mean)),
    ]
    return torch.cat([torch.cat(parts, dim=1) * 8.0, counted / MOST_COUNT], dim=1)


def _gate_features(output: Tensor, recalled: Recalled) -> Tensor:
    """Return what the gate is judged by."""
    away = output - recalled.previous
    parts = [
        *(_halved(away), _halved(away.abs()), _halved((output - recalled.base).abs())),
        *(_halved((output - recalled.frame).abs()), _halved(recalled.frame - recalled.previous)),
    ]
    share = recalled.count / (1.0 + recalled.count)
    return torch.cat([torch.cat(parts, dim=1) * 8.0, share], dim=1)
