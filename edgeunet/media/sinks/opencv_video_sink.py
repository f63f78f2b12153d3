"""Sink for video files through OpenCV, for a device without PyAV.

OpenCV reports no write errors, so the file's frames are counted at the end.
"""

from __future__ import annotations

from pathlib import Path

from edgeunet.errors import SinkError
from edgeunet.files import replacing_file
from edgeunet.media import opencv
from edgeunet.media.frames import Frame, StreamShape
from edgeunet.media.pyav import OLDEST
from edgeunet.media.sinks.full_disk import is_full
from edgeunet.media.sinks.pending_file import PendingFile
from edgeunet.specs import Image

CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".mkv": "FFV1"}
"""Suffix -> codec, by OpenCV's four letters."""

_CHECK_EVERY_FRAMES = 32


class PlainVideoSink:
    """Writes a temporary file beside the target, which replaces the target once it is complete."""

    def __init__(self, path: Path, shape: StreamShape) -> None:
        self.name = str(path)
        self._path = path
        self._shape = shape
        self._frames = 0
        self._size_bytes = 0
        codec = CODECS[path.suffix.lower()]
        if (shape.height % 2 or shape.width % 2) and codec != "MJPG":
            raise SinkError(
                f"{path.suffix} video has even sizes only, and the frames are "
                f"{shape.height}x{shape.width}",
                hint=f"write {path.with_suffix('.avi')}, or into a folder: {path.with_suffix('')}/",
            )
        self._pending = PendingFile()
        try:
            self._beside = self._pending.enter_context(replacing_file(path))
        except OSError as error:
            raise SinkError(
                f"cannot write {str(path)!r}: {error.strerror}",
                hint="choose a folder that you may write to",
            ) from error
        try:
            self._writer = opencv.Writer(
                self._beside, codec, shape.frame_rate, shape.height, shape.width
            )
        except BaseException as error:
            self._pending.drop(error)
            raise

    def write(self, image: Image, frame: Frame) -> bool:
        self._writer.write(image)
        self._frames += 1
        if self._frames % _CHECK_EVERY_FRAMES == 0:
            self._check_growth()
        return True

    def finish(self) -> None:
        try:
            self._writer.close()
            frames, *size = opencv.probe(self._beside) or (0, 0, 0)
            # One frame more is possible: an interrupt between a write and its count.
            whole = frames - self._frames in (0, 1)
            if not whole or size != [self._shape.height, self._shape.width]:
                raise self._failure(f"{frames} of {self._frames} frames", frames)
        except BaseException as error:
            self._pending.drop(error)
            raise
        self._pending.keep(self.name)

    def discard(self) -> None:
        self._writer.close()
        self._pending.drop(SinkError("discarded", hint=""))

    def warnings(self) -> tuple[str, ...]:
        return (
            f"{self.name} is written without PyAV {OLDEST}: at {self._shape.frame_rate:g} frames "
            f"per second throughout, and without sound (pip install 'av>={OLDEST}')",
        )

    def _check_growth(self) -> None:
        """Raise SinkError on a full disk, instead of computing frames that cannot be written."""
        size_bytes = self._beside.stat().st_size
        stuck = size_bytes == self._size_bytes
        self._size_bytes = size_bytes
        if stuck and is_full(self._path.parent):
            self._writer.close()
            frames, *_ = opencv.probe(self._beside) or (0, 0, 0)
            raise self._failure(f"about {size_bytes // 1024} KiB", frames)

    def _failure(self, what: str, readable: int) -> SinkError:
        """Keep the frames that can be read, and return what to raise."""
        kept = self._pending.keep_part(self._beside, self._path, min(readable, self._frames))
        if is_full(self._path.parent):
            return SinkError(
                f"the disk is full: {what} of {self.name!r} could be written; {kept}",
                hint="free some space, or write to another disk",
            )
        return SinkError(
            f"only {what} of {self.name!r} could be written; {kept}",
            hint="check the disk, its quota and the largest file size it allows",
        )
