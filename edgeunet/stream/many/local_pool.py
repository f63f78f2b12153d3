"""Processes of this machine that do jobs: they end with their parent, and stop when it says so."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing.connection import wait
from multiprocessing.synchronize import Event

from edgeunet.stream.many.file_jobs import FileJob, FileResult, do_job

_stop: threading.Event | None = None


class LocalPool:
    """A pool of processes. One that a process was killed in is replaced by ``renew``.

    width: how many jobs are at work at a time.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        # A fresh interpreter: threads of the parent are no concern of its children.
        self._context = multiprocessing.get_context("spawn")
        self._stop = self._context.Event()
        self._executor = self._new()

    def submit(self, job: FileJob) -> Future[FileResult]:
        return self._executor.submit(_work, job)

    def renew(self) -> None:
        self._executor.shutdown(wait=True)
        self._executor = self._new()

    def stop(self) -> None:
        """End the jobs at work after their current frame."""
        self._stop.set()

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _new(self) -> Executor:
        return ProcessPoolExecutor(
            self.width, mp_context=self._context, initializer=_begin, initargs=(self._stop,)
        )


def _begin(stop: Event) -> None:
    """Prepare a process of the pool. stop: shared with the parent."""
    global _stop
    _stop = threading.Event()
    # Ctrl-C reaches the whole group; the parent says what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(stop, _stop), daemon=True).start()


def _follow(shared: Event, mine: threading.Event) -> None:
    """End this process when the parent is gone, and pass on its wish to stop."""
    parent = multiprocessing.parent_process()
    sentinels = [] if parent is None else [parent.sentinel]
    while not wait(sentinels, 0.2):
        if shared.is_set():
            mine.set()
    os._exit(1)


def _work(job: FileJob) -> FileResult:
    return do_job(job, _stop)
