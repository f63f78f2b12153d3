"""The command line in this process, as a person sees it: exit code and the two streams."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from edgeunet.cli import main

SMALL = ("--width", "8", "--size", "32x48")
RANDOM = ("export", "--model", "unetmm", *SMALL, "--random-weights")
"""An export that takes a second."""


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def failure(self) -> tuple[str, str]:
        """The message and the hint of a failure; notes may stand before them, nothing after."""
        lines = self.err.splitlines()
        assert self.code != 0, self.err
        assert self.out == ""
        assert [i for i, line in enumerate(lines) if line.startswith("error: ")] == [len(lines) - 2]
        assert [i for i, line in enumerate(lines) if line.startswith("hint: ")] == [len(lines) - 1]
        return lines[-2].removeprefix("error: "), lines[-1].removeprefix("hint: ")

    @property
    def notes(self) -> list[str]:
        return [line for line in self.err.splitlines() if not line.startswith(("error:", "hint:"))]


def edgeunet(*words: object) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return Ran(code, out.getvalue(), err.getvalue())


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, hidden files included, to be compared with later."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
