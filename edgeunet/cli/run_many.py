"""``edgeunet run --jobs N`` and ``--dask ADDRESS``: many video files into one folder."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeunet.cli import console
from edgeunet.cli.run_ending import InterruptedRunError, stopping
from edgeunet.errors import SourceError, UsageError
from edgeunet.names import shown

if TYPE_CHECKING:
    from edgeunet.stream.many.file_jobs import FileResult
    from edgeunet.stream.many.many_files import ManyFiles, Workers
    from edgeunet.stream.run_options import RunOptions

_MOST_JOBS = 1024


def run_many(
    options: RunOptions, jobs: int | None, dask: str | None, *, json: bool, json_lines: bool
) -> None:
    """Work on every video of a pattern; jobs: processes here, dask: a scheduler's address.

    Raises UsageError for options that many files cannot have, SourceError when files failed.
    """
    from edgeunet.bundle import open_bundle
    from edgeunet.processors import usable_cores
    from edgeunet.stream.many.file_jobs import jobs_of, orders_of
    from edgeunet.stream.many.many_files import work_on_all

    _check(options, jobs, dask)
    options.check()
    open_bundle(options.bundle)
    if jobs is not None and options.threads is None:
        options = dataclasses.replace(options, threads=max(1, usable_cores() // jobs))
    todo, notes = jobs_of(options)
    progress = _Progress(len(todo), json_lines=json_lines)
    for line in notes:
        progress.note(line)
    start_s = time.monotonic()
    with progress, stopping(outlives_a_terminal=True) as (stop, signals):
        result = work_on_all(
            todo,
            Path(options.sinks[0]),
            orders_of(options),
            _workers(jobs, dask),
            on_result=progress.show,
            stop=stop,
        )
    _print(result, time.monotonic() - start_s, json=json, json_lines=json_lines)
    if signals:
        raise InterruptedRunError(
            f": {result.left} of {len(todo)} files are left",
            signals,
            hint="run the command again to go on with them",
        )
    failed = result.failed
    if failed:
        raise SourceError(
            f"{len(failed)} of {len(todo)} files failed, the first is {shown(failed[0].name)}: "
            f"{failed[0].failure}",
            hint="mend or remove what the lines above name, and run again for them",
        )


def _check(options: RunOptions, jobs: int | None, dask: str | None) -> None:
    if jobs is not None and dask is not None:
        raise UsageError("--jobs and --dask exclude each other", hint="give one of them")
    if jobs is not None and not 1 <= jobs <= _MOST_JOBS:
        raise UsageError(f"{jobs} is not a number of jobs", hint="use --jobs 1 or more")
    for option, value in (
        ("--resume", options.resume),
        ("--segment", options.recording),
        ("--event", options.events),
        ("--preview", options.preview),
    ):
        if value:
            raise UsageError(
                f"{option} is not for many files",
                hint="leave it out, or leave --jobs and --dask out",
            )


def _workers(jobs: int | None, dask: str | None) -> Callable[[], Workers]:
    def local() -> Workers:
        from edgeunet.stream.many.local_pool import LocalPool

        return LocalPool(jobs or 1)

    def cluster() -> Workers:
        from edgeunet.stream.many.dask_cluster import DaskCluster

        return DaskCluster(dask or "")

    return local if dask is None else cluster


class _Progress:
    """A bar over all files on a terminal; otherwise a line per file."""

    def __init__(self, total: int, *, json_lines: bool) -> None:
        self._total = total
        self._json_lines = json_lines
        self._ended = 0
        self._frames = 0
        self._start_s = time.monotonic()
        self._bar = console.progress("")
        self._terminal = console.stderr().is_terminal and not json_lines
        self._task = self._bar.add_task("files", total=total, rate="-")
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> _Progress:
        if self._terminal:
            self._stack.enter_context(self._bar)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def note(self, line: str) -> None:
        if self._json_lines:
            console.print_json_line({"event": "note", "text": line})
        else:
            console.note(line)

    def show(self, result: FileResult, earlier: bool) -> None:
        self._ended += 1
        if self._json_lines:
            document = {"event": "file", **_document(result), "earlier": earlier}
            console.print_json_line(document)
            return
        if not earlier:
            self._frames += result.frames
        if self._terminal:
            rate = self._frames / max(time.monotonic() - self._start_s, 1e-9)
            self._bar.update(self._task, completed=self._ended, rate=f"{rate:.1f} frames/s")
        if result.failure:
            console.warn(f"{shown(result.name)}: {result.failure}")
        elif not self._terminal and not earlier:
            console.note(
                f"{self._ended} of {self._total}: {shown(result.name)}, {result.frames} frames"
            )


def _print(result: ManyFiles, elapsed_s: float, *, json: bool, json_lines: bool) -> None:
    """Print the result over all files. Rates are of what was done now."""
    frames = sum(one.frames for one in result.results[result.earlier :])
    document: dict[str, Any] = {
        "files": len(result.results) + result.left,
        "done": len(result.results) - len(result.failed),
        "earlier": result.earlier,
        "failed": len(result.failed),
        "left": result.left,
        "frames": frames,
        "fps": round(frames / max(elapsed_s, 1e-9), 3),
    }
    if json_lines:
        console.print_json_line({"event": "end", **document})
    elif json:
        console.print_json({**document, "results": [_document(one) for one in result.results]})
    else:
        rows = [
            ("files", str(document["files"])),
            ("done", str(document["done"])),
            ("of these in earlier runs", str(result.earlier)),
            ("failed", str(document["failed"])),
            ("frames now", str(frames)),
            ("frames per second", f"{document['fps']:.1f}"),
        ]
        console.print_table(None, ["run", ""], rows, text_columns=2)
    sys.stdout.flush()


def _document(result: FileResult) -> dict[str, Any]:
    return {
        "file": shown(result.name),
        "frames": result.frames,
        "fps": round(result.frames_per_second, 3),
        "failure": result.failure,
    }
