"""Names of files: how they are shown and sorted, where they lie, and what libraries can take."""

from __future__ import annotations

import re
from pathlib import Path

from edgeunet.errors import SinkError, SourceError


def shown(name: str | Path) -> str:
    r"""Return a name as text that can be printed and written anywhere as UTF-8.

    Bytes that are no UTF-8, as in names from an old zip file, become ``\xdf``.
    """
    return str(name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_utf8(name: str | Path) -> bool:
    """Return whether a name is UTF-8, so that it can be written into a file as text."""
    return shown(name) == str(name)


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether a path, which need not exist, is a folder or lies below it, through links."""
    return path.resolve().is_relative_to(folder.resolve())


def natural_order(text: str) -> list[tuple[int, str]]:
    """Return a sort key that puts frame_2 before frame_10.

    Only decimal digits count as numbers: ① and ² are letters.
    """
    parts = re.findall(r"\d+|\D+", text)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def path_to_read(path: Path) -> str:
    """Return a path that a C library can be given.

    It is absolute, so that ``12:30.mp4`` is not taken for an address. Raises SourceError when it
    has bytes that are no UTF-8, which end the process inside OpenCV.
    """
    text = str(path.absolute())
    if not is_utf8(text):
        raise SourceError(
            f"the name '{shown(text)}' has bytes that are no UTF-8, and OpenCV needs UTF-8",
            hint="rename the file or its folder",
        )
    return text


def path_to_write(path: Path) -> str:
    """Return a path that a C library can be given to write to, as ``path_to_read`` does.

    Raises SinkError when it has bytes that are no UTF-8.
    """
    try:
        return path_to_read(path)
    except SourceError as error:
        raise SinkError(error.message, hint="choose another name for the output") from error
