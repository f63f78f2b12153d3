"""How many bits of 16-bit image files are meant, where a person says it and the files do not.

Two places count: an option, which holds for the whole process while it is set, and a file
``image-bits.txt`` with the number in it, which holds for the images in its folder and below. The
option comes first, then the nearest file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from edgeunet.errors import SourceError, UsageError
from edgeunet.names import shown

FILE_NAME = "image-bits.txt"
FEWEST, MOST = 8, 16

# Of the option. One number for all threads: sources are read in threads of their own.
_said: list[int] = []
_LARGEST_FILE_BYTES = 64


@contextlib.contextmanager
def stating_bits(bits: int | None) -> Iterator[None]:
    """Let a number hold for the image files that are read meanwhile; None changes nothing.

    Raises UsageError unless it is 8 to 16.
    """
    if bits is None:
        yield
        return
    if not FEWEST <= bits <= MOST:
        raise UsageError(f"{bits} is no number of bits of an image", hint="give 8 to 16, like 12")
    _said.append(bits)
    try:
        yield
    finally:
        _said.remove(bits)


def stated_bits(path: Path) -> int | None:
    """Return how many bits are meant in a file, 8 to 16, or None when nobody says.

    Raises SourceError for an ``image-bits.txt`` that holds anything else.
    """
    if _said:
        return _said[-1]
    for folder in path.absolute().parents:
        stating = folder / FILE_NAME
        if stating.is_file():
            return _read(stating)
    return None


def _read(path: Path) -> int:
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_FILE_BYTES).decode("ascii", "replace").strip()
    except OSError as error:
        raise SourceError(
            f"{shown(path)} cannot be read: {error.strerror}", hint="check your rights to it"
        ) from error
    if not text.isdecimal() or not FEWEST <= int(text) <= MOST:
        raise SourceError(
            f"{shown(path)} must hold one number, {FEWEST} to {MOST}, and holds {text!r}",
            hint="write how many bits of 16-bit images are meant, like 12, or remove the file",
        )
    return int(text)
