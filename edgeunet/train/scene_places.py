"""A folder of which every entry is one scene or one clip."""

from __future__ import annotations

from pathlib import Path

from edgeunet.errors import SourceError
from edgeunet.suffixes import IMAGE_SUFFIXES


def places_in(folder: Path, things: str, *, hint: str, hint_of_loose: str) -> list[Path]:
    """Return the entries of a folder, by name, without hidden ones.

    things: what an entry is, in the plural ("scenes"). hint, hint_of_loose: how to mend a folder
    that is not there, and one that is empty or holds images directly.
    Raises SourceError for such folders.
    """
    if not folder.is_dir():
        raise SourceError(f"there is no folder {str(folder)!r}", hint=hint)
    places = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    loose = [path for path in places if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    if loose or not places:
        what = f"{loose[0].name} lies directly in" if loose else f"there are no {things} in"
        raise SourceError(f"{what} {str(folder)!r}", hint=hint_of_loose)
    return places
