"""Data sets of real pairs: images or clips in ``noisy/`` and, with the same names, in ``clean/``.

All files are read before the first is evaluated, so that an error in the last one shows at once.
One
frame of a clip is in memory at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import SourceError
from edgeunet.evaluate.truth import PAIRS, Fit, Sample, SmallImageError, check_fit, cropped
from edgeunet.media.frames import Source
from edgeunet.names import natural_order
from edgeunet.pairs import (
    CLEAN,
    NOISY,
    Pair,
    check_partners,
    check_sizes,
    find_pairs,
    look_swapped,
    read_pair,
)
from edgeunet.photographs import Photograph
from edgeunet.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from edgeunet.units import format_size


@dataclass(frozen=True)
class _Member:
    """A pair that is evaluated.

    first: index of its first frame in the set, as in ``Sample``.
    frames: number of its frames.
    """

    pair: Pair
    first: int
    frames: int


class PairData:
    """A folder of pairs, as a ``DataSet``. ``count`` counts frames; an image is one frame."""

    kind = PAIRS

    def __init__(
        self,
        folder: Path,
        *,
        frame: tuple[int, int] | None,
        fit: Fit,
        limit: int | None = None,
        scale: int = 1,
    ) -> None:
        """Read every pair, up to ``limit`` frames.

        frame: (height, width) of the network's frame; None for any size.
        fit: what happens to images of another size.
        scale: how many times the noisy image's rows and columns the clean one has.
        Raises SourceError when a file has no partner or cannot be read, when two partners
        do not fit in size or number of frames, and when no pair can be evaluated.
        """
        self.name = str(folder)
        self.cropped = 0
        self.left_out: list[str] = []
        pairing = find_pairs(
            folder, IMAGE_SUFFIXES | set(VIDEO_SUFFIXES), notice=self.left_out.append
        )
        check_partners(pairing)
        self.swapped: list[str] = []
        self.warnings: list[str] = []
        self._frame = frame
        self._scale = scale
        self._members: list[_Member] = []
        delivered = index = 0
        for pair in sorted(pairing.pairs, key=lambda pair: natural_order(pair.name)):
            if delivered == limit:
                break
            member = self._survey(pair, index, fit, None if limit is None else limit - delivered)
            index += 1 if member is None else member.frames
            if member is not None:
                self._members.append(member)
                delivered += member.frames
        if not self._members:
            raise SourceError(
                f"no pair of {self.name!r} can be evaluated: {self.left_out[0]}",
                hint="give 8-bit images" + (f" of {format_size(*frame)}" if frame else ""),
            )
        self.count: int | None = delivered
        self.consecutive = all(_is_clip(member.pair) for member in self._members)

    def __iter__(self) -> Iterator[Sample]:
        for member in self._members:
            pair, clip = member.pair, _is_clip(member.pair)
            with contextlib.closing(_frames(pair, [], [], self._scale)) as frames:
                for number, (noisy, clean) in zip(range(member.frames), frames, strict=False):
                    yield Sample(
                        f"{pair.name} frame {number}" if clip else pair.name,
                        member.first + number,
                        self._planes(clean, self._scale),
                        sequence=pair.name if clip else str(pair.clean.parent),
                        noisy=self._planes(noisy),
                    )

    def _planes(self, image: Photograph, times: int = 1) -> NDArray[np.uint8]:
        return cropped(np.ascontiguousarray(image.transpose(2, 0, 1)), self._frame, times)

    def _survey(self, pair: Pair, first: int, fit: Fit, limit: int | None) -> _Member | None:
        """Read a pair up to ``limit`` frames; return None when it is left out."""
        count = 0
        told = self.left_out, self.warnings
        with contextlib.closing(_frames(pair, *told, self._scale)) as frames:
            for noisy, clean in frames:
                if not count:
                    size = (noisy.shape[0], noisy.shape[1])
                    if not self._fits(pair, size, fit):
                        return None
                    if self._scale == 1 and look_swapped(noisy, clean):
                        self.swapped.append(pair.name)
                count += 1
                if count == limit:
                    break
        if self._frame not in (None, size):
            self.cropped += count
        return _Member(pair, first, count)

    def _fits(self, pair: Pair, size: tuple[int, int], fit: Fit) -> bool:
        try:
            takes_part = check_fit(pair.name, size, self._frame, fit)
        except SmallImageError as error:
            self.left_out.append(error.message)
            return False
        if not takes_part:
            wanted = format_size(*(self._frame or size))
            self.left_out.append(f"{pair.name} is {format_size(*size)}, not {wanted}")
        return takes_part


def _is_clip(pair: Pair) -> bool:
    return pair.clean.suffix.lower() in VIDEO_SUFFIXES


def _frames(
    pair: Pair, broken_off: list[str], warnings: list[str], scale: int
) -> Generator[tuple[Photograph, Photograph], None, None]:
    """Yield (noisy, clean) of a pair, each (H, W, 3) uint8 RGB, at least once.

    broken_off: gets a line for each clip that ends before its container says.
    warnings: gets the other lines about clips.
    Raises SourceError as ``read_pair`` does, and when one clip ends before the other.
    """
    if not _is_clip(pair):
        yield read_pair(pair, scale)
        return
    with contextlib.ExitStack() as stack:
        clips = []
        for path in (pair.noisy, pair.clean):
            clips.append(_open_clip(path))
            stack.callback(clips[-1].close)
        noisy_size, clean_size = ((clip.height, clip.width) for clip in clips)
        check_sizes(pair, noisy_size, clean_size, scale)
        done = 0
        while True:
            noisy, clean = (clip.read() for clip in clips)
            if noisy is None and clean is None:
                broken_off += [line for clip in clips for line in clip.report().left_out()]
                warnings += [line for clip in clips for line in clip.report().warnings]
                return
            damaged = [clip for clip in clips if clip.report().damaged]
            if damaged:
                raise SourceError(
                    f"{damaged[0].name} is damaged: {damaged[0].report().damage()}",
                    hint="the frames of a pair belong together one to one: get the file anew",
                )
            if noisy is None or clean is None:
                shorter, longer = (NOISY, CLEAN) if noisy is None else (CLEAN, NOISY)
                raise SourceError(
                    f"{shorter}/{pair.name} ends after {done} frame{'s'[: done != 1]}, "
                    f"{longer}/{pair.name} does not",
                    hint="the frames of a pair belong together one to one: cut them alike",
                )
            done += 1
            yield noisy.image[:, :, ::-1], clean.image[:, :, ::-1]


def _open_clip(path: Path) -> Source:
    from edgeunet.media.sources.media_files import open_path

    return open_path(str(path), None)
