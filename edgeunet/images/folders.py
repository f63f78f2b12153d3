"""Finds image files in folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edgeunet.errors import SourceError
from edgeunet.names import shown


def files_with(suffixes: Iterable[str], paths: Iterable[Path], root: Path) -> list[Path]:
    """Return the files with one of these suffixes, in the order given.

    suffixes: in lower case. root: the folder that all paths lie below.
    What begins with a dot below the root is left out: macOS writes ``._a.png`` beside ``a.png``.
    Raises SourceError for a pipe, a socket or a device, which could block for ever.
    """
    wanted = frozenset(suffixes)
    found = []
    for path in paths:
        if path.suffix.lower() not in wanted or path.is_dir():
            continue
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        # A link that points nowhere is kept: reading it says so.
        if path.exists() and not path.is_file():
            raise SourceError(
                f"{shown(path)} is a pipe or a device, not an image file",
                hint="remove it from the folder",
            )
        found.append(path)
    return found
