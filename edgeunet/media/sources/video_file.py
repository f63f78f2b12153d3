"""Video files through PyAV: every frame, with its time. OpenCV reads them where PyAV is missing."""

from __future__ import annotations

from pathlib import Path

from edgeunet.errors import SourceError
from edgeunet.media.clip_facts import ClipFacts
from edgeunet.media.frames import Frame, SourceReport
from edgeunet.media.shown_part import cropping_notices
from edgeunet.media.video_reader import TimedImage, VideoReader
from edgeunet.media.whole_files import cut_off
from edgeunet.names import shown
from edgeunet.units import format_size

DEFAULT_FRAME_RATE = 25.0

_FASTEST = 1000
# Codes of ITU-T H.273 for curves of high dynamic range.
_HDR = {16: "PQ", 18: "HLG"}


class VideoSource:
    """A video file. Frames that are damaged are left out and counted; the rest are delivered.

    A file that was cut off is delivered up to its end, and that is reported.
    """

    live = False
    endless = False

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.paths: tuple[Path, ...] = (path,)
        self._path = path
        self._reader = VideoReader(path)
        try:
            first = self._reader.read()
            if first is None:
                raise SourceError(
                    f"{name!r} holds no frame that can be decoded",
                    hint="play it in a video player to check it; copy it again if it was cut off",
                )
        except BaseException:
            self._reader.close()
            raise
        self._first: TimedImage | None = first
        self._start = first.time
        self.height, self.width = first.image.shape[:2]
        self._cropping = cropping_notices(name, path)
        self.clip: ClipFacts | None = self._reader.facts(path, first)
        rate = self._reader.average_rate
        self._rate_known = 0 < rate < _FASTEST
        self.frame_rate = rate if self._rate_known else DEFAULT_FRAME_RATE
        self.frame_count = self._reader.announced
        self._delivered = 0
        self._ended = False
        self._cut_off = ""

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end.

        Raises SourceError when the file changes its frame size.
        """
        timed, self._first = self._first or self._reader.read(), None
        if timed is None:
            self._end()
            return None
        if timed.image.shape[:2] != (self.height, self.width):
            raise SourceError(
                f"{self.name!r} changes its frame size to {format_size(*timed.image.shape[:2])} "
                f"after {self._delivered} frames",
                hint="cut it into one file per frame size",
            )
        base = self._reader.time_base
        frame = Frame(
            self._delivered,
            float((timed.time - self._start) * base),
            timed.image,
            duration_s=float(timed.duration * base) if timed.duration > 0 else None,
        )
        self._delivered += 1
        return frame

    def report(self) -> SourceReport:
        reader = self._reader
        # What a cut leaves of the last packet is no damage of its own.
        damaged = reader.damaged - (reader.trailing if self._cut_off else 0)
        return SourceReport(
            warnings=tuple(self._warnings()),
            complete=not (self._cut_off or damaged),
            broken_off=self._cut_off,
            damaged=damaged,
            damaged_s=reader.damaged_s if damaged else None,
            ended=self._ended,
        )

    def close(self) -> None:
        self._reader.close()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        why = self._reader.stopped
        if why:
            why = f"reading fails with {why!r}"
        else:
            try:
                why = cut_off(self._path)
            except OSError as error:
                why = f"it cannot be read any more: {error.strerror}"
        if why:
            name = shown(self.name)
            self._cut_off = f"{name} is cut off after {self._delivered} frames: {why}"

    def _warnings(self) -> list[str]:
        reader, name = self._reader, shown(self.name)
        said = []
        if not self._rate_known:
            said.append(f"{name} has no frame rate; {DEFAULT_FRAME_RATE:g} is assumed")
        if reader.videos > 1:
            said.append(
                f"{name} holds {reader.videos} videos, and one is worked on, of "
                f"{format_size(self.height, self.width)}"
            )
        if reader.leading:
            said.append(
                f"the first {reader.leading} packets of {name} cannot be decoded and are left out"
            )
        if reader.concealed:
            said.append(f"{reader.concealed} frames of {name} are damaged in parts and worked on")
        if reader.clock.jumps:
            said.append(
                f"the times of {name} go back {reader.clock.jumps} times, as where recordings were "
                "joined; from there they are counted on"
            )
        if reader.turn.oblique:
            said.append(f"{name} asks for an angle that is no quarter turn; it is not turned")
        if reader.interlaced:
            said.append(f"{name} is interlaced: each of its frames holds two moments")
        aspect = self.clip.pixel_aspect if self.clip is not None else 1
        if aspect != 1:
            said.append(
                f"the pixels of {name} are {float(aspect):.3g} times as wide as high; frames are "
                "worked on as they are stored"
            )
        said.extend(self._cropping)
        curve = _HDR.get(reader.colours.transfer)
        if curve:
            said.append(
                f"{name} has high dynamic range ({curve}): its frames look flat in 8 bits, and the "
                "networks have not seen such"
            )
        return said
