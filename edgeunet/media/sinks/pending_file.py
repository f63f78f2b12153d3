"""A video beside its target, which takes the target's name when it is whole."""

from __future__ import annotations

import contextlib
from pathlib import Path

from edgeunet.errors import SinkError
from edgeunet.files import keep_part
from edgeunet.names import shown


class PendingFile(contextlib.ExitStack):
    """Holds ``files.replacing_file`` open for as long as a sink writes."""

    def keep_part(self, beside: Path, target: Path, frames: int) -> str:
        """Keep an unfinished file under a name of its own, and return the words for that.

        frames: how many can be read of it. Without any, ``drop`` removes it.
        """
        if frames:
            with contextlib.suppress(OSError):
                kept = keep_part(beside, target)
                many = "1 frame" if frames == 1 else f"{frames} frames"
                return f"what plays of it, {many}, is kept in {shown(kept)!r}"
        return "nothing was kept"

    def keep(self, name: str) -> None:
        """Give the file its name. Raises SinkError if that cannot be done."""
        try:
            self.close()
        except OSError as error:
            raise SinkError(
                f"cannot write {name!r}: {error.strerror}", hint="choose another file name"
            ) from error

    def drop(self, error: BaseException) -> None:
        """Leave ``replacing_file`` with an error, so that it removes the temporary file."""
        with contextlib.suppress(type(error), OSError):
            self.__exit__(type(error), error, error.__traceback__)
