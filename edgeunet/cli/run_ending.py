"""How a run ends: what signals do to it, and the error that its result calls for."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

from edgeunet.errors import EdgeUnetError, SinkError, SourceError

if TYPE_CHECKING:
    from edgeunet.stream.run_summary import RunSummary

_SIGNAL_EXIT_BASE = 128


class InterruptedRunError(EdgeUnetError):
    """The user, or the system, ended a run. Frames already written are kept."""

    def __init__(
        self, what: str, signals: list[int], hint: str = "run the command again to start over"
    ) -> None:
        super().__init__(f"interrupted{what}", hint=hint)
        self.exit_code = _SIGNAL_EXIT_BASE + (signals[0] if signals else signal.SIGINT)


def raise_what_ended(summary: RunSummary, signals: list[int]) -> None:
    """Raise the error that a run's result calls for; return for a complete run.

    signals: those that were received.
    """
    from edgeunet.stream.run_summary import kept

    if summary.interrupted:
        raise InterruptedRunError(f": {kept(summary.sinks, summary.frames)}", signals)
    if summary.broken_off:
        raise SourceError(
            f"{summary.broken_off}; {kept(summary.sinks, summary.frames)}",
            hint="get the whole file, or check the camera, and run again for the rest",
        )
    failed = [sink for sink in summary.sinks if sink.failure]
    if failed:
        raise SinkError(
            f"{failed[0].failure}; the other sinks went on",
            hint="mend what it names, and run again for that sink",
        )
    if summary.damaged and not summary.complete:
        raise SourceError(
            f"{summary.source} is damaged: {summary.damaged} of its packets could not be decoded; "
            f"{kept(summary.sinks, summary.frames)}",
            hint="get the file anew; where that is not possible, the frames that were decoded are "
            "at their times",
        )
    if summary.skipped:
        left_out = f"{len(summary.skipped)} image{'s' if len(summary.skipped) > 1 else ''}"
        raise SourceError(
            f"{left_out} of {summary.source} left out "
            f"({summary.skipped[0]}); the other {summary.frames} were worked on",
            hint="mend or remove what the warnings name, and run again",
        )


@contextlib.contextmanager
def stopping(outlives_a_terminal: bool) -> Iterator[tuple[threading.Event, list[int]]]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop after the current frame.

    A second signal interrupts at once, in case the current frame never ends.
    outlives_a_terminal: whether the run goes on after SIGHUP, which comes when the terminal or the
        ssh connection is closed. Otherwise it stops, as nobody sees its result.
    """
    stop = threading.Event()
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        stop.set()

    handlers = {signal.SIGINT: handle, signal.SIGTERM: handle}
    if hasattr(signal, "SIGHUP"):
        handlers[signal.SIGHUP] = _ignore if outlives_a_terminal else handle
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield stop, received
    finally:
        for number, earlier in previous.items():
            signal.signal(number, earlier)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing. Unlike SIG_IGN, this is not inherited by processes that the run starts."""
