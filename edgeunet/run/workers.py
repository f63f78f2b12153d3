"""Runs windows of a stage at the same time, each worker with buffers and a session of its own.

A window waits only for the earlier ones that touch the same parts of the buffers: those that make
what it reads, and those that still read what it writes over. So the windows of a chain may run in
another order than alone, on any worker, and the answer is the same.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from edgeunet.bundle import Bundle
from edgeunet.errors import UsageError
from edgeunet.planning.request import MOST_WORKERS
from edgeunet.run.spaces import Call, Index
from edgeunet.run.windows import Touched
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

    def together(self, lanes: Sequence[Steps], touched: Sequence[Touched]) -> Call:
        """Return a call that runs all windows, each on the worker that is free first.

        lanes: for every worker, the calls of all windows on its buffers.
        touched: what every window reads and writes.
        The call raises the first worker's error, after the others have finished their window.
        """
        waits = waits_of(touched)

        def run() -> None:
            turns = _Turns(waits)
            others = [
                self._threads.submit(_work, steps, turns)
                for steps in lanes[1:]
                if self._threads is not None
            ]
            try:
                _work(lanes[0], turns)
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


def waits_of(touched: Sequence[Touched]) -> list[frozenset[int]]:
    """Return, for every window, the numbers of the earlier windows that it waits for.

    They write what it reads or writes, or read what it writes.
    """
    written: dict[str, list[tuple[int, Index]]] = {}
    read: dict[str, list[tuple[int, Index]]] = {}
    found = []
    for number, one in enumerate(touched):
        waits = {
            other
            for parts, known in ((one.reads, (written,)), (one.writes, (written, read)))
            for name, part in parts
            for earlier in known
            for other, place in earlier.get(name, ())
            if _overlap(part, place)
        }
        found.append(frozenset(waits))
        for parts, kept in ((one.reads, read), (one.writes, written)):
            for name, part in parts:
                kept.setdefault(name, []).append((number, part))
    return found


def _overlap(one: Index, other: Index) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


class _Turns:
    """Which windows are left, and which of them can run."""

    def __init__(self, waits: Sequence[frozenset[int]]) -> None:
        self._waits = waits
        self._left = list(range(len(waits)))
        self._done: set[int] = set()
        self._changed = threading.Condition()
        self._stopped = False

    def take(self) -> int | None:
        """Return the first window that waits for none any more, when there is one.

        None when no window is left, or a worker has failed.
        """
        with self._changed:
            while self._left and not self._stopped:
                ready = next((n for n in self._left if self._waits[n] <= self._done), None)
                if ready is not None:
                    self._left.remove(ready)
                    return ready
                # An earlier window runs: the first that is left waits for nothing else.
                self._changed.wait()
        return None

    def done(self, window: int) -> None:
        with self._changed:
            self._done.add(window)
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


def _work(steps: Steps, turns: _Turns) -> None:
    """Run windows until none is left, or another worker has failed."""
    try:
        while (window := turns.take()) is not None:
            for call in steps[window]:
                call()
            turns.done(window)
    except BaseException:
        turns.stop()
        raise
