"""Video files, folders of images, globs and single images. All frames are delivered, in order."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from edgeunet.errors import SourceError
from edgeunet.media import opencv
from edgeunet.media.frames import Frame, Source, SourceReport
from edgeunet.media.sources.captured import CapturedFrames
from edgeunet.media.sources.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from edgeunet.specs import Image
from edgeunet.units import format_size

DEFAULT_FRAME_RATE = 25.0
# Some containers only estimate their frame count. A smaller relative gap is no sign of a cut file.
_COUNT_TOLERANCE = 0.005
_PROBED_IMAGES = 16


def open_path(text: str, size: tuple[int, int] | None) -> Source:
    """Open a video, an image, a folder of images or a glob.

    size: the image size to look for in a folder, (height, width); None takes the first image's.
    Raises SourceError when there is none or it cannot be read.
    """
    path = Path(text)
    if path.is_dir():
        images = _images(path.iterdir())
        if not images:
            raise SourceError(
                f"there are no images in the folder {text!r}",
                hint=f"it may hold {' '.join(IMAGE_SUFFIXES)}",
            )
        return ImageSource(text, images, size)
    if path.is_file():
        return _open_file(text, path, size)
    if glob.has_magic(text):
        # Path.glob does not support absolute patterns.
        images = _images(Path(name) for name in glob.glob(text, recursive=True))  # noqa: PTH207
        if not images:
            raise SourceError(
                f"no image matches {text!r}", hint="check the pattern, and keep it in quotes"
            )
        return ImageSource(text, images, size)
    if path.exists():
        raise SourceError(f"{text!r} is not a file or a folder", hint="for a camera, use v4l2://")
    raise SourceError(
        f"there is no file or folder {text!r}", hint="check the path, or try test:// for a pattern"
    )


def _open_file(text: str, path: Path, size: tuple[int, int] | None) -> Source:
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return ImageSource(text, [path], size)
    # FFmpeg renders text files as a video of a terminal, so only known video suffixes are opened.
    if suffix not in VIDEO_SUFFIXES:
        raise SourceError(
            f"{text!r} is neither a video nor an image by its suffix",
            hint=f"videos: {' '.join(VIDEO_SUFFIXES)}; images: {' '.join(IMAGE_SUFFIXES)}",
        )
    return VideoSource(text, path)


class VideoSource(CapturedFrames):
    """A video file. One that ends early is delivered up to its end, and that is reported."""

    live = False

    def __init__(self, name: str, path: Path) -> None:
        capture = opencv.Capture.file(path)
        first = capture.read() if capture is not None else None
        if capture is None or first is None:
            if capture is not None:
                capture.close()
            raise SourceError(
                f"{name!r} is not a video that can be read, or its end with the index is missing",
                hint="play it in a video player to check it; copy it again if it was cut off",
            )
        super().__init__(name, capture, first, DEFAULT_FRAME_RATE)
        self.paths = (path,)
        self.frame_count = capture.frame_count if capture.frame_count > 0 else None

    def report(self) -> SourceReport:
        warnings = []
        if not self._rate_known:
            warnings.append(f"{self.name} has no frame rate; {DEFAULT_FRAME_RATE:g} is assumed")
        missing = (self.frame_count or 0) - self._delivered
        cut = self._ended and missing > max(1, _COUNT_TOLERANCE * (self.frame_count or 0))
        broken_off = (
            f"{self.name} ends after {self._delivered} frames although its container "
            f"announces {self.frame_count}; the file may be cut off"
        )
        return SourceReport(
            warnings=tuple(warnings), complete=not cut, broken_off=broken_off if cut else ""
        )

    def _time_s(self) -> float:
        return self._delivered / self.frame_rate

    def _changed(self, size: str) -> SourceError:
        return SourceError(
            f"{self.name!r} changes its frame size to {size} after {self._delivered} frames",
            hint="cut it into one file per frame size",
        )


class ImageSource:
    """Image files in natural order. Broken ones and those of another size are skipped and named."""

    live = False
    frame_rate = DEFAULT_FRAME_RATE

    def __init__(self, name: str, paths: Sequence[Path], size: tuple[int, int] | None) -> None:
        self.name = name
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
            image = _read(path)
            if image is None:
                self._skipped.append(f"{path.name} is not an image that can be read")
            elif image.shape[:2] != (self.height, self.width):
                self._skipped.append(
                    f"{path.name} is {format_size(*image.shape[:2])}, "
                    f"not {format_size(self.height, self.width)}"
                )
            else:
                stem = path.stem if self._unique else f"{index + 1:06d}_{path.stem}"
                return Frame(index, index / self.frame_rate, image, stem)
        return None

    def report(self) -> SourceReport:
        return SourceReport(skipped=tuple(self._skipped), complete=not self._skipped)

    def close(self) -> None:
        return None

    def _find_size(self, wanted: tuple[int, int] | None) -> tuple[int, int]:
        """Return the wanted size when one of the first images has it, else the first image's size.

        Raises SourceError when no image can be read.
        """
        found: tuple[int, int] | None = None
        readable = 0
        for path in self.paths:
            image = _read(path)
            if image is None:
                continue
            readable += 1
            if readable > _PROBED_IMAGES:
                break
            found = found or (image.shape[0], image.shape[1])
            if wanted is None or image.shape[:2] == wanted:
                return image.shape[0], image.shape[1]
        if found is None:
            what = "is not an image" if len(self.paths) == 1 else "holds no image"
            raise SourceError(
                f"{self.name!r} {what} that can be read", hint="open it in a viewer to check it"
            )
        return found


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key that puts frame_2 before frame_10."""
    parts = re.findall(r"\d+|\D+", path.name)
    keys = [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
    return keys, str(path)


def _images(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]


def _read(path: Path) -> Image | None:
    """Read an image; return None when it is broken or may not be read."""
    try:
        return opencv.read_image(path)
    except OSError:
        return None
