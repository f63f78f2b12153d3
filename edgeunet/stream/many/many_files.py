"""Does many jobs through one interface of futures. One that fails stops no other."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeunet.errors import SinkError
from edgeunet.media.sinks.claims import Claim
from edgeunet.names import shown
from edgeunet.stream.many.file_jobs import FileJob, FileResult, remove_partial_files
from edgeunet.stream.many.job_ledger import JobLedger

_LOOK_S = 0.2
_KILLED = "the process that worked on it was killed; there may be too little memory"


class Workers(Protocol):
    """Processes or machines that do jobs.

    width: how many jobs they are given at a time.
    """

    width: int

    def submit(self, job: FileJob) -> Future[FileResult]:
        """Begin a job soon. The future fails with BrokenExecutor when its process was killed."""
        ...

    def renew(self) -> None:
        """Take jobs again after a process was killed."""
        ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class ManyFiles:
    """The result over all files.

    results: of every job that ended; first those of earlier runs. earlier: how many those are.
    left: jobs that were not done, because the user ended the run.
    """

    results: tuple[FileResult, ...]
    earlier: int
    left: int

    @property
    def failed(self) -> tuple[FileResult, ...]:
        return tuple(result for result in self.results if result.failure)


def work_on_all(
    jobs: list[FileJob],
    folder: Path,
    orders: str,
    workers: Callable[[], Workers],
    *,
    on_result: Callable[[FileResult, bool], None],
    stop: threading.Event,
) -> ManyFiles:
    """Do every job that was not done before.

    folder: of the output, where the ledger lies. orders: as ``orders_of`` returns them.
    workers: opens them; it is not called where nothing is left to do.
    on_result: called after every job, with whether an earlier run did it.
    stop: setting it ends the jobs at work after their current frame.
    Raises SinkError when the folder cannot be written or another run has it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ledger = JobLedger(folder, orders)
    except OSError as error:
        raise SinkError(
            f"cannot write into '{shown(folder)}': {error.strerror}",
            hint="choose a folder that you may write to",
        ) from error
    with contextlib.closing(Claim(folder)):
        results: list[FileResult] = []
        waiting: deque[FileJob] = deque()
        for job in jobs:
            known = ledger.done(job)
            if known is None:
                waiting.append(job)
            else:
                results.append(known)
                on_result(known, True)
        earlier = len(results)
        remove_partial_files(list(waiting))
        if waiting and not stop.is_set():
            order = {job.name: number for number, job in enumerate(jobs)}
            found = _Rounds(waiting, workers(), ledger, on_result, stop).work()
            results += sorted(found, key=lambda result: order[result.name])
            remove_partial_files(jobs)
    return ManyFiles(tuple(results), earlier, len(jobs) - len(results))


class _Rounds:
    """Jobs that wait, and those at work.

    When a process is killed, nobody knows which of the jobs at work was to blame. They are done
    again one at a time, and the one whose process is killed then has failed.
    """

    def __init__(
        self,
        waiting: deque[FileJob],
        workers: Workers,
        ledger: JobLedger,
        on_result: Callable[[FileResult, bool], None],
        stop: threading.Event,
    ) -> None:
        self._waiting = waiting
        self._suspects: deque[FileJob] = deque()
        self._running: dict[Future[FileResult], FileJob] = {}
        self._alone = False
        self._workers = workers
        self._ledger = ledger
        self._on_result = on_result
        self._stop = stop
        self._results: list[FileResult] = []

    def work(self) -> list[FileResult]:
        """Return the results of all jobs that ended."""
        stopped = False
        try:
            while self._running or ((self._waiting or self._suspects) and not stopped):
                if self._stop.is_set() and not stopped:
                    stopped = True
                    self._workers.stop()
                    for future in list(self._running):
                        future.cancel()
                if not stopped:
                    self._begin_more()
                done = wait(self._running, _LOOK_S, FIRST_COMPLETED).done
                self._take([future for future in self._running if future in done])
        finally:
            self._workers.close()
        return self._results

    def _begin_more(self) -> None:
        if self._suspects:
            if not self._running:
                self._alone = True
                self._submit(self._suspects.popleft())
            return
        for _ in range(min(len(self._waiting), self._workers.width - len(self._running))):
            self._alone = False
            self._submit(self._waiting.popleft())

    def _submit(self, job: FileJob) -> None:
        try:
            self._running[self._workers.submit(job)] = job
        except BrokenExecutor:  # a process was killed just now, and what is at work will tell
            self._waiting.appendleft(job)
            if not self._running:
                self._workers.renew()

    def _take(self, done: Sequence[Future[FileResult]]) -> None:
        broken = False
        for future in done:
            job = self._running.pop(future)
            try:
                result = future.result()
            except CancelledError:
                if not self._stop.is_set():
                    self._end(job, FileResult(job.name, failure="the cluster gave it up"))
                continue
            except BrokenExecutor:
                broken = True
                if self._alone:
                    self._end(job, FileResult(job.name, failure=_KILLED))
                else:
                    self._suspects.append(job)
                continue
            except Exception as error:  # whatever a worker says, the others go on
                text = str(error).strip().splitlines()
                reason = text[0] if text else type(error).__name__
                result = FileResult(job.name, failure=reason)
            self._end(job, result)
        if broken:
            self._suspects.extend(self._running.values())
            self._running.clear()
            self._workers.renew()

    def _end(self, job: FileJob, result: FileResult) -> None:
        if result.interrupted:
            return
        if result.written:
            try:
                self._ledger.add(job, result)
            except OSError as error:
                self._stop.set()
                reason = f"{shown(job.name)} cannot be noted as done: {error.strerror}"
                result = FileResult(job.name, result.frames, failure=reason)
        self._results.append(result)
        self._on_result(result, False)
