"""Console output: tables and JSON on stdout, progress and notes on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table


def stdout() -> Console:
    # Brackets in file names are not markup.
    return Console(highlight=False, soft_wrap=True, markup=False)


def stderr() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Write a note to stderr; notes are never part of a result."""
    stderr().print(text, markup=False)


def warn(text: str) -> None:
    stderr().print(f"warning: {text}", markup=False)


def print_json(document: Any) -> None:
    """Write one JSON document, and nothing else, to stdout."""
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


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
        table.add_column(
            column,
            justify="right" if number else "left",
            no_wrap=number or index == 0,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*row)
    # Files and pipes get the full width, so that no figure is cut off.
    console = stdout() if sys.stdout.isatty() else Console(highlight=False, width=200, markup=False)
    console.print(table)


def progress(unit: str) -> Progress:
    """Return a progress bar on stderr, silent when stderr is not a terminal."""
    console = stderr()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}" + unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=False,
    )
