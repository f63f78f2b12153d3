"""Hands frames to sinks. Every sink has a thread and a short queue, so none waits for another."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from edgeunet.errors import EdgeUnetError, SinkError
from edgeunet.media.frames import Sink
from edgeunet.media.sinks import WINDOWS
from edgeunet.media.sinks.returning_sink import ReturningSink
from edgeunet.media.sinks.row_pictures import TakesRows
from edgeunet.stream.activity import Activity
from edgeunet.stream.slots import Slot, SlotPool


@runtime_checkable
class SlotSink(Protocol):
    """A viewer that looks at whole slots, and may miss any frame without harm."""

    def show(self, slot: Slot) -> bool:
        """Look at a frame with all its outputs. Returns False to end the sink."""
        ...


QUEUED_FRAMES = 1
"""Frames that wait for a sink while it writes another one."""


@dataclass(frozen=True)
class SinkReport:
    """What became of a sink.

    name: the sink as the user wrote it.
    written: frames in it.
    missed: frames that came while it was still busy, or gone.
    viewer: whether it only shows frames, so that a missed one is no loss.
    closed: the user closed it, which only a window can be.
    failure: why it ended early; empty when it did not.
    """

    name: str
    written: int
    missed: int
    viewer: bool
    closed: bool
    failure: str


class SinkThread:
    """Writes frames to one sink, in a thread of its own.

    lossless: whether ``offer`` waits for a busy sink. Otherwise the sink misses the frame.
    on_end: called in the sink's thread when it fails or is closed before ``finish``.
    """

    def __init__(
        self,
        sink: Sink,
        pool: SlotPool,
        activity: Activity,
        *,
        lossless: bool,
        on_end: Callable[[], None],
    ) -> None:
        self.sink = sink
        self.viewer = isinstance(sink, SlotSink) or sink.name in WINDOWS
        self._pool = pool
        self._activity = activity
        self._lossless = lossless
        self._on_end = on_end
        self._changed = threading.Condition()
        self._waiting: deque[Slot] = deque()
        self._finishing = False
        self._written = 0
        self._missed = 0
        self._closed = False
        self.failure: BaseException | None = None
        self._thread = threading.Thread(
            target=self._work, name=f"edgeunet-sink {sink.name}", daemon=True
        )
        self._thread.start()

    @property
    def open(self) -> bool:
        """Whether it still takes frames."""
        return not self._closed and self.failure is None

    def offer(self, slot: Slot) -> None:
        """Give it a slot, of which it is a user; it releases the slot in any case."""
        with self._changed:
            if self._lossless:
                self._changed.wait_for(lambda: len(self._waiting) < QUEUED_FRAMES or not self.open)
            if self.open and len(self._waiting) < QUEUED_FRAMES:
                self._waiting.append(slot)
                self._changed.notify_all()
                return
            self._missed += self.open
        self._pool.release(slot)

    def finish(self, timeout_s: float | None = None) -> bool:
        """Write what waits and complete the sink.

        A sink without any frame leaves nothing. Returns False when it is still at it after
        ``timeout_s`` seconds. ``failure`` then says why it could not be completed, if so.
        """
        with self._changed:
            self._finishing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def report(self) -> SinkReport:
        """Return its counts so far."""
        failure = self.failure
        text = failure.message if isinstance(failure, EdgeUnetError) else str(failure or "")
        lost = self.sink.lost if isinstance(self.sink, ReturningSink) else 0
        written, missed = self._written - lost, self._missed + lost
        return SinkReport(self.sink.name, written, missed, self.viewer, self._closed, text)

    def _work(self) -> None:
        try:
            while (slot := self._next()) is not None:
                try:
                    with self._activity.at_work(f"the sink {self.sink.name}"):
                        wants_more = self._write(slot)
                    self._written += 1
                finally:
                    self._pool.release(slot)
                if not wants_more:
                    self._closed = True
                    break
            self._end()
        except BaseException as error:  # the run raises it again, or goes on without this sink
            self.failure = error
            if isinstance(error, SinkError):
                self.sink.discard()
            else:
                # Something else broke. What the sink has already is still worth keeping.
                with contextlib.suppress(EdgeUnetError):
                    self._end()
        self._release_waiting()
        if not self._finishing:
            self._on_end()

    def _write(self, slot: Slot) -> bool:
        if isinstance(self.sink, SlotSink):
            return self.sink.show(slot)
        if slot.picture is not None and isinstance(self.sink, TakesRows):
            return self.sink.keep(slot.picture, slot.frame)
        return self.sink.write(slot.image, slot.frame)

    def _end(self) -> None:
        if self._written:
            self.sink.finish()
        else:
            self.sink.discard()

    def _next(self) -> Slot | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._finishing)
            if not self._waiting:
                return None
            slot = self._waiting.popleft()
            self._changed.notify_all()
            return slot

    def _release_waiting(self) -> None:
        with self._changed:
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for slot in left:
            self._pool.release(slot)
