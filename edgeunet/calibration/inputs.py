"""The pictures of the inputs of ``edgeunet calibrate``, one in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgeunet.errors import SourceError
from edgeunet.label_maps import has_labels
from edgeunet.media.frames import Source
from edgeunet.media.sources import open_source
from edgeunet.names import shown
from edgeunet.photographs import Photograph, list_images, read_photograph
from edgeunet.suffixes import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Picture:
    """A picture, (H, W, 3) uint8 RGB, and its origin.

    path, frame: from where it can be read again; ``path`` is empty if it cannot.
    """

    name: str
    path: str
    frame: int | None
    image: Photograph


@dataclass
class Input:
    """One input of the command line.

    name: for messages, without passwords.
    limit: largest number of pictures.
    clip: the folder whose pictures are the frames of one clip; None where each is for itself.
    left_out: pictures that could not be used, with the reason.
    warnings: lines about pictures that could be.
    """

    name: str
    paths: Sequence[Path] = ()
    source: Source | None = None
    limit: int | None = None
    clip: Path | None = None
    left_out: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def fleeting(self) -> bool:
        """Whether the pictures cannot be read a second time."""
        return self.source is not None and not self.paths

    @property
    def count(self) -> int | None:
        every = len(self.paths) if self.source is None else self.source.frame_count
        known = [number for number in (every, self.limit) if number is not None]
        return min(known) if known else None

    def __iter__(self) -> Iterator[Picture]:
        return self._images() if self.source is None else self._frames(self.source)

    def close(self) -> None:
        if self.source is not None:
            self.source.close()

    def _images(self) -> Iterator[Picture]:
        for number, path in enumerate(self.paths[: self.limit]):
            try:
                image = read_photograph(path)
            except SourceError as error:
                self.left_out.append(error.message)
                continue
            if self.clip is None:
                yield Picture(shown(path.name), str(path), None, image)
            else:
                yield Picture(shown(path.name), str(self.clip), number, image)

    def _frames(self, source: Source) -> Iterator[Picture]:
        path = str(self.paths[0]) if self.paths else ""
        delivered = 0
        while delivered != self.limit:
            frame = source.read()
            if frame is None:
                self.left_out += source.report().left_out()
                break
            image = np.ascontiguousarray(frame.image[:, :, ::-1])
            yield Picture(f"{self.name}, frame {frame.index}", path, frame.index, image)
            delivered += 1
        self.warnings += source.report().warnings


def open_input(
    text: str, size: tuple[int, int] | None, limit: int | None, *, consecutive: bool = False
) -> Input:
    """Open an image, a folder of images, a clip, or any source of ``edgeunet run``.

    size: (height, width) that cameras are set to.
    limit: largest number of pictures. Of a folder with images/ and labels/, the images are taken.
    consecutive: the pictures of a folder are the frames of one clip.
        Raises SourceError for an input that cannot be read, and UsageError for one that is not a
        source.
    """
    path = Path(text)
    if path.is_dir():
        told: list[str] = []
        folder = path / "images" if has_labels(path) else path
        images = list_images(folder, notice=told.append)
        clip = folder if consecutive else None
        return Input(shown(path.name or text), images, None, limit, clip, told)
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        return Input(shown(path.name), [path], None, limit)
    source = open_source(text, size)
    matched = [path for path in source.paths if path.suffix.lower() in IMAGE_SUFFIXES]
    if matched:
        source.close()
        return Input(shown(text), matched, None, limit, None, [*source.report().warnings])
    if source.endless and limit is None:
        source.close()
        raise SourceError(f"{source.name!r} has no end", hint="say how far: --limit 1000")
    name = shown(Path(source.name).name if source.paths else source.name)
    return Input(name, source.paths, source, limit)
