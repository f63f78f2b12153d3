"""Finds image files in folders, and tells of the pictures that are no such files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from edgeunet.errors import SourceError
from edgeunet.names import natural_order, shown
from edgeunet.suffixes import PICTURE_SUFFIXES

_NAMED = 5


def files_with(
    suffixes: Iterable[str],
    paths: Iterable[Path],
    root: Path | None,
    *,
    notice: Callable[[str], None],
) -> list[Path]:
    """Return the files with one of these suffixes, in the order given.

    suffixes: in lower case. root: the folder that all paths lie below; None for paths that match a
        pattern.
    notice: is given one line about other files that hold pictures by their suffix, such as HEIC
        photographs or videos, which nobody should miss without a word.
    What begins with a dot below the root is left out: macOS writes ``._a.png`` beside ``a.png``.
    Raises SourceError for a pipe, a socket or a device, which could block for ever.
    """
    wanted = frozenset(suffixes)
    found, others = [], []
    for path in paths:
        suffix = path.suffix.lower()
        if suffix not in PICTURE_SUFFIXES | wanted or path.is_dir():
            continue
        below = path.relative_to(root or path.parent).parts
        if any(part.startswith(".") for part in below):
            continue
        if suffix not in wanted:
            others.append(path)
            continue
        # A link that points nowhere is kept: reading it says so.
        if path.exists() and not path.is_file():
            raise SourceError(
                f"{shown(path)} is a pipe or a device, not an image file",
                hint="remove it from the folder",
            )
        found.append(path)
    if others:
        notice(_of_other_kinds(others, root))
    return found


def _of_other_kinds(paths: Sequence[Path], root: Path | None) -> str:
    names = sorted(
        (shown(path.relative_to(root or path.parent)) for path in paths), key=natural_order
    )
    named = ", ".join(names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    where = "" if root is None else f" in {shown(root)!r}"
    if len(names) == 1:
        return f"{named}{where} is of a kind that is not read there"
    return f"{len(names)} files{where} are of kinds that are not read there: {named}{more}"


def has_both(folder: Path, telling: str, other: str) -> bool:
    """Return whether a folder has two sub-folders that belong together.

    telling: the one that no ordinary folder of images has, such as ``labels``.
    Raises SourceError where ``telling`` is there without ``other``, or the two are spelled with
    other capitals. Their files would otherwise be taken for images of one kind.
    """
    if (folder / telling).is_dir() and (folder / other).is_dir():
        return True
    if not folder.is_dir():
        return False
    there = {path.name.lower(): path.name for path in folder.iterdir() if path.is_dir()}
    if telling not in there:
        return False
    if other in there:
        found = f"{shown(there[telling])}/ and {shown(there[other])}/"
        hint = f"name them {telling} and {other}"
    else:
        found = f"{shown(there[telling])}/, and no {other}/ beside it"
        hint = f"add {other}/, or give a folder of images that are all of one kind"
    raise SourceError(f"{shown(str(folder))!r} has {found}", hint=hint)
