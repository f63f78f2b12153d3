"""A video beside its target, which takes the target's name when it is whole."""

from __future__ import annotations

import contextlib

from edgeunet.errors import SinkError


class PendingFile(contextlib.ExitStack):
    """Holds ``files.replacing_file`` open for as long as a sink writes."""

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
