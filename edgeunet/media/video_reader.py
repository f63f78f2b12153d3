"""Decodes a video file through PyAV: every frame, upright, with its time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from edgeunet.errors import SourceError
from edgeunet.media import pyav
from edgeunet.media.clip_facts import ClipFacts, ColourTags
from edgeunet.media.clock import ForwardClock
from edgeunet.media.frame_colours import FrameColours
from edgeunet.media.turning import Turn, turn_of
from edgeunet.specs import Image

# The clock of these containers begins anywhere, often hours after zero.
_FREE_CLOCKS = {"mpegts", "mpeg"}
_FREE_CLOCK_S = 10

_ATTEMPTS = 16
_MICROSECONDS = 1_000_000

_FULL_RANGE = 2

_ATTACHED_PICTURE = 0x400  # of FFmpeg's dispositions


@dataclass(frozen=True)
class TimedImage:
    """A decoded frame.

    image: (H, W, 3) uint8 BGR, upright.
    time: in units of the time base, on the file's clock.
    duration: in the same units; 0 when it is not known.
    """

    image: Image
    time: int
    duration: int


class VideoReader:
    """An open video file.

    damaged: packets that could not be decoded, the first of them at ``damaged_s``.
    trailing: those of them that no frame came after.
    concealed: frames that are damaged and were filled in by the decoder.
    leading: packets before the first frame that could be decoded.
    videos: how many streams of moving pictures the file holds. One is read.
    interlaced: whether a frame was made of two fields.
    stopped: why reading ended before the file did; empty when it did not.
    clock: the times of the frames.
    """

    def __init__(self, path: Path) -> None:
        """Open a file. Raises SourceError when it is no video, or is one without a picture."""
        self._path = path
        self._colours = FrameColours(str(path))
        self._failures = pyav.failures()
        try:
            self._container = pyav.open_to_read(path)
        except self._failures as error:
            raise _unreadable(path, error) from error
        try:
            self._stream, self.videos = _choose(self._container, path)
            # Frames of later packets are decoded meanwhile, by as many threads as there are cores.
            self._stream.thread_type = "AUTO"
        except BaseException:
            self._container.close()
            raise
        self.time_base: Fraction = self._stream.time_base or Fraction(1, 90_000)
        self.clock = ForwardClock(self.time_base)
        self.damaged = 0
        self.damaged_s: float | None = None
        self.trailing = 0
        self.concealed = 0
        self.leading = 0
        self.interlaced = False
        self.stopped = ""
        self.turn = Turn()
        self._rotation: int | None = None
        self.colours = ColourTags()
        self._shift = self._free_start()
        self._delivered = 0
        self._frames = self._decoded()

    @property
    def average_rate(self) -> float:
        """Frames per second; 0 when the file does not say."""
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(rate) if rate else 0.0

    @property
    def announced(self) -> int | None:
        """The number of frames that the container announces or its duration gives: an estimate."""
        if self._stream.frames > 0:
            return int(self._stream.frames)
        seconds = 0.0
        if self._stream.duration:
            seconds = float(self._stream.duration * self.time_base)
        elif self._container.duration:
            seconds = self._container.duration / _MICROSECONDS
            seconds -= max(0.0, self._container.start_time or 0) / _MICROSECONDS
        count = round(seconds * self.average_rate)
        return count if count > 0 else None

    def read(self) -> TimedImage | None:
        """Return the next frame, or None at the end."""
        frame = next(self._frames, None)
        if frame is None:
            return None
        self._delivered += 1
        self.trailing = 0
        duration = frame.duration or 0
        shown = frame.pts if frame.pts is not None else frame.dts
        time = self.clock.time(None if shown is None else shown - self._shift, duration)
        self.concealed += bool(frame.is_corrupt)
        self.interlaced |= bool(frame.interlaced_frame)
        if frame.rotation != self._rotation:
            # Side data and their frame refer to each other, so PyAV frees such a frame late.
            self._rotation, self.turn = frame.rotation, turn_of(frame)
        image = self._colours.bgr(frame)
        if self._delivered == 1:
            self.colours = self._tags(frame)
        return TimedImage(self.turn.applied(image), time, duration)

    def facts(self, path: Path, first: TimedImage) -> ClipFacts:
        """Return what the file says of its frames. first: its first frame."""
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        rate = self._stream.guessed_rate
        return ClipFacts(
            path=path,
            time_base=self.time_base,
            start_s=first.time * self.time_base,
            shift_s=self._shift * self.time_base,
            rate=rate if rate else None,
            pixel_aspect=1 / aspect if self.turn.swaps else aspect,
            colours=self.colours,
            metadata=dict(self._container.metadata),
        )

    def close(self) -> None:
        """Close the file."""
        self._frames = iter(())
        self._container.close()

    def _free_start(self) -> int:
        start = self._container.start_time
        if self._container.format.name not in _FREE_CLOCKS or start is None:
            return 0
        seconds = Fraction(start, _MICROSECONDS)
        return int(seconds / self.time_base) if seconds > _FREE_CLOCK_S else 0

    def _decoded(self) -> Iterator[Any]:
        """Yield the frames of all packets; damaged packets are counted and left out."""
        for packet in self._packets():
            try:
                frames = packet.decode()
            except EOFError:
                return
            except self._failures:
                self._count_damage(packet)
                continue
            yield from frames

    def _packets(self) -> Iterator[Any]:
        failed = 0
        while True:
            try:
                for packet in self._container.demux(self._stream):
                    failed = 0
                    yield packet
            except self._failures as error:
                failed += 1
                self._count_damage(None)
                if failed >= _ATTEMPTS:
                    self.stopped = str(getattr(error, "strerror", "") or error)
                    return
                continue
            return

    def _count_damage(self, packet: Any) -> None:
        if not self._delivered:
            self.leading += 1
            return
        self.damaged += 1
        self.trailing += 1
        time = None if packet is None else packet.pts
        if self.damaged_s is None and time is not None:
            self.damaged_s = float((time - self._shift) * self.time_base)

    def _tags(self, frame: Any) -> ColourTags:
        context = self._stream.codec_context
        full = {1: False, _FULL_RANGE: True}.get(int(frame.color_range))
        return ColourTags(
            matrix=0 if frame.format.is_rgb else int(frame.colorspace),
            primaries=int(context.color_primaries),
            transfer=int(context.color_trc),
            full_range=full,
        )


def _choose(container: Any, path: Path) -> tuple[Any, int]:
    """Return the stream of moving pictures, and how many there are. A cover is none."""
    videos = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not videos:
        what = "sound only" if container.streams.audio else "no moving picture"
        raise SourceError(f"{str(path)!r} holds {what}", hint="name a file with a video in it")
    best = container.streams.best("video")
    chosen = best if best in videos else videos[0]
    if chosen.codec_context is None:
        raise SourceError(
            f"{str(path)!r} is coded in a way that this PyAV cannot decode",
            hint="convert it first: ffmpeg -i IN -c:v libx264 OUT.mp4",
        )
    return chosen, len(videos)


def _is_cover(stream: Any) -> bool:
    # PyAV 17 has another type of flags than 18.
    disposition = stream.disposition
    return bool(int(getattr(disposition, "value", disposition)) & _ATTACHED_PICTURE)


def _unreadable(path: Path, error: Exception) -> SourceError:
    return SourceError(
        f"{str(path)!r} is not a video that can be read, or its end with the index is missing",
        hint="play it in a video player to check it; copy it again if it was cut off",
    )
