"""Reads a live source in a thread of its own and keeps the newest frame only."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

from edgeunet.errors import SourceError
from edgeunet.media.frames import Frame, Source, SourceReport

_WAKE_S = 0.2
_SILENCE_S = 15.0
_JOIN_S = 2.0


class LiveSource:
    """A source that is read in a thread of its own, at the source's pace.

    ``read`` waits for a frame that was not returned before. Only the newest frame is kept, so a
    slow
    network works on what the camera sees now. Older frames are dropped and counted.
    """

    live = True

    def __init__(self, source: Source) -> None:
        self._source = source
        self._fresh = threading.Condition()
        self._newest: Frame | None = None
        self._dropped = 0
        self._ended = False
        self._failure: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pump, name="edgeunet-capture", daemon=True)
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
    def paths(self) -> tuple[Path, ...]:
        return self._source.paths

    def read(self) -> Frame | None:
        """Return the newest frame, or None at the end.

        Raises SourceError when the source fails, or delivers no frame for fifteen seconds.
        """
        waited_s = 0.0
        with self._fresh:
            while self._newest is None and not self._ended:
                # A short wait returns often enough for Ctrl-C to work while the camera is silent.
                self._fresh.wait(_WAKE_S)
                waited_s += _WAKE_S
                if waited_s > _SILENCE_S:
                    raise SourceError(
                        f"{self.name!r} has delivered no frame for {_SILENCE_S:g} s",
                        hint="check the camera's cable or the network",
                    )
            frame, self._newest = self._newest, None
            if frame is None and self._failure is not None:
                raise self._failure
            return frame

    def report(self) -> SourceReport:
        inner = self._source.report()
        return dataclasses.replace(inner, dropped=self._dropped)

    def close(self) -> None:
        """Stop the thread and close the source. A source that hangs in a read is left open."""
        self._stop.set()
        self._thread.join(_JOIN_S)
        if not self._thread.is_alive():
            self._source.close()

    def _pump(self) -> None:
        frame: Frame | None = None
        failure: Exception | None = None
        while not self._stop.is_set():
            try:
                frame = self._source.read()
            except Exception as error:  # raised again in the thread that calls ``read``
                frame, failure = None, error
            with self._fresh:
                if frame is None:
                    self._failure = failure
                    self._ended = True
                else:
                    self._dropped += self._newest is not None
                    self._newest = frame
                self._fresh.notify()
            if frame is None:
                return
