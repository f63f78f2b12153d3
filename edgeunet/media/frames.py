"""What flows through a stream, and the two ends it flows between."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeunet.specs import Image


@dataclass(frozen=True)
class Frame:
    """One frame of a source.

    index: 0, 1, ... in the order the source delivers; a live source counts dropped ones too.
    timestamp_s: seconds since the source's first frame.
    image: (H, W, 3) uint8 BGR; the receiver's own.
    name: file stem to write it under, when the source is made of image files.
    """

    index: int
    timestamp_s: float
    image: Image
    name: str | None = None


@dataclass(frozen=True)
class SourceReport:
    """What a source could not deliver.

    skipped: one line per frame left out, naming it and saying why.
    dropped: frames a live source delivered while the last one was still being worked on.
    warnings: what the person should know; the frames delivered are good all the same.
    complete: every frame the source promised was delivered.
    broken_off: why the source ended before its end; empty when it did not.
    """

    skipped: tuple[str, ...] = ()
    dropped: int = 0
    warnings: tuple[str, ...] = ()
    complete: bool = True
    broken_off: str = ""


@dataclass(frozen=True)
class StreamShape:
    """What a sink is going to get: size in pixels, frames per second, how many frames at most."""

    height: int
    width: int
    frame_rate: float
    frame_count: int | None


class Source(Protocol):
    """Where frames come from. Opening has already read the first frame, so the size is true."""

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
        """Frames per second."""
        ...

    @property
    def frame_count(self) -> int | None:
        """How many frames there should be, or None when nobody knows."""
        ...

    @property
    def live(self) -> bool:
        """Frames come at their own pace, so those that cannot be handled in time are dropped."""
        ...

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files read, which no sink may overwrite."""
        ...

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end."""
        ...

    def report(self) -> SourceReport: ...

    def close(self) -> None: ...


class Sink(Protocol):
    """Where frames go to. Exactly one of ``finish`` and ``discard`` ends it."""

    @property
    def name(self) -> str: ...

    def write(self, image: Image, frame: Frame) -> bool:
        """Take one image, (H, W, 3) uint8 BGR; it is not kept. False asks to stop."""
        ...

    def finish(self) -> None:
        """Keep what was written. Raises SinkError, and leaves nothing, when it is not whole."""
        ...

    def discard(self) -> None:
        """Leave nothing half-written behind. Never raises."""
        ...
