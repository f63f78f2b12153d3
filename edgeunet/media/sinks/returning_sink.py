"""Sends frames of a camera to a server that may go away and come back."""

from __future__ import annotations

import time
from collections.abc import Callable

from edgeunet.errors import SinkError
from edgeunet.media.frames import Frame, Sink
from edgeunet.specs import Image

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 10.0
# A pipeline takes a few frames before it says that nobody takes them.
_ARRIVING_FRAMES = 25


class ReturningSink:
    """A sink that is opened again when it is lost. It misses the frames that come meanwhile.

    start: opens it. Raises SinkError when it is not there.
    on_event: called with a line about every loss and every return.
    lost: frames that were not sent.

    Raises what ``start`` raises; ``write`` raises SinkError when not even the first frames arrive.
    """

    def __init__(self, start: Callable[[], Sink], on_event: Callable[[str], None] | None) -> None:
        self._start = start
        self._on_event = on_event or _ignore
        self._inner: Sink | None = start()
        self.name = self._inner.name
        self.lost = 0
        self._sent = 0
        self._arrived_once = False
        self._losses = 0
        self._lost_s: float | None = None
        self._next_s = 0.0
        self._wait_s = _FIRST_WAIT_S

    def write(self, image: Image, frame: Frame) -> bool:
        if self._inner is None and time.monotonic() < self._next_s:
            self.lost += 1
            return True
        try:
            if self._inner is None:
                self._inner, self._sent = self._start(), 0
            goes_on = self._inner.write(image, frame)
        except SinkError as error:
            if not self._arrived_once:
                raise
            self._lose(error)
            return True
        self._sent += 1
        if self._sent == _ARRIVING_FRAMES:
            self._arrive()
        return goes_on

    def finish(self) -> None:
        if self._inner is not None:
            self._inner.finish()

    def discard(self) -> None:
        if self._inner is not None:
            self._inner.discard()

    def warnings(self) -> tuple[str, ...]:
        found = self._inner.warnings() if self._inner is not None else ()
        if not self._losses:
            return found
        return (
            *found,
            f"{self.name} was gone {self._losses} times, and {self.lost} frames with it",
        )

    def _arrive(self) -> None:
        self._arrived_once = True
        self._wait_s = _FIRST_WAIT_S
        if self._lost_s is not None:
            self._on_event(f"{self.name} is back after {time.monotonic() - self._lost_s:.1f} s")
            self._lost_s = None

    def _lose(self, error: SinkError) -> None:
        """Forget the sink, and set the time of the next try."""
        # Of frames that were on their way nobody knows whether they arrived.
        self.lost += 1
        self._inner = None
        now_s = time.monotonic()
        if self._lost_s is None:
            self._lost_s = now_s
            self._losses += 1
            self._on_event(f"warning: {error.message}; opening it again")
        self._next_s = now_s + self._wait_s
        self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)


def _ignore(line: str) -> None:
    return None
