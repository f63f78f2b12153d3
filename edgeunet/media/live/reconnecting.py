"""Keeps a camera or a stream open: opens it again after a loss, and counts what was lost."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeunet.errors import UsageError
from edgeunet.media.clip_facts import ClipFacts
from edgeunet.media.frames import Frame, SourceReport
from edgeunet.media.live.live_inputs import LiveInput, Loss, LostInputError, Picture
from edgeunet.units import format_size

DEFAULT_FRAME_RATE = 30.0
DEFAULT_RECONNECT_S = 60.0
DEFAULT_TIMEOUT_S = 15.0
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 10.0
_PATIENT = (Loss.REFUSED, Loss.ABSENT)
_PATIENT_FACTOR = 20.0
_LONGEST_PATIENT_WAIT_S = 300.0
# A camera whose clock runs away from ours by more than this gets our times.
_LARGEST_DRIFT_S = 2.0


@dataclass(frozen=True)
class Patience:
    """How long a source is waited for.

    timeout_s: without a frame for so long, it counts as lost.
    reconnect_s: how long it is tried to open it again; 0 never, infinity for ever. Only with
        infinity the first opening is tried again, too.
    """

    timeout_s: float = DEFAULT_TIMEOUT_S
    reconnect_s: float = DEFAULT_RECONNECT_S

    @property
    def forever(self) -> bool:
        return math.isinf(self.reconnect_s)


DEFAULT_PATIENCE = Patience()


def parse_reconnect(text: str) -> float:
    """Read ``never``, ``forever`` or a number of seconds; return seconds.

    Raises UsageError for anything else.
    """
    words = {"never": 0.0, "forever": math.inf}
    try:
        seconds = words[text] if text in words else float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0 or (math.isinf(seconds) and text not in words):
        raise UsageError(
            f"{text!r} is not a time for reconnecting",
            hint="use --reconnect with seconds, forever or never",
        )
    return seconds


class ReconnectingSource:
    """A live source that opens its input again when it is lost.

    name: the source without passwords.
    start: opens the input. Raises LostInputError when it is not there, and other errors for what
        trying again does not mend.
    ends: whether the end of the input is the end of the source. A pipeline may end; a camera that
        ends is lost.
    on_event: called with a line about every loss and every return.
    """

    live = True
    endless = True
    clip: ClipFacts | None = None
    frame_count = None
    paths: tuple[Path, ...] = ()

    def __init__(
        self,
        name: str,
        start: Callable[[], LiveInput],
        patience: Patience,
        *,
        ends: bool = False,
        on_event: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self._start = start
        self._patience = patience
        self._ends = ends and not patience.forever
        self._on_event = on_event or _ignore
        self._stop = threading.Event()
        self._losses: dict[Loss, int] = {}
        self._returns = 0
        self._away_s = 0.0
        self._damaged = 0
        self._delivered = 0
        self._ended = False
        self._input: LiveInput | None = None
        self._waits = _Waits()
        first = self._open_first()
        self._first: Picture | None = first
        self.height, self.width = first.image.shape[:2]
        rate = self._frame_rate()
        self.frame_rate = rate if 0 < rate < 1000 else DEFAULT_FRAME_RATE
        self._back_s = time.monotonic()
        self._clock = _Clock(self._back_s)

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end and after ``interrupt``.

        Raises LostInputError when the input is lost and not opened again.
        """
        if self._ended:
            return None
        picture, self._first = self._first or self._next(), None
        if picture is None:
            self._ended = True
            return None
        size = picture.image.shape[:2]
        if size != (self.height, self.width):
            self._close_input()
            raise LostInputError(
                Loss.SIZE,
                f"{self.name!r} changed its frame size from {format_size(self.height, self.width)} "
                f"to {format_size(*size)}",
                hint="fix the size in the camera's settings",
            )
        arrived_s = time.monotonic()
        frame = Frame(
            self._delivered,
            self._clock.time_s(picture.time_s, arrived_s),
            picture.image,
            arrived_s=arrived_s,
            reconnections=self._returns,
        )
        self._delivered += 1
        return frame

    def interrupt(self) -> None:
        """End a ``read`` or a wait between two tries, from another thread."""
        self._stop.set()
        current = self._input
        if current is not None:
            current.interrupt()

    def report(self) -> SourceReport:
        warnings = []
        if self._returns:
            reasons = ", ".join(f"{count} by {loss.value}" for loss, count in self._losses.items())
            warnings.append(
                f"{self.name} was lost and came back {self._returns} times ({reasons}); it was "
                f"away for {self._away_s:.1f} s"
            )
        damaged = self._damaged + (self._input.damaged if self._input is not None else 0)
        if damaged:
            warnings.append(f"{damaged} damaged frames or packets of {self.name} were skipped")
        return SourceReport(warnings=tuple(warnings), reconnections=self._returns, damaged=damaged)

    def close(self) -> None:
        self._stop.set()
        self._close_input()

    def _frame_rate(self) -> float:
        return self._input.frame_rate if self._input is not None else 0.0

    def _open_first(self) -> Picture:
        waits = _Waits()
        while True:
            try:
                return self._open()
            except LostInputError as lost:
                if not self._patience.forever:
                    raise
                wait_s = waits.next_s(lost.loss)
                self._on_event(f"warning: {lost.message}; trying again in {wait_s:.1f} s")
                if self._stop.wait(wait_s):
                    raise

    def _open(self) -> Picture:
        """Open the input and wait for its first frame."""
        self._input = self._start()
        try:
            if self._stop.is_set():
                self._input.interrupt()
            return self._input.read()
        except BaseException:
            self._close_input()
            raise

    def _next(self) -> Picture | None:
        try:
            if self._input is None:
                return None
            return self._input.read()
        except LostInputError as lost:
            self._close_input()
            if self._stop.is_set() or (lost.loss is Loss.END and self._ends):
                return None
            if not self._patience.reconnect_s:
                raise
            return self._return(lost)

    def _return(self, lost: LostInputError) -> Picture | None:
        """Try to open the input again. Raises the last reason when the time is over."""
        lost_s = time.monotonic()
        self._losses[lost.loss] = self._losses.get(lost.loss, 0) + 1
        self._on_event(f"warning: {lost.message}; opening it again")
        self._waits.after(lost_s - self._back_s)
        while True:
            left_s = lost_s + self._patience.reconnect_s - time.monotonic()
            if left_s <= 0:
                lost.message += f"; it did not come back for {self._patience.reconnect_s:g} s"
                raise lost
            # The last try comes when the time is over, however long the wait before it would be.
            if self._stop.wait(min(self._waits.next_s(lost.loss), left_s)):
                return None
            try:
                picture = self._open()
            except LostInputError as error:
                lost = error
                continue
            self._back_s = time.monotonic()
            away_s = self._back_s - lost_s
            self._away_s += away_s
            self._returns += 1
            self._clock.restart()
            self._on_event(f"{self.name} is back after {away_s:.1f} s")
            return picture

    def _close_input(self) -> None:
        current, self._input = self._input, None
        if current is not None:
            self._damaged += current.damaged
            current.close()


class _Waits:
    """The times between tries: they double, and differ at random so that clients spread."""

    def __init__(self) -> None:
        self._tries = 0
        self._last_s = 0.0

    def after(self, connected_s: float) -> None:
        """Begin anew after a connection, unless it was shorter than the wait before it.

        So one that is lost again and again at once is opened ever less often.
        """
        if connected_s >= self._last_s:
            self._tries = 0

    def next_s(self, loss: Loss) -> float:
        """Return how long to wait now, in seconds. loss: why the last try failed."""
        factor, longest_s = 1.0, _LONGEST_WAIT_S
        if loss in _PATIENT:
            factor, longest_s = _PATIENT_FACTOR, _LONGEST_PATIENT_WAIT_S
        wait_s: float = min(_FIRST_WAIT_S * factor * math.pow(2, self._tries), longest_s)
        self._tries = min(self._tries + 1, 30)
        self._last_s = wait_s * random.uniform(0.75, 1.0)
        return self._last_s


class _Clock:
    """The time of frames since the source's first one, by the input's own times where it has any.

    Every connection begins at the moment its first frame arrives here, so gaps are in it. Our clock
    is the monotonic one: the computer's date may be set back without harm.
    """

    def __init__(self, begin_s: float) -> None:
        self._begin_s = begin_s
        self._last_s = -1.0
        self._offset_s: float | None = None

    def restart(self) -> None:
        """Begin a new connection."""
        self._offset_s = None

    def time_s(self, given_s: float | None, arrived_s: float) -> float:
        """Return the frame's time in seconds since the first frame; it always grows.

        given_s: the input's own time of the frame. arrived_s: by ``time.monotonic``.
        """
        here_s = arrived_s - self._begin_s
        found_s = here_s
        if given_s is not None:
            if self._offset_s is None:
                self._offset_s = here_s - given_s
            found_s = given_s + self._offset_s
            if abs(found_s - here_s) > _LARGEST_DRIFT_S:
                self._offset_s = here_s - given_s
                found_s = here_s
        self._last_s = max(found_s, self._last_s + 1e-3) if self._last_s >= 0 else max(found_s, 0.0)
        return self._last_s


def _ignore(line: str) -> None:
    return None
