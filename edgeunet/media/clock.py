"""Times that only go forward, made of the times that a file has."""

from __future__ import annotations

from fractions import Fraction

_JUMP_S = 1


class ForwardClock:
    """Turns the times of consecutive frames into times that grow.

    A frame without a time follows the one before it. Where times go back by more than a second, as
    where recordings were joined, they go on from the frame before. Smaller steps back, and frames
    of one time, are moved by the least possible.
    """

    def __init__(self, time_base: Fraction) -> None:
        """Start a clock. time_base: unit of the times, in seconds."""
        self._jump = int(_JUMP_S / time_base)
        self._last: int | None = None
        self._step = 1
        self._offset = 0
        self.jumps = 0

    def time(self, time: int | None, duration: int) -> int:
        """Return the time of the next frame, in units of the time base.

        time: what the file says; None for nothing.
        duration: of the frame; 0 or less when it is not known.
        """
        last = self._last
        if last is None:
            now = time or 0
        elif time is None:
            now = last + self._step
        else:
            now = time + self._offset
            if now <= last - self._jump:
                self.jumps += 1
                self._offset = last + self._step - time
                now = last + self._step
            elif now <= last:
                now = last + 1
        if duration > 0:
            self._step = duration
        elif last is not None:
            self._step = now - last
        self._last = now
        return now

    @property
    def offset(self) -> int:
        """What was added to the last time because times went back, in units of the time base."""
        return self._offset
