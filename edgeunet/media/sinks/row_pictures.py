"""PNG files that are written row by row, so that no whole picture is in memory.

The format is that of the W3C's Portable Network Graphics, third edition: one IHDR, IDAT chunks of
one zlib stream, IEND. Every row has the filter Up.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import IO, Protocol, runtime_checkable

import numpy as np

from edgeunet.errors import SinkError
from edgeunet.files import replacing_file
from edgeunet.media.frames import Frame
from edgeunet.media.sinks.pending_file import PendingFile
from edgeunet.specs import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EIGHT_BITS_RGB = (8, 2, 0, 0, 0)
_UP = 2
# Above it files become little smaller, and take several times as long.
_COMPRESSION = 3


class RowPicture:
    """One PNG file, (height, width) pixels, which takes its name once it is whole."""

    def __init__(self, path: Path, height: int, width: int) -> None:
        self._path, self._height = path, height
        self._row = 0
        self._above = np.zeros((1, width, 3), np.uint8)
        self._zlib = zlib.compressobj(_COMPRESSION)
        self._pending = PendingFile()
        try:
            beside = self._pending.enter_context(replacing_file(path))
            self._file: IO[bytes] = self._pending.enter_context(beside.open("wb"))
            self._file.write(_SIGNATURE)
            self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, *_EIGHT_BITS_RGB))
        except OSError as error:
            self.drop()
            raise self._cannot_write(error) from error

    def add(self, start: int, rows: Image) -> None:
        """Write rows, (rows, width, 3) uint8 BGR, of which ``start`` is the first's number.

        Raises ValueError for rows that do not follow those before, SinkError where the file cannot
        be written.
        """
        if start != self._row:
            raise ValueError(f"row {start} came where {self._row} is next")
        rgb = rows[:, :, ::-1]
        filtered = np.full((len(rows), 1 + rgb.shape[1] * 3), _UP, np.uint8)
        above = np.concatenate([self._above, rgb[:-1]])
        np.subtract(rgb, above, out=filtered[:, 1:].reshape(rgb.shape))
        self._above = np.ascontiguousarray(rgb[-1:])
        self._row += len(rows)
        try:
            self._chunk(b"IDAT", self._zlib.compress(filtered.tobytes()))
        except OSError as error:
            raise self._cannot_write(error) from error

    def keep(self) -> None:
        """Complete the file. Raises SinkError, and leaves nothing, when it cannot be."""
        try:
            if self._row != self._height:
                raise OSError(None, f"{self._row} of {self._height} rows came")
            self._chunk(b"IDAT", self._zlib.flush())
            self._chunk(b"IEND", b"")
            self._file.flush()
        except OSError as error:
            self.drop()
            raise self._cannot_write(error) from error
        self._pending.keep(str(self._path))

    def drop(self) -> None:
        """Remove the file, unless it is complete. Never raises."""
        self._pending.drop(SinkError(f"{self._path} was not completed", hint="run it again"))

    def _chunk(self, kind: bytes, content: bytes) -> None:
        if not content and kind == b"IDAT":
            return
        self._file.write(struct.pack(">I", len(content)) + kind + content)
        self._file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))

    def _cannot_write(self, error: OSError) -> SinkError:
        return SinkError(
            f"cannot write {str(self._path)!r}: {error.strerror}",
            hint="choose a folder that you may write to, on a disk with space left",
        )


@runtime_checkable
class TakesRows(Protocol):
    """A sink of picture files that takes a frame's picture row by row."""

    def path_of(self, frame: Frame) -> Path:
        """Return the file that a frame is written to."""
        ...

    def keep(self, picture: RowPicture, frame: Frame) -> bool:
        """Complete a frame's picture, all rows of which are written; see ``Sink.write``."""
        ...
