"""Video files, folders of images, globs and single images. All frames are delivered, in order."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgeunet.errors import SourceError
from edgeunet.images.folder_walk import matching, walk
from edgeunet.images.folders import files_with
from edgeunet.images.reader import read_rgb
from edgeunet.media import pyav
from edgeunet.media.clip_facts import ClipFacts
from edgeunet.media.frames import Frame, Source, SourceReport
from edgeunet.names import natural_order, shown
from edgeunet.specs import Image
from edgeunet.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_other_image
from edgeunet.units import format_size

DEFAULT_FRAME_RATE = 25.0
_PROBED_IMAGES = 16


def open_path(text: str, size: tuple[int, int] | None) -> Source:
    """Open a video, an image, a folder of images or a glob.

    size: the image size to look for in a folder, (height, width); None takes the first image's.
    Raises SourceError when there is none or it cannot be read.
    """
    path = Path(text)
    told: list[str] = []
    if path.is_dir():
        images = files_with(IMAGE_SUFFIXES, path.iterdir(), path, notice=told.append)
        if not images:
            raise SourceError(
                "; ".join((f"there are no images in the folder {text!r}", *told)),
                hint=f"it may hold {' '.join(sorted(IMAGE_SUFFIXES))}",
            )
        return ImageSource(text, images, size, [*told, *_deeper(path)])
    if path.is_file():
        return _open_file(text, path, size)
    if glob.has_magic(text):
        matched = matching(text)
        images = files_with(IMAGE_SUFFIXES, matched, None, notice=told.append)
        if not images:
            videos = any(found.suffix.lower() in VIDEO_SUFFIXES for found in matched)
            raise SourceError(
                "; ".join((f"no image matches {shown(text)!r}", *told)),
                hint="several videos are run one by one, into a folder: add --jobs 2"
                if videos
                else "keep the pattern in quotes; a bracket in a name is written [[]",
            )
        return ImageSource(text, images, size, told)
    if path.exists():
        raise SourceError(f"{text!r} is not a file or a folder", hint="for a camera, use v4l2://")
    raise SourceError(
        f"there is no file or folder {text!r}", hint="check the path, or try test:// for a pattern"
    )


def _deeper(folder: Path) -> list[str]:
    """Return a line about images in folders of a folder, which are no frames of it, or none."""
    for path in walk(folder):
        if path.parent != folder and path.suffix.lower() in IMAGE_SUFFIXES:
            name, pattern = shown(path.relative_to(folder)), shown(folder / "**" / "*")
            return [
                f"images in folders of {shown(folder)!r}, such as {name}, are left out; name them "
                f"by {pattern!r}"
            ]
    return []


def _open_file(text: str, path: Path, size: tuple[int, int] | None) -> Source:
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES or is_other_image(suffix):
        return ImageSource(text, [path], size)
    # FFmpeg renders text files as a video of a terminal, so only known video suffixes are opened.
    if suffix not in VIDEO_SUFFIXES:
        raise SourceError(
            f"{text!r} is neither a video nor an image by its suffix",
            hint=f"videos: {' '.join(VIDEO_SUFFIXES)}; images: {' '.join(sorted(IMAGE_SUFFIXES))}",
        )
    if pyav.is_there():
        from edgeunet.media.sources.video_file import VideoSource

        return VideoSource(text, path)
    from edgeunet.media.sources.opencv_video_source import PlainVideoSource

    return PlainVideoSource(text, path)


class ImageSource:
    """Image files in natural order. Broken ones and those of another size are skipped and named."""

    live = False
    endless = False
    clip: ClipFacts | None = None
    frame_rate = DEFAULT_FRAME_RATE

    def __init__(
        self,
        name: str,
        paths: Sequence[Path],
        size: tuple[int, int] | None,
        warnings: Sequence[str] = (),
    ) -> None:
        """Find the frames' size.

        size: see ``open_path``. warnings: lines about files that are not among the paths.
        """
        self.name = name
        self._warnings = tuple(warnings)
        self.paths = tuple(sorted(paths, key=_natural))
        self.frame_count: int | None = len(self.paths)
        self.height, self.width = self._find_size(size)
        stems = Counter(path.stem for path in self.paths)
        self._unique = max(stems.values()) == 1
        self._next = 0
        self._skipped: list[str] = []

    def read(self) -> Frame | None:
        while self._next < len(self.paths):
            index, path = self._next, self.paths[self._next]
            self._next += 1
            try:
                image = _read(path)
            except SourceError as error:
                self._skipped.append(error.message)
                continue
            if image.shape[:2] != (self.height, self.width):
                self._skipped.append(
                    f"{shown(path.name)} is {format_size(*image.shape[:2])}, "
                    f"not {format_size(self.height, self.width)}"
                )
            else:
                stem = path.stem if self._unique else f"{index + 1:06d}_{path.stem}"
                return Frame(index, index / self.frame_rate, image, stem)
        return None

    def report(self) -> SourceReport:
        return SourceReport(
            skipped=tuple(self._skipped), warnings=self._warnings, complete=not self._skipped
        )

    def close(self) -> None:
        return None

    def _find_size(self, wanted: tuple[int, int] | None) -> tuple[int, int]:
        """Return the wanted size when one of the first images has it, else the first image's size.

        Raises SourceError when no image can be read.
        """
        found: tuple[int, int] | None = None
        failure: SourceError | None = None
        readable = 0
        for path in self.paths:
            try:
                image = _read(path)
            except SourceError as error:
                failure = failure or error
                continue
            readable += 1
            if readable > _PROBED_IMAGES:
                break
            found = found or (image.shape[0], image.shape[1])
            if wanted is None or image.shape[:2] == wanted:
                return image.shape[0], image.shape[1]
        if found is not None:
            return found
        if failure is not None and len(self.paths) == 1:
            raise failure
        why = "" if failure is None else f": {failure.message}"
        raise SourceError(
            f"{self.name!r} holds no image that can be read{why}",
            hint="open it in a viewer to check it" if failure is None else failure.hint,
        )


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key that puts frame_2 before frame_10."""
    return natural_order(path.name), str(path)


def _read(path: Path) -> Image:
    """Read an image as (H, W, 3) uint8 BGR. Raises SourceError as ``read_rgb`` does."""
    return np.ascontiguousarray(read_rgb(path)[:, :, ::-1])
