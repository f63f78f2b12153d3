"""What INT8 is measured on: the frames of a calibration set, with a memory where a network has one.

A network that remembers also reads what its first two parts make of its memory. So each frame of a
set becomes the last one of a short clip, whose frames before it go through the network in torch.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import torch

from edgeunet.calibration.set_frames import Frame, pairs
from edgeunet.calibration.sets import CalibrationSet
from edgeunet.convert.network_graph import Graphs, NetworkGraphs
from edgeunet.convert.remembering_frame import RememberingParts, shape_of
from edgeunet.noise_models import add_gaussian_uint8
from edgeunet.ort.frame_runner import Given
from edgeunet.specs import COUNT, COUNT_NEXT, FRAME, FUSED, FUSED_NEXT, PREVIOUS, Array

_EARLIER = 3
# Rows and columns that one clip of three moves by, from frame to frame.
_MOTION = (1, 2)


class Recall:
    """Makes a network's inputs of single frames.

    Of three frames, the first follows a still clip, the second one that moves, and the third
    nothing: there the memory is empty.
    """

    def __init__(self, parts: RememberingParts, multiple: int, folder: Path) -> None:
        """Store the network.

        multiple: its frames have sides that are multiples of this, so that none is padded.
        folder: where what was made once is stored, because a set is read several times.
        """
        self._parts, self._multiple, self._folder = parts, multiple, folder

    def part_of(self, height: int, width: int) -> tuple[int, int]:
        """Return (rows, columns), from the top left, of frames of (height, width) that are read."""
        return height - height % self._multiple, width - width % self._multiple

    def __call__(self, number: int, sigma: float, clean: Frame, frame: Frame) -> dict[str, Array]:
        """Return what the network reads for a frame, by name.

        number: of the frame in its set. sigma: deviation of its noise in levels.
        clean, frame: (H, W, 3) uint8 BGR, without noise and with it, of the size of ``part_of``.
        """
        path = self._folder / f"{number}.npz"
        if not path.is_file():
            np.savez(path, *self._made(number, sigma, clean, frame))
        with np.load(path) as stored:
            return dict(zip(self._parts.network.inputs, stored.values(), strict=True))

    def _made(self, number: int, sigma: float, clean: Frame, frame: Frame) -> list[Array]:
        count = 0 if number % 3 == 2 else _EARLIER
        rows, columns = _MOTION if number % 3 == 1 else (0, 0)
        generator = np.random.default_rng(number)
        clip = [frame]
        for age in range(1, count + 1):
            before = np.roll(clean, (-age * rows, -age * columns), (0, 1))
            clip.insert(0, add_gaussian_uint8(before, sigma, generator) if sigma else before)
        height, width = frame.shape[:2]
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
    if not isinstance(graphs, NetworkGraphs) or graphs.parts is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:
        yield Recall(graphs.parts, graphs.multiple, Path(folder))


def given_pairs(
    calibration: CalibrationSet, numbers: Collection[int], recall: Recall | None
) -> Iterator[tuple[Frame, Given]]:
    """Yield (frame without noise, what the network reads) of some members of a set.

    numbers: of the members. Raises the errors of ``calibration.set_frames.frames``.
    """
    found = pairs(calibration, numbers)
    for number, (clean, frame) in zip(sorted(numbers), found, strict=True):
        if recall is None:
            yield clean, frame
        else:
            rows, columns = recall.part_of(*frame.shape[:2])
            clean, frame = (image[:rows, :columns] for image in (clean, frame))
            yield clean, recall(number, calibration.members[number].sigma, clean, frame)
