"""Remembers which files are done, so that the same command goes on where an earlier one ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgeunet.stream.many.file_jobs import FileJob, FileResult

FILE_NAME = "edgeunet-files.jsonl"


class JobLedger:
    """A file of JSON lines in the output folder, one per finished job; the last one counts.

    orders: a digest of the bundle and the options. A job is done when its source, its target and
    the orders are what they were.
    """

    def __init__(self, folder: Path, orders: str) -> None:
        self._path = folder / FILE_NAME
        self._orders = orders
        self._done: dict[str, dict[str, Any]] = {}
        for line in self._lines():
            try:
                entry = json.loads(line)
                self._done[entry["target"]] = entry
            except (ValueError, KeyError, TypeError):
                continue  # a line that was being written when the process was killed

    def done(self, job: FileJob) -> FileResult | None:
        """Return the result of a job that was done before; None where it is to be done."""
        entry = self._done.get(_key(job, self._path.parent))
        if entry is None or entry.get("orders") != self._orders:
            return None
        try:
            if entry.get("state") != _state(job):
                return None
        except OSError:
            return None
        return FileResult(
            job.name, int(entry.get("frames", 0)), 0.0, str(entry.get("failure", "")), written=True
        )

    def add(self, job: FileJob, result: FileResult) -> None:
        """Note a finished job, whose target is there. Raises OSError on a full disk."""
        entry = {
            "target": _key(job, self._path.parent),
            "orders": self._orders,
            "state": _state(job),
            "frames": result.frames,
            "failure": result.failure,
        }
        with self._path.open("a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(json.dumps(entry) + "\n")

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except FileNotFoundError:
            return []


def _key(job: FileJob, folder: Path) -> str:
    return str(job.target.relative_to(folder.absolute()))


def _state(job: FileJob) -> list[int]:
    """Return sizes in bytes and times of change in nanoseconds. Raises OSError for no file."""
    found = (job.source.stat(), job.target.stat())
    return [number for stat in found for number in (stat.st_size, stat.st_mtime_ns)]
