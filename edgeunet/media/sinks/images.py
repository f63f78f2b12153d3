"""Sinks for image files. Each file is written whole or not at all; written files are kept."""

from __future__ import annotations

import contextlib
from pathlib import Path

from edgeunet.errors import SinkError
from edgeunet.files import replacing_file
from edgeunet.media import opencv
from edgeunet.media.frames import Frame
from edgeunet.media.sinks.row_pictures import RowPicture
from edgeunet.names import shown
from edgeunet.specs import Image


class FolderSink:
    """A folder of PNG images, named after the source's images or ``frame_000001.png``."""

    def __init__(self, folder: Path) -> None:
        self.name = f"{folder}/"
        self._folder = folder
        self._written = 0
        self._created = not folder.exists()
        self._stale = {path.name for path in folder.glob("*.png")}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_write(folder, error, 0) from error

    def write(self, image: Image, frame: Frame) -> bool:
        path = self.path_of(frame)
        _write(path, image, self._written)
        return self._wrote(path)

    def path_of(self, frame: Frame) -> Path:
        """Return the file that a frame is written to."""
        name = frame.name or f"frame_{frame.index + 1:06d}"
        # Not with_suffix: it would cut a stem that has dots.
        return self._folder / f"{name}.png"

    def keep(self, picture: RowPicture, frame: Frame) -> bool:
        """Complete a frame's picture, all rows of which are written."""
        picture.keep()
        return self._wrote(self.path_of(frame))

    def _wrote(self, path: Path) -> bool:
        self._stale.discard(path.name)
        self._written += 1
        return True

    def finish(self) -> None:
        if self._created and not self._written:
            with contextlib.suppress(OSError):
                self._folder.rmdir()

    def discard(self) -> None:
        self.finish()

    def warnings(self) -> tuple[str, ...]:
        if not self._stale or not self._written:
            return ()
        many = len(self._stale)
        are = "image is" if many == 1 else "images are"
        return (f"{many} {are} in {shown(self.name)} from before, like {shown(min(self._stale))}",)


class ImageSink:
    """One image file, in the format of its suffix."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def write(self, image: Image, frame: Frame) -> bool:
        _write(self._path, image, 0)
        return True

    def path_of(self, frame: Frame) -> Path:
        """Return the file that a frame is written to."""
        return self._path

    def keep(self, picture: RowPicture, frame: Frame) -> bool:
        """Complete a frame's picture, all rows of which are written."""
        picture.keep()
        return True

    def finish(self) -> None:
        return None

    def discard(self) -> None:
        return None

    def warnings(self) -> tuple[str, ...]:
        return ()


def _write(path: Path, image: Image, written: int) -> None:
    data = opencv.encode_image(image, path.suffix.lower())
    try:
        with replacing_file(path) as beside:
            beside.write_bytes(data)
    except OSError as error:
        raise _cannot_write(path, error, written) from error


def _cannot_write(path: Path, error: OSError, written: int) -> SinkError:
    kept = f"; the {written} images before it are kept" if written else ""
    return SinkError(
        f"cannot write {str(path)!r}: {error.strerror}{kept}",
        hint="choose a folder that you may write to, on a disk with space left",
    )
