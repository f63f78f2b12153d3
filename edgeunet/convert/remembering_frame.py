"""The parts of a network that remembers, behind a camera's frames; each becomes graphs of its own.

A frame goes through three parts: ``AlignModule`` brings the memory to where the frame's contents
lie now, ``FuseModule`` judges and fuses it, and ``RememberingModule`` is the network. All they hand
on is in bytes. Frames and memories have the size of the padded frame.

frame, previous, aligned, mean, fused: (1, H, W, 3) uint8 BGR.
count, counted: (1, 1, H / 2, W / 2) uint8, in steps of one eighth of a frame.
moved: (1, 1, H / 8, W / 8) uint8, whether a block has moved, 0 or 1.
shift: (1, 3, H / 8, W / 8) uint8 BGR, in steps of half a level; 128 is none.
noise: (1, 1, H / 8, W / 8) uint8, in steps of a quarter of a level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgeunet.convert.frame_module import FrameModule, planes
from edgeunet.models.alignment import BLOCK, fetch_between, motion
from edgeunet.models.network import Network
from edgeunet.models.recurrence import (
    COUNT_STEPS,
    Recalled,
    Recurrence,
    fetch_count,
    moves,
    next_count,
)
from edgeunet.models.trust import NOISE_STEPS, SHIFT_STEPS, shifted
from edgeunet.recipes import Recipe
from edgeunet.specs import (
    ALIGNED,
    COUNT,
    COUNT_NEXT,
    COUNTED,
    FRAME,
    FUSED,
    FUSED_NEXT,
    MEAN,
    MOVED,
    NOISE,
    PREVIOUS,
    SHIFT,
    FrameType,
    Task,
)

_NO_SHIFT = 128.0


class AlignModule(nn.Module):
    """Maps (frame, previous, count and, with ``fuse``, fused) to them where they lie now.

    That is (aligned, counted, moved and, with ``fuse``, mean).
    """

    def __init__(self, *, fuse: bool) -> None:
        super().__init__()
        self.inputs = (FRAME, PREVIOUS, COUNT, *((FUSED,) if fuse else ()))
        self.outputs = (ALIGNED, COUNTED, MOVED, *((MEAN,) if fuse else ()))

    def forward(
        self, frame: Tensor, previous: Tensor, count: Tensor, fused: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        before = _levels(previous)
        moved = motion(_levels(frame), before)
        counted = fetch_count(count.to(torch.float32), moved).to(torch.uint8)
        moving = moves(moved).to(torch.uint8)
        aligned = _bytes(fetch_between(before, moved).round())
        if fused is None:
            return aligned, counted, moving
        return aligned, counted, moving, _bytes(fetch_between(_levels(fused), moved).round())


class FuseModule(nn.Module):
    """Maps (frame, aligned, counted, moved and, with ``fuse``, mean) to what its trust says.

    That is (next count, shift, noise and, with ``fuse``, next fused).
    """

    def __init__(self, recurrence: Recurrence) -> None:
        super().__init__()
        self.recurrence: Recurrence = recurrence
        self.inputs = (FRAME, ALIGNED, COUNTED, MOVED, *((MEAN,) if recurrence.fuse else ()))
        self.outputs = (COUNT_NEXT, SHIFT, NOISE, *((FUSED_NEXT,) if recurrence.fuse else ()))

    def forward(
        self,
        frame: Tensor,
        aligned: Tensor,
        counted: Tensor,
        moved: Tensor,
        mean: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        image = planes(frame)
        known = counted.to(torch.float32) * (1.0 / COUNT_STEPS)
        fused = image if mean is None else planes(mean)
        moving = moved.to(torch.float32)
        trusted, recalled = self.recurrence.judged(image, planes(aligned), known, moving, fused)
        count = (next_count(recalled) * COUNT_STEPS).round().to(torch.uint8)
        shift = (trusted.shift * SHIFT_STEPS).round() + _NO_SHIFT
        noise = (trusted.noise * NOISE_STEPS).round()
        hints = count, shift.to(torch.uint8), noise.to(torch.uint8)
        if mean is None:
            return hints
        return *hints, _bytes((recalled.base * 255.0).clamp(0.0, 255.0).round())


class RememberingModule(nn.Module):
    """Maps (frame, aligned, counted, next count, shift, noise and, with ``fuse``, next fused) on.

    The answers are those of ``FrameModule``, in the order of the pathways.
    """

    frame_type = FrameType.UINT8

    def __init__(self, network: Network, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self.frames = FrameModule(network, recipe)
        self.tasks = {pathway.output: pathway.head for pathway in recipe.pathways}
        self.recurrence: Recurrence = _recurrence(network)
        fuse = self.recurrence.fuse
        hints = (COUNT_NEXT, SHIFT, NOISE)
        self.inputs = (FRAME, ALIGNED, COUNTED, *hints, *((FUSED_NEXT,) if fuse else ()))

    def forward(
        self,
        frame: Tensor,
        aligned: Tensor,
        counted: Tensor,
        count_next: Tensor,
        shift: Tensor,
        noise: Tensor,
        fused_next: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        recalled = self.recalled(frame, aligned, counted, count_next, shift, noise, fused_next)
        finished = {name: answer for name, _, answer in self.answers(frame, recalled)}
        return tuple(finished[name] for name in self.tasks)

    def recalled(
        self,
        frame: Tensor,
        aligned: Tensor,
        counted: Tensor,
        count_next: Tensor,
        shift: Tensor,
        noise: Tensor,
        fused_next: Tensor | None = None,
    ) -> Recalled:
        """Return the bytes as what the network's recurrence recalls."""
        image = planes(frame)
        base = image if fused_next is None else planes(fused_next)
        known = counted.to(torch.float32).clamp(0.0, 1.0)
        fresh = torch.nn.functional.interpolate(known, scale_factor=2.0, mode="nearest")
        brighter = (shift.to(torch.float32) - _NO_SHIFT) * (1.0 / SHIFT_STEPS)
        before = image + fresh * (shifted(planes(aligned), brighter) - image)
        count = count_next.to(torch.float32) * (1.0 / COUNT_STEPS) - 1.0
        deviation = noise.to(torch.float32) * (1.0 / NOISE_STEPS)
        return Recalled(base, image, before, known, count, deviation)

    def answers(self, frame: Tensor, recalled: Recalled) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yield (output name, float result, the answer made from it)."""
        for name, y in self.network.heads(planes(frame), recalled=recalled):
            if self.tasks[name] is not Task.DENOISE:
                yield name, y, self.frames.finish(self.tasks[name], y, frame)
                continue
            output = self.recurrence.blended(recalled.base + y, recalled)
            pixels = (output.permute(0, 2, 3, 1) * 255.0).to(torch.float32).clamp(0.0, 255.0)
            yield name, output, pixels.round().to(torch.uint8)


@dataclass(frozen=True)
class RememberingParts:
    """The three parts of one network, in the order that a frame goes through them."""

    align: AlignModule
    fuse: FuseModule
    network: RememberingModule

    @property
    def denoised(self) -> str:
        """The output that the next frame recalls."""
        return next(n for n, task in self.network.tasks.items() if task is Task.DENOISE)

    def run(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return all tensors that the parts make of a frame and a memory, by name."""
        known = dict(tensors)
        for part in (self.align, self.fuse):
            made = part(*(known[name] for name in part.inputs))
            known |= dict(zip(part.outputs, made, strict=True))
        recalled = self.network.recalled(*(known[name] for name in self.network.inputs))
        for name, floats, answer in self.network.answers(known[FRAME], recalled):
            known |= {name: answer, f"{name}{FLOATS}": floats}
        return known


FLOATS = " in floats"
"""Ends the name under which ``RememberingParts.run`` gives an answer's floats."""


def remembering_parts(network: Network, recipe: Recipe) -> RememberingParts:
    """Return the parts of a network with ``temporal``, which must be in BGR order already."""
    recurrence = _recurrence(network)
    return RememberingParts(
        AlignModule(fuse=recurrence.fuse).eval(),
        FuseModule(recurrence).eval(),
        RememberingModule(network, recipe).eval(),
    )


def shape_of(name: str, height: int, width: int) -> tuple[int, ...]:
    """Return the shape of a tensor between the parts, for a padded frame of (height, width)."""
    if name in (COUNT, COUNTED, COUNT_NEXT):
        return 1, 1, height // 2, width // 2
    if name in (MOVED, SHIFT, NOISE):
        return 1, 3 if name == SHIFT else 1, height // BLOCK, width // BLOCK
    return 1, height, width, 3


def _recurrence(network: Network) -> Recurrence:
    if network.recurrence is None:
        raise ValueError("a network without temporal remembers nothing")
    return network.recurrence


def _levels(frame: Tensor) -> Tensor:
    """Return (1, H, W, 3) bytes as (1, 3, H, W) float32, 0..255."""
    return frame.to(torch.float32).permute(0, 3, 1, 2)


def _bytes(values: Tensor) -> Tensor:
    """Return whole numbers (1, 3, H, W), 0..255, as (1, H, W, 3) bytes."""
    return values.permute(0, 2, 3, 1).to(torch.uint8)
