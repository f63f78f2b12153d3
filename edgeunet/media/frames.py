"""Frames, and the protocols of the sources and sinks that they flow between."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeunet.media.clip_facts import ClipFacts
from edgeunet.specs import Image


@dataclass(frozen=True)
class Frame:
    """One frame of a source.

    index: 0, 1, ... in the source's order. A live source counts dropped frames too.
    timestamp_s: seconds since the source's first frame.
    image: (H, W, 3) uint8 BGR; it belongs to the receiver.
    name: file stem to write it under, when the source is a set of image files.
    arrived_s: when a live frame arrived in this process, by ``time.monotonic``; None for files.
    duration_s: how long it is shown, in seconds; None where the source does not say.
    reconnections: how often a live source was lost and came back before this frame.
    """

    index: int
    timestamp_s: float
    image: Image
    name: str | None = None
    arrived_s: float | None = None
    duration_s: float | None = None
    reconnections: int = 0


@dataclass(frozen=True)
class SourceReport:
    """What happened to the frames of a source.

    skipped: one line per frame that was left out, with its name and the reason.
    dropped: frames of a live source that came while an earlier one was processed.
    early: frames of a live source that came before anybody asked for one.
    reconnections: how often a live source was lost and came back.
    damaged: frames or packets of a video that were skipped because they were damaged.
    warnings: lines for the user about frames that were delivered.
    complete: every frame that the source announced was delivered.
    broken_off: why the source ended early; empty when it did not.
    damaged_s: time of the first damage in seconds; None where it is not known.
    ended: the source was read to its end.
    """

    skipped: tuple[str, ...] = ()
    dropped: int = 0
    early: int = 0
    reconnections: int = 0
    damaged: int = 0
    warnings: tuple[str, ...] = ()
    complete: bool = True
    broken_off: str = ""
    damaged_s: float | None = None
    ended: bool = False

    def left_out(self) -> tuple[str, ...]:
        """Return one line per frame that was left out, one for damage, and one for an early end."""
        return (*self.skipped, *filter(None, (self.damage(), self.broken_off)))

    def damage(self) -> str:
        """Return how much of the source is damaged, as text; empty for nothing."""
        if not self.damaged:
            return ""
        where = "" if self.damaged_s is None else f", the first at {self.damaged_s:.2f} s"
        many = (
            "1 damaged packet was" if self.damaged == 1 else f"{self.damaged} damaged packets were"
        )
        return f"{many} skipped{where}"


@dataclass(frozen=True)
class StreamShape:
    """Properties of the frames that a sink will get.

    height, width: in pixels.
    frame_rate: frames per second.
    frame_count: the most frames that can come; None when it is unknown. Of a video it is an
        estimate.
    clip: what the video file says that the frames come from; None for other sources.
    """

    height: int
    width: int
    frame_rate: float
    frame_count: int | None
    clip: ClipFacts | None = None


class Source(Protocol):
    """Where frames come from. The first frame is read on opening, so the size is known."""

    @property
    def name(self) -> str:
        """The source as the user wrote it, without passwords."""
        ...

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def frame_rate(self) -> float:
        """Frames per second; the mean where frames come at different intervals."""
        ...

    @property
    def frame_count(self) -> int | None:
        """The expected number of frames, or None when it is unknown.

        Videos only estimate it.
        """
        ...

    @property
    def endless(self) -> bool:
        """Whether frames come until the user stops them."""
        ...

    @property
    def live(self) -> bool:
        """Whether frames come at their own pace, so that late ones are dropped."""
        ...

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are read, which no sink may overwrite."""
        ...

    @property
    def clip(self) -> ClipFacts | None:
        """What a video file says of its frames; None for other sources."""
        ...

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end."""
        ...

    def report(self) -> SourceReport: ...

    def close(self) -> None: ...


class Sink(Protocol):
    """Where frames go to. It is ended by one call of either ``finish`` or ``discard``."""

    @property
    def name(self) -> str: ...

    def write(self, image: Image, frame: Frame) -> bool:
        """Write one image, (H, W, 3) uint8 BGR; the array is not kept.

        Returns False to stop the run.
        """
        ...

    def finish(self) -> None:
        """Complete the output. Raises SinkError, and leaves nothing, when it is not complete."""
        ...

    def discard(self) -> None:
        """Remove incomplete output. Never raises."""
        ...

    def warnings(self) -> tuple[str, ...]:
        """Return lines for the user about what was written, after ``finish``."""
        ...
