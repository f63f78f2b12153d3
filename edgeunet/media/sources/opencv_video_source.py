"""Video files through OpenCV, for a device without PyAV. It says what it cannot know."""

from __future__ import annotations

from pathlib import Path

from edgeunet.errors import SourceError
from edgeunet.media import opencv
from edgeunet.media.clip_facts import ClipFacts
from edgeunet.media.frames import SourceReport
from edgeunet.media.pyav import OLDEST
from edgeunet.media.shown_part import cropping_notices
from edgeunet.media.sources.captured import CapturedFrames
from edgeunet.media.whole_files import cut_off
from edgeunet.names import shown

DEFAULT_FRAME_RATE = 25.0


class PlainVideoSource(CapturedFrames):
    """A video file. One that was cut off is delivered up to its end, and that is reported."""

    live = False
    endless = False
    clip: ClipFacts | None = None

    def __init__(self, name: str, path: Path) -> None:
        capture = opencv.Capture.file(path)
        first = capture.read() if capture is not None else None
        if capture is None or first is None:
            if capture is not None:
                capture.close()
            raise SourceError(
                f"{name!r} is not a video that can be read, or its end with the index is missing",
                hint="play it in a video player to check it; copy it again if it was cut off",
            )
        super().__init__(name, capture, first, DEFAULT_FRAME_RATE)
        self.paths = (path,)
        self._cropping = cropping_notices(name, path)
        self.frame_count = capture.frame_count if capture.frame_count > 0 else None

    def report(self) -> SourceReport:
        name = shown(self.name)
        warnings = [
            f"{name} is read without PyAV {OLDEST}: its frames are taken to come at equal "
            "intervals, and damage and changes of the frame size go unseen "
            f"(pip install 'av>={OLDEST}')",
            *self._cropping,
        ]
        if not self._rate_known:
            warnings.append(f"{name} has no frame rate; {DEFAULT_FRAME_RATE:g} is assumed")
        why = cut_off(self.paths[0]) if self._ended else ""
        return SourceReport(
            warnings=tuple(warnings),
            complete=not why,
            broken_off=f"{name} is cut off after {self._delivered} frames: {why}" if why else "",
            ended=self._ended,
        )

    def _time_s(self) -> float:
        return self._delivered / self.frame_rate

    def _changed(self, size: str) -> SourceError:
        return SourceError(
            f"{self.name!r} changes its frame size to {size} after {self._delivered} frames",
            hint="cut it into one file per frame size",
        )
