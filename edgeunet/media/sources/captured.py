"""Frames of one size from an OpenCV capture: what video files and cameras share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeunet.errors import SourceError
from edgeunet.media.frames import Frame
from edgeunet.specs import Image
from edgeunet.units import format_size

if TYPE_CHECKING:
    from edgeunet.media.opencv import Capture


class CapturedFrames:
    """Delivers the frames of a capture, which it owns.

    first: the first frame, which was read already.
    rate: frames per second, for captures that do not report theirs.
    """

    def __init__(self, name: str, capture: Capture, first: Image, rate: float) -> None:
        self.name = name
        self.height, self.width = first.shape[:2]
        self._rate_known = 0 < capture.frame_rate < 1000
        self.frame_rate = capture.frame_rate if self._rate_known else rate
        self._capture = capture
        self._first: Image | None = first
        self._delivered = 0
        self._ended = False

    def read(self) -> Frame | None:
        image = self._first if self._first is not None else self._capture.read()
        self._first = None
        if image is None:
            self._ended = True
            return None
        if image.shape[:2] != (self.height, self.width):
            raise self._changed(format_size(*image.shape[:2]))
        frame = Frame(self._delivered, self._time_s(), image)
        self._delivered += 1
        return frame

    def close(self) -> None:
        self._capture.close()

    def _time_s(self) -> float:
        """Return the time of the next frame, in seconds since the first one."""
        raise NotImplementedError

    def _changed(self, size: str) -> SourceError:
        """Return the error for a frame of another size. size: that size, as text."""
        raise NotImplementedError
