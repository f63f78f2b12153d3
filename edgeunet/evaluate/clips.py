"""Evaluates videos, globs and the test pattern frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from edgeunet.errors import SourceError
from edgeunet.evaluate.truth import Fit, Sample, check_fit, cropped
from edgeunet.media.sources import open_source
from edgeunet.units import format_size

CLIP = "clip"


class ClipData:
    """The frames of a source, as a ``DataSet``. Opening it reads the first frame.

    text: the source, as ``open_source`` reads it.
    frame: (height, width) of the network's frame; None for any size.
    fit: what happens to frames of another size.
    limit: the most frames to evaluate; None takes all.
    Raises SourceError when the source is live, has no end, or has frames of another size.
    """

    def __init__(
        self, text: str, *, frame: tuple[int, int] | None, fit: Fit, limit: int | None = None
    ) -> None:
        self._source = open_source(text, frame)
        self.name = self._source.name
        self.cropped = 0
        self.left_out: list[str] = []
        self.swapped: list[str] = []
        self.warnings: list[str] = []
        self.kind = CLIP
        # The files of a glob may be unrelated images.
        self.consecutive = len(self._source.paths) < 2
        self._limit = limit
        self._frame = frame
        try:
            self.count: int | None = self._check(fit)
        except BaseException:
            self._source.close()
            raise

    def __iter__(self) -> Iterator[Sample]:
        delivered = 0
        try:
            while delivered != self._limit:
                frame = self._source.read()
                if frame is None:
                    break
                planes = np.ascontiguousarray(frame.image[:, :, ::-1].transpose(2, 0, 1))
                clean = cropped(planes, self._frame)
                self.cropped += clean.shape != planes.shape
                delivered += 1
                yield Sample(frame.name or f"frame {frame.index}", frame.index, clean)
            report = self._source.report()
        finally:
            self._source.close()
        said = report if delivered != self._limit else replace(report, broken_off="")
        self.left_out += said.left_out()
        self.warnings += said.warnings

    def _check(self, fit: Fit) -> int | None:
        source = self._source
        if source.live:
            raise SourceError(
                f"{source.name!r} is live: there are no clean frames to compare with",
                hint="record it first, and give the file",
            )
        if source.endless and self._limit is None:
            raise SourceError(
                f"{source.name!r} has no end", hint="set a number of frames, like --limit 100"
            )
        size = format_size(source.height, source.width)
        try:
            takes_part = check_fit(source.name, (source.height, source.width), self._frame, fit)
        except SourceError as error:
            hint = f"make a bundle of its size: edgeunet export --size {size}"
            raise SourceError(error.message, hint=hint) from error
        if not takes_part:
            raise SourceError(
                f"every frame of {source.name!r} is {size}, which --fit skip leaves out",
                hint="leave --fit skip out: the centre of larger frames is evaluated",
            )
        counts = [c for c in (source.frame_count, self._limit) if c is not None]
        return min(counts) if counts else None
