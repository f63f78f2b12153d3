"""Console output: tables and JSON on stdout, progress and notes on stderr.

Text is printed as it is: brackets are no markup and :smile: is no emoji. A character that a
terminal's encoding lacks is written by its number, and a note that cannot be written is dropped.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from edgeunet.names import shown

_PIPE_WIDTH = 200
_STREAMS = ("stdin", "stdout", "stderr")


def prepare_streams() -> None:
    """Let no stream raise for a closed descriptor or for a character that its encoding lacks.

    A closed descriptor is opened on the null device. Otherwise the next file that is opened would
    get its number, and a library's messages would be written into that file.
    """
    for number, name in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def stdout(width: int | None = None) -> Console:
    """Return the console of results. width: in characters; None for the terminal's."""
    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False, width=width)


def stderr() -> Console:
    """Return the console of notes. What cannot be written there is dropped."""
    stream: Any = _Forgiving(sys.stderr)
    return Console(file=stream, highlight=False, soft_wrap=True, markup=False, emoji=False)


class _Forgiving:
    """A stream that may lose its reader, such as a terminal that is closed, without an error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        # Nobody reads it any more: that is no reason to end the work.
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def note(text: str) -> None:
    """Write a note to stderr; notes are never part of a result."""
    stderr().print(shown(text))


def warn(text: str) -> None:
    note(f"warning: {text}")


def print_json(document: Any) -> None:
    """Write one JSON document, and nothing else, to stdout."""
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


def print_json_line(document: Any) -> None:
    """Write a JSON document as one line to stdout at once; drop it when nobody reads any more."""
    stream = _Forgiving(sys.stdout)
    stream.write(json.dumps(document, separators=(",", ":")) + "\n")
    stream.flush()


def drop_stdout() -> None:
    """Write what is left in stdout's buffer, or send it nowhere where that fails."""
    with contextlib.suppress(OSError, ValueError):
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            return
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_table(
    title: str | None,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    text_columns: int = 1,
) -> None:
    """Print a table.

    text_columns: number of first columns with text; the others are numbers, aligned right.
    """
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        number = index >= text_columns
        # Only prose may wrap, not figures or names.
        whole = number or index == 0
        cells = [column, *(row[index] for row in rows)]
        table.add_column(
            column,
            justify="right" if number else "left",
            no_wrap=whole,
            overflow="fold",
            min_width=max(map(cell_len, cells)) if whole else None,
        )
    for row in rows:
        table.add_row(*map(shown, row))
    # A table cut to a narrow terminal would lose figures: there its lines run on.
    console = stdout()
    width = console.width if sys.stdout.isatty() else _PIPE_WIDTH
    options = console.options.update(width=_PIPE_WIDTH)
    needed = Measurement.get(console, options, table).minimum
    stdout(max(width, needed)).print(table)


def progress(unit: str) -> Progress:
    """Return a progress bar on stderr, silent when stderr is not a terminal."""
    console = stderr()
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}" + unit, markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=False,
    )
