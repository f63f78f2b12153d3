"""Read the frames of clips, first to last, as RGB images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeunet.media.frames import Source
from edgeunet.media.sources import open_source
from edgeunet.photographs import Photograph


class ClipFrames:
    """The frames of a video file, in order."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def read(self) -> Photograph | None:
        """Return the next frame, (H, W, 3) uint8 RGB, or None at the end."""
        frame = self._source.read()
        return None if frame is None else np.ascontiguousarray(frame.image[:, :, ::-1])

    def said(self) -> tuple[str, ...]:
        """Return a line about everything that is not as usual so far: damage, an early end, fields.

        It is complete at the end of the file.
        """
        report = self._source.report()
        return (*report.warnings, *report.left_out())

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def open_clip(path: Path) -> ClipFrames:
    """Open a video file. Raises SourceError when it is not one that can be read."""
    return ClipFrames(open_source(f"file://{path}"))
