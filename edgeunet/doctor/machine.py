"""Access to the machine's files, commands and Python. Tests replace it with a simulated machine.

Nothing here raises when something is missing: a file that cannot be read gives None, and a command
that cannot run gives an ``Outcome`` without a code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

# More than any file that is read should have.
_LONGEST_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class Outcome:
    """The result of a command.

    code: exit status; negative for a signal, None when it did not start or took too long.
    out, err: its output.
    """

    code: int | None
    out: str = ""
    err: str = ""


@dataclass(frozen=True)
class PythonFacts:
    """The running Python.

    prefix, base_prefix: these differ in a virtual environment.
    """

    executable: str
    version: tuple[int, int]
    prefix: str
    base_prefix: str

    @property
    def in_environment(self) -> bool:
        return self.prefix != self.base_prefix

    @property
    def text(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


def this_python() -> PythonFacts:
    """Return the facts about the running Python."""
    return PythonFacts(
        executable=sys.executable,
        version=(sys.version_info.major, sys.version_info.minor),
        prefix=sys.prefix,
        base_prefix=sys.base_prefix,
    )


def run_command(words: Sequence[str], timeout_s: float) -> Outcome:
    """Run a command without a terminal.

    It runs in ``/``, so that modules in the current folder are not imported.
    """
    try:
        done = subprocess.run(
            list(words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        return Outcome(None, err=f"no answer within {timeout_s:g} s")
    except OSError as error:
        return Outcome(None, err=error.strerror or str(error))
    texts = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
    return Outcome(done.returncode, *texts)


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed package, or None. It is not imported."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def free_bytes_here() -> int | None:
    """Return the free bytes on this folder's disk, or None."""
    try:
        return shutil.disk_usage(Path.cwd()).free
    except OSError:
        return None


def _readable(path: Path) -> bool:
    return os.access(path, os.R_OK)


@dataclass(frozen=True)
class Machine:
    """The machine that the probes examine.

    root: the folder that holds /proc, /sys, /etc, /dev and /usr.
    python: the running Python.
    run: see ``run_command``.
    version_of: see ``installed_version``.
    free_bytes: see ``free_bytes_here``.
    readable: whether this user may read a path.
    """

    root: Path = Path("/")
    python: PythonFacts = field(default_factory=this_python)
    run: Callable[[Sequence[str], float], Outcome] = run_command
    version_of: Callable[[str], str | None] = installed_version
    free_bytes: Callable[[], int | None] = free_bytes_here
    readable: Callable[[Path], bool] = _readable

    def path(self, absolute: str) -> Path:
        return self.root / absolute.lstrip("/")

    def read(self, absolute: str | Path) -> str | None:
        """Return a file's text without NUL bytes and white space at its ends.

        Returns None when it cannot be read.
        """
        path = self.path(absolute) if isinstance(absolute, str) else absolute
        try:
            with path.open("rb") as stream:
                data = stream.read(_LONGEST_FILE_BYTES)
        except (OSError, ValueError):
            return None
        return data.decode("utf-8", "replace").strip("\0 \n\t")

    def number(self, absolute: str | Path) -> int | None:
        """Return the whole number that a file holds, or None."""
        text = self.read(absolute)
        try:
            return None if text is None else int(text)
        except ValueError:
            return None

    def exists(self, absolute: str) -> bool:
        try:
            return self.path(absolute).exists()
        except OSError:
            return False

    def glob(self, pattern: str) -> list[Path]:
        """Return the paths that match a pattern, sorted by name.

        Trailing digits are compared as a number.
        """
        try:
            found = list(self.root.glob(pattern.lstrip("/")))
        except OSError:
            return []
        return sorted(found, key=_by_number)


def _by_number(path: Path) -> tuple[str, int, str]:
    stem = path.name.rstrip("0123456789")
    digits = path.name[len(stem) :]
    return stem, int(digits or 0), str(path)
