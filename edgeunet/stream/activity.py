"""Knows which stage of a run is at work, since when, and which one hangs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

HANG_S = 30.0
"""A stage that works longer than this on one frame hangs, unless its frames usually take long."""

_SLOWEST_FACTOR = 10.0


@dataclass(frozen=True)
class Hang:
    """A stage that does not come back.

    stage: its name, like ``the network``.
    busy_s: how long it has worked on one frame, in seconds.
    """

    stage: str
    busy_s: float

    def __str__(self) -> str:
        return f"{self.stage} hangs: it has worked on one frame for {self.busy_s:.0f} s"


class Activity:
    """The stages of a run that are at work. Every stage has a thread of its own.

    hang_s: after how many seconds on one frame a stage counts as hanging; None: ``HANG_S``.
    """

    def __init__(self, hang_s: float | None = None) -> None:
        self._hang_s = HANG_S if hang_s is None else hang_s
        self._lock = threading.Lock()
        self._since_s: dict[str, float] = {}
        self._slowest_s: dict[str, float] = {}

    @contextlib.contextmanager
    def at_work(self, stage: str) -> Iterator[None]:
        """Note that a stage works on a frame, for as long as the ``with`` block lasts."""
        start_s = time.monotonic()
        with self._lock:
            self._since_s[stage] = start_s
        try:
            yield
        finally:
            with self._lock:
                del self._since_s[stage]
                took_s = time.monotonic() - start_s
                self._slowest_s[stage] = max(self._slowest_s.get(stage, 0.0), took_s)

    def hangs(self) -> list[Hang]:
        """Return the stages that hang now, the longest first.

        A stage hangs after ``hang_s``, or after ten times its slowest frame so far, whichever is
        later.
        """
        now_s = time.monotonic()
        with self._lock:
            found = [
                Hang(stage, now_s - since_s)
                for stage, since_s in self._since_s.items()
                if now_s - since_s
                > max(self._hang_s, _SLOWEST_FACTOR * self._slowest_s.get(stage, 0.0))
            ]
        return sorted(found, key=lambda hang: -hang.busy_s)
