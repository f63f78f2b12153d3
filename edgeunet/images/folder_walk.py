"""What lies below a folder, and what matches a pattern, the same for every verb.

Folders are entered through links, too, each real one once: a link to a folder above would double
its files. Folders whose names begin with a dot are not entered.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

_ANY_FOLDERS = "**"


def paths_below(folder: Path) -> list[Path]:
    """Return all files and folders below a folder, sorted; none for a folder that is not there.

    Raises OSError for a closed folder.
    """
    return sorted(walk(folder))


def walk(folder: Path) -> Iterator[Path]:
    """Yield all files and folders below a folder, in no order. Raises as ``paths_below``."""
    for _, inside in _entered(folder):
        yield from inside


def matching(pattern: str) -> list[Path]:
    """Return the paths that match a pattern, sorted.

    ``**`` stands for any folders below the one before it, that one included.
    Raises OSError for a closed folder below such a one.
    """
    parts = pattern.split(os.sep)  # noqa: PTH206 - a path would lose an empty first part
    if _ANY_FOLDERS not in parts:
        return sorted(Path(name) for name in glob.glob(pattern))  # noqa: PTH207
    at = parts.index(_ANY_FOLDERS)
    before, after = os.sep.join(parts[:at]), os.sep.join(parts[at + 1 :]) or "*"  # noqa: PTH118
    if not before and at:  # the pattern begins at the root
        before = os.sep
    found: set[Path] = set()
    for top in matching(before) if before else [Path()]:
        for folder, _ in _entered(top):
            inside = "" if folder == Path() else f"{glob.escape(str(folder))}{os.sep}"
            found.update(matching(inside + after))
    return sorted(found)


def _entered(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield every real folder from a folder on, with the paths in it."""
    seen: set[tuple[int, int]] = set()
    waiting, links = [folder] if folder.is_dir() else [], list[Path]()
    # A folder is entered by its own name before it is by a link.
    while waiting or links:
        here = waiting.pop() if waiting else links.pop(0)
        state = here.stat()
        if (state.st_dev, state.st_ino) in seen:
            continue
        seen.add((state.st_dev, state.st_ino))
        with os.scandir(here) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
        yield here, [here / entry.name for entry in inside]
        for entry in inside:
            path = here / entry.name
            if not entry.name.startswith(".") and path.is_dir():
                (links if entry.is_symlink() else waiting).append(path)
