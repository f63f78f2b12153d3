"""Reads a label image through Pillow: class numbers, or the colours that classes are drawn in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import MissingPackageError, SourceError
from edgeunet.images.orientation import upright
from edgeunet.images.reader import bytes_of
from edgeunet.names import shown

_HINT = "save the class number of every pixel as an 8-bit grey PNG"


@dataclass(frozen=True)
class StoredLabels:
    """What a label image holds, upright: numbers or colours.

    numbers: (H, W) uint8; None for a colour image.
    colours: (H, W, 3) uint8 RGB; None for an image of numbers.
    palette: the colours of a palette image, whose indices are ``numbers``.
    """

    numbers: NDArray[np.uint8] | None
    colours: NDArray[np.uint8] | None
    palette: tuple[tuple[int, int, int], ...] = ()


def read_label_file(path: Path) -> StoredLabels:
    """Read a label image. Grey of less than 8 bits gives its numbers, not their brightness.

    Raises SourceError when it is broken, holds several pictures, or has neither one channel of at
    most 8 bits, nor a palette, nor RGB colours.
    """
    try:
        from edgeunet.images.pillow_file import OpenedImage
    except ModuleNotFoundError as error:
        raise MissingPackageError("pillow", purpose="reading label images", extra="eval") from error
    name = shown(path.name)
    opened = OpenedImage(bytes_of(path), name)
    try:
        image, turn = opened.image, opened.orientation
        if image.format in ("JPEG", "MPO"):
            raise SourceError(
                f"{name} is not a label image: it is a JPEG file, which changes numbers", hint=_HINT
            )
        if opened.white_is_zero:
            raise SourceError(
                f"{name} is not a label image: its numbers stand for white at 0", hint=_HINT
            )
        if opened.depth <= 8 and image.mode in ("1", "L"):
            return StoredLabels(_as_stored(upright(np.asarray(image), turn), opened.depth), None)
        if image.mode == "P":
            palette = image.getpalette("RGB") or []
            triples = tuple(zip(palette[::3], palette[1::3], palette[2::3], strict=False))
            return StoredLabels(_bytes(upright(np.asarray(image), turn)), None, triples)
        if opened.depth <= 8 and image.mode in ("RGB", "RGBA"):
            colours = upright(np.asarray(image.convert("RGB")), turn)
            return StoredLabels(None, _bytes(colours))
        raise SourceError(
            f"{name} is not a label image: it has the mode {image.mode}, not one channel of 8 bits",
            hint=_HINT,
        )
    finally:
        opened.close()


def _as_stored(grey: NDArray[np.generic], depth: int) -> NDArray[np.uint8]:
    """Return the numbers of a grey image. Pillow gives False and True, or spreads them to 0..255.

    depth: bits of a sample in the file: 1, 2, 4 or 8.
    """
    if grey.dtype == np.bool_:
        return grey.astype(np.uint8)
    return _bytes(_bytes(grey) // (255 // ((1 << depth) - 1)))


def _bytes(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels, dtype=np.uint8)
