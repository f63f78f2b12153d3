"""What INT8 is measured on: the frames of a calibration set, with a memory where a network has one.

A network that remembers also reads what its first two parts make of its memory. So each frame of a
set becomes the last one of a short clip, whose frames before it go through the network in torch. A
network of others that reads several frames gets them as they are.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from edgeunet.calibration.set_frames import Frame, MemberFrames, clips, pairs
from edgeunet.calibration.sets import CalibrationSet
from edgeunet.contracts import ForeignNetwork
from edgeunet.convert.network_graph import Graphs, NetworkGraphs
from edgeunet.convert.remembering_frame import RememberingParts, shape_of
from edgeunet.noise_models import add_gaussian_uint8
from edgeunet.ort.frame_runner import Given
from edgeunet.specs import (
    COUNT,
    COUNT_NEXT,
    FRAME,
    FUSED,
    FUSED_NEXT,
    PREVIOUS,
    Array,
    earlier_frame,
)

_EARLIER = 3
# Rows and columns that one clip of three moves by, from frame to frame.
_MOTION = (1, 2)


class Recall(Protocol):
    """Makes the inputs of a network that remembers."""

    @property
    def earlier(self) -> int:
        """How many frames of a member's own clip it wants."""
        ...

    def part_of(self, height: int, width: int) -> tuple[int, int]:
        """Return (rows, columns), from the top left, of frames of (height, width) that are read."""
        ...

    def __call__(self, number: int, member: MemberFrames) -> dict[str, Array]:
        """Return what the network reads for a frame, by name.

        number: of the frame in its set. member: cut to the size of ``part_of``.
        """
        ...


class FramesBefore:
    """Gives a network of others the frames that it reads.

    A member that is a frame of a clip has the frames before it, and repeats the first one where the
    clip begins. Any other member is the last frame of a clip that is made of it, as for ``Memory``.
    """

    def __init__(self, earlier: int) -> None:
        """earlier: how many frames before the frame it reads."""
        self.earlier = earlier

    def part_of(self, height: int, width: int) -> tuple[int, int]:
        """See ``Recall``: all of a frame."""
        return height, width

    def __call__(self, number: int, member: MemberFrames) -> dict[str, Array]:
        """See ``Recall``."""
        clip = [*member.before, member.frame]
        if member.member.frame is None:
            clip = _clip_of(number, member, self.earlier)
        clip = [clip[0]] * (self.earlier + 1 - len(clip)) + clip
        return {earlier_frame(self.earlier - n): frame[None] for n, frame in enumerate(clip)}


def _clip_of(number: int, member: MemberFrames, earlier: int) -> list[Frame]:
    """Return a clip whose last frame a member is; of three, one stands still and one moves.

    The third has only that frame. Every frame has noise of its own.
    """
    count = 0 if number % 3 == 2 else earlier
    rows, columns = _MOTION if number % 3 == 1 else (0, 0)
    generator, sigma = np.random.default_rng(number), member.member.sigma
    clip = [member.frame]
    for age in range(1, count + 1):
        before = np.roll(member.clean, (-age * rows, -age * columns), (0, 1))
        clip.insert(0, add_gaussian_uint8(before, sigma, generator) if sigma else before)
    return clip


class Memory:
    """Makes the inputs of a network with a memory of single frames.

    Of three frames, the first follows a still clip, the second one that moves, and the third
    nothing: there the memory is empty.
    """

    def __init__(self, parts: RememberingParts, multiple: int, folder: Path) -> None:
        """Store the network.

        multiple: its frames have sides that are multiples of this, so that none is padded.
        folder: where what was made once is stored, because a set is read several times.
        """
        self._parts, self._multiple, self._folder = parts, multiple, folder
        self.earlier = 0

    def part_of(self, height: int, width: int) -> tuple[int, int]:
        """See ``Recall``: no frame is padded."""
        return height - height % self._multiple, width - width % self._multiple

    def __call__(self, number: int, member: MemberFrames) -> dict[str, Array]:
        """See ``Recall``."""
        path = self._folder / f"{number}.npz"
        if not path.is_file():
            np.savez(path, *self._made(_clip_of(number, member, _EARLIER)))
        with np.load(path) as stored:
            return dict(zip(self._parts.network.inputs, stored.values(), strict=True))

    def _made(self, clip: Sequence[Frame]) -> list[Array]:
        height, width = clip[0].shape[:2]
        kept = {
            name: torch.zeros(shape_of(name, height, width), dtype=torch.uint8)
            for name in (PREVIOUS, COUNT, FUSED)
        }
        made = kept
        with torch.inference_mode():
            for image in clip:
                given = torch.from_numpy(np.ascontiguousarray(image))[None]
                made = self._parts.run({FRAME: given, **kept})
                kept[PREVIOUS], kept[COUNT] = made[self._parts.denoised], made[COUNT_NEXT]
                kept[FUSED] = made.get(FUSED_NEXT, kept[FUSED])
        return [made[name].numpy() for name in self._parts.network.inputs]


@contextlib.contextmanager
def recalling(graphs: Graphs) -> Iterator[Recall | None]:
    """Yield what makes the inputs of a network that remembers; None for any other."""
    if isinstance(graphs.facts, ForeignNetwork) and graphs.facts.remembers:
        yield FramesBefore(graphs.facts.earlier)
        return
    if not isinstance(graphs, NetworkGraphs) or graphs.parts is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:
        yield Memory(graphs.parts, graphs.multiple, Path(folder))


def given_pairs(
    calibration: CalibrationSet, numbers: Collection[int], recall: Recall | None
) -> Iterator[tuple[Frame, Given]]:
    """Yield (frame without noise, what the network reads) of some members of a set.

    numbers: of the members. Raises the errors of ``calibration.set_frames.frames``.
    """
    if recall is None:
        yield from pairs(calibration, numbers)
        return
    rows, columns = recall.part_of(calibration.height, calibration.width)
    found = clips(calibration, numbers, recall.earlier)
    for number, member in zip(sorted(numbers), found, strict=True):
        clean, frame = (image[:rows, :columns] for image in (member.clean, member.frame))
        cut = replace(member, clean=clean, frame=frame)
        yield clean, recall(number, cut)
