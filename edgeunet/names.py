"""Names of files: how they are shown and sorted, where they lie, and what libraries can take."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from edgeunet.errors import SinkError, SourceError

_OPEN_FILES = Path("/proc/self/fd")


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


def compared_forms(names: Collection[str]) -> dict[str, str]:
    """Return name -> the form that it is compared in with names of another folder.

    A Mac writes é in two characters, and others in one (Unicode's NFD and NFC). So names are
    compared in NFC, but for those that only differ in that.
    """
    forms = {name: unicodedata.normalize("NFC", name) for name in names}
    often = Counter(forms.values())
    return {name: form if often[form] == 1 else name for name, form in forms.items()}


@contextlib.contextmanager
def path_to_read(path: Path) -> Iterator[str]:
    """Yield a path that a C library can be given, for as long as it opens the file.

    It is absolute, so that ``12:30.mp4`` is not taken for an address. Bytes that are no UTF-8 end
    the process inside OpenCV: such a file is opened here, and named by its number in Linux's
    ``/proc``. Raises OSError when that fails, and SourceError on other systems.
    """
    text = str(path.absolute())
    if is_utf8(text):
        yield text
        return
    if not _OPEN_FILES.is_dir():
        raise SourceError(_no_utf8(text, "this system"), hint="rename the file or its folder")
    with path.open("rb") as file:
        yield str(_OPEN_FILES / str(file.fileno()))


def path_to_write(path: Path) -> str:
    """Return a path, absolute, that OpenCV can be given to write to.

    Raises SinkError when it has bytes that are no UTF-8.
    """
    text = str(path.absolute())
    if not is_utf8(text):
        raise SinkError(_no_utf8(text, "OpenCV"), hint="choose another name for the output")
    return text


def _no_utf8(name: str, who: str) -> str:
    return f"the name '{shown(name)}' has bytes that are no UTF-8, and {who} needs UTF-8"
