"""Image files of many kinds, made here, with their truth.

The truth is the array that was written, or what OpenCV or numpy makes of it: never what Pillow,
which reads the files, says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.images.kind import Kind
from tests.images.odd_kinds import bitmaps, other_formats, parts, stated_oddly, tiffs
from tests.images.plain_kinds import deep, grey_kinds, plain, transparent
from tests.images.special_kinds import broken, inks, several, turned


def kinds() -> list[Kind]:
    """Return every kind."""
    groups: list[Callable[[], Iterator[Kind]]] = [
        plain, grey_kinds, transparent, deep, inks, turned, several, broken,
        tiffs, bitmaps, stated_oddly, parts, other_formats,
    ]  # fmt: skip
    return [kind for group in groups for kind in group()]
