"""Ending a run early, between two steps: half a step is no state to go on from."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C in a run. Not an Exception, so that nothing takes it for a failure.

    step: how far the run was. saved: the step of its checkpoint; 0 when there is none.
    """

    def __init__(self, step: int, saved: int) -> None:
        super().__init__(f"interrupted at step {step}, saved at step {saved}")
        self.step = step
        self.saved = saved


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block has ended; a second one comes through.

    Where nothing handles a signal, it ends the process as ever.
    """
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)
        if len(held) > 1:
            handlers[number](number, frame)

    # Python lets only the main thread set handlers, and only there they run.
    if threading.current_thread() is threading.main_thread():
        for caught in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(caught)
            if callable(handler):
                handlers[caught] = handler
                signal.signal(caught, hold)
    try:
        yield
    finally:
        for number, usual in handlers.items():
            signal.signal(number, usual)
    if held:
        handlers[held[0]](held[0], None)
