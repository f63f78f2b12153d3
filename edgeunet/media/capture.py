"""Reads a source in a thread of its own: a live one for its newest frame, files a little ahead."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from pathlib import Path

from edgeunet.errors import SourceError
from edgeunet.media.clip_facts import ClipFacts
from edgeunet.media.frames import Frame, Source, SourceReport
from edgeunet.media.live.reconnecting import ReconnectingSource

_SILENCE_S = 15.0
_JOIN_S = 2.0
_AHEAD_FRAMES = 2


class _ThreadedSource:
    """What both kinds share: a source, the thread that reads it, and the frames in between."""

    def __init__(self, source: Source, thread_name: str) -> None:
        self._source = source
        self._changed = threading.Condition()
        self._waiting: deque[Frame] = deque()
        self._dropped = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._interrupted = False
        self._thread = threading.Thread(target=self._pump, name=thread_name, daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def height(self) -> int:
        return self._source.height

    @property
    def width(self) -> int:
        return self._source.width

    @property
    def frame_rate(self) -> float:
        return self._source.frame_rate

    @property
    def frame_count(self) -> int | None:
        return self._source.frame_count

    @property
    def endless(self) -> bool:
        return self._source.endless

    @property
    def clip(self) -> ClipFacts | None:
        return self._source.clip

    @property
    def paths(self) -> tuple[Path, ...]:
        return self._source.paths

    def report(self) -> SourceReport:
        inner = self._source.report()
        return dataclasses.replace(inner, dropped=inner.dropped + self._dropped)

    def interrupt(self) -> None:
        """Make ``read`` return None at once, also in another thread."""
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()

    def close(self) -> None:
        """Stop the thread and close the source. A source that hangs in a read is left open."""
        self.interrupt()
        if isinstance(self._source, ReconnectingSource):
            self._source.interrupt()
        self._thread.join(_JOIN_S)
        if not self._thread.is_alive():
            self._source.close()

    def _pump(self) -> None:
        try:
            while not self._interrupted:
                frame = self._source.read()
                if frame is None:
                    break
                if not self._take(frame):
                    break
        except BaseException as error:  # raised again in the thread that calls ``read``
            self._failure = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, frame: Frame) -> bool:
        """Keep a frame for the reader. Returns False when no more are wanted."""
        raise NotImplementedError

    def _next(self) -> Frame | None:
        """Return the frame that waits, if one does; hold ``_changed`` around the call."""
        if self._interrupted:
            return None
        if self._waiting:
            frame = self._waiting.popleft()
            self._changed.notify_all()
            return frame
        if self._failure is not None:
            raise self._failure
        return None


class LiveSource(_ThreadedSource):
    """A source that is read in a thread of its own, at the source's pace.

    ``read`` waits for a frame that was not returned before. Only the newest frame is kept, so a
    slow network works on what the camera sees now. Older frames are dropped and counted; those
    from before the first ``read`` are counted apart, because no network is to blame for them.

    silence_s: without a frame for so long, ``read`` raises; None leaves that to the source.
    """

    live = True

    def __init__(self, source: Source, *, silence_s: float | None = _SILENCE_S) -> None:
        self._silence_s = silence_s
        self._asked = False
        self._early = 0
        super().__init__(source, "edgeunet-capture")

    def report(self) -> SourceReport:
        return dataclasses.replace(super().report(), early=self._early)

    def read(self) -> Frame | None:
        """Return the newest frame, or None at the end and after ``interrupt``.

        Raises SourceError when the source fails or is silent.
        """
        with self._changed:
            self._asked = True
            ready = self._changed.wait_for(
                lambda: self._waiting or self._ended or self._interrupted, self._silence_s
            )
            if not ready:
                raise SourceError(
                    f"{self.name!r} has delivered no frame for {self._silence_s:g} s",
                    hint="check the camera's cable or the network",
                )
            return self._next()

    def _take(self, frame: Frame) -> bool:
        if frame.arrived_s is None:
            frame = dataclasses.replace(frame, arrived_s=time.monotonic())
        with self._changed:
            if self._asked:
                self._dropped += len(self._waiting)
            else:
                self._early += len(self._waiting)
            self._waiting.clear()
            self._waiting.append(frame)
            self._changed.notify_all()
        return True


class ReadAhead(_ThreadedSource):
    """Files that are read in a thread of their own, two frames ahead, so that none waits.

    limit: the most frames that are read; None reads all.
    """

    live = False

    def __init__(self, source: Source, limit: int | None = None) -> None:
        self._left = limit
        super().__init__(source, "edgeunet-read")

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end and after ``interrupt``.

        Raises what the source raised, after the frames before it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended or self._interrupted)
            return self._next()

    def _take(self, frame: Frame) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < _AHEAD_FRAMES or self._interrupted)
            self._waiting.append(frame)
            self._changed.notify_all()
        if self._left is not None:
            self._left -= 1
        return self._left != 0
