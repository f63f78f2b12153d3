"""Runs windows of a stage at the same time, each worker with buffers and a session of its own.

Windows of one stage do not depend on each other, so any worker may take any of them, and the answer
is the same.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from edgeunet.bundle import Bundle
from edgeunet.errors import UsageError
from edgeunet.planning.request import MOST_WORKERS
from edgeunet.run.spaces import Call
from edgeunet.units import format_bytes

Steps = Sequence[tuple[Call, ...]]
"""The calls of windows, in order, on one worker's buffers."""


def workers_of(bundle: Bundle, wanted: int | None) -> int:
    """Return how many windows of a bundle run at a time on onnxruntime.

    wanted: None for as many as the bundle was planned for.
    Raises UsageError for a number that cannot be, for whole frames, and when that many workers are
    predicted to take more than the budget that the bundle was exported for.
    """
    plan = bundle.manifest.plan
    if wanted is None:
        return 1 if plan is None else plan.workers
    if not 1 <= wanted <= MOST_WORKERS:
        raise UsageError(
            f"{wanted} is not a number of workers",
            hint=f"use 1 to {MOST_WORKERS}, or leave it out",
        )
    if wanted > 1 and (plan is None or not any(s.window for s in bundle.manifest.stages)):
        raise UsageError(
            f"{bundle.path.name} runs whole frames, so {wanted} workers have nothing to share",
            hint="export it in windows, like --tile auto",
        )
    if plan is not None and plan.budget_bytes is not None and wanted > plan.workers:
        needed = plan.predicted_bytes + (wanted - plan.workers) * plan.worker_bytes
        if needed > plan.budget_bytes:
            raise UsageError(
                f"{wanted} workers are predicted to take {format_bytes(needed)}, more than the "
                f"{format_bytes(plan.budget_bytes)} that {bundle.path.name} was exported for",
                hint=f"export it for them: edgeunet export --workers {wanted}",
            )
    return wanted


class Workers:
    """Threads that run windows. The caller's thread is one of them.

    count: how many windows run at a time.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._threads = ThreadPoolExecutor(count - 1, "edgeunet-window") if count > 1 else None

    def together(self, lanes: Sequence[Steps]) -> Call:
        """Return a call that runs all windows, each on the worker that is free first.

        lanes: for every worker, the calls of all windows on its buffers.
        The call raises the first worker's error, after the others have finished their window.
        """

        def run() -> None:
            windows = _numbers(len(lanes[0]))
            stop = threading.Event()
            others = [
                self._threads.submit(_work, steps, windows, stop)
                for steps in lanes[1:]
                if self._threads is not None
            ]
            try:
                _work(lanes[0], windows, stop)
            finally:
                errors = [other.exception() for other in others]
            for error in errors:
                if error is not None:
                    raise error

        return run

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown()


def _work(steps: Steps, windows: Callable[[], int | None], stop: threading.Event) -> None:
    """Run windows until none is left, or another worker has failed."""
    try:
        while not stop.is_set() and (window := windows()) is not None:
            for call in steps[window]:
                call()
    except BaseException:
        stop.set()
        raise


def _numbers(count: int) -> Callable[[], int | None]:
    """Return a function that gives every number below ``count`` to one caller, then None."""
    lock = threading.Lock()
    numbers: Iterator[int] = itertools.islice(itertools.count(), count)

    def next_number() -> int | None:
        with lock:
            return next(numbers, None)

    return next_number
