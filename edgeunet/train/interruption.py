"""Interrupt a run between two steps, because half a step cannot be resumed."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """A run was interrupted. It is not an Exception, so that it is not taken for a failure.

    step: number of steps done.
    saved: the step of the checkpoint; 0 when there is none.
    """

    def __init__(self, step: int, saved: int) -> None:
        super().__init__(f"interrupted at step {step}, saved at step {saved}")
        self.step = step
        self.saved = saved


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until the block has ended; a second signal is not delayed.

    A signal without a handler ends the process as usual.
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
