"""Reads image files through OpenCV: samples of 16 bits, and plain files where Pillow is missing.

Owns OpenCV's image decoders. Importing it without OpenCV raises MissingPackageError.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import MissingPackageError
from edgeunet.images import problems
from edgeunet.images.deep import Stated, to_eight_bits
from edgeunet.images.headers import PNG_SIGNATURE, UPRIGHT, Facts, facts_of, is_whole_png
from edgeunet.images.jpeg_ends import is_cut
from edgeunet.images.orientation import upright
from edgeunet.images.other_formats import format_of

try:
    import cv2
except ImportError as missing:
    raise MissingPackageError(
        "opencv-python",
        purpose="reading images of 16 bits, or without Pillow",
        extra="video",
        error=missing,
    ) from missing

_RGB_TIFF = 2
_GREY_TIFF = 1


def be_quiet() -> None:
    """Turn OpenCV's messages off: they name its source lines, and help no user."""
    if hasattr(cv2, "setLogLevel"):  # OpenCV 4
        cv2.setLogLevel(0)
    elif hasattr(cv2.utils, "logging"):  # OpenCV 5
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


be_quiet()


def decode_as_stored(data: bytes) -> NDArray[Any] | None:
    """Return an image file's samples: (H, W) grey, or (H, W, 3 or 4) RGB or RGBA; None if broken.

    They are neither turned nor scaled.
    """
    # For a damaged file libpng writes to stderr, whatever the log level.
    if data.startswith(PNG_SIGNATURE) and not is_whole_png(data):
        return None
    try:
        # Not imread: it fills the missing part of a truncated JPEG with grey and reports success.
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if pixels is None or pixels.ndim == 2:
        return cast("NDArray[Any] | None", pixels)
    pixels[:, :, :3] = pixels[:, :, 2::-1].copy()
    return cast("NDArray[Any]", pixels)


def read_rgb(data: bytes, name: str, stated: Stated) -> NDArray[np.uint8]:
    """Return the picture in a plain image file's bytes, (H, W, 3) uint8 RGB.

    The rules are those of ``edgeunet.images.pillow_file``. Raises SourceError when the file is
    broken, and when it is of a kind that OpenCV may read wrongly: then Pillow is needed.
    """
    facts = facts_of(data)
    if facts is None:
        if what := format_of(data):
            raise problems.other_format(name, what)
        raise problems.broken(name) if not data else problems.needs_pillow(name)
    if facts.raw:
        raise problems.other_format(name, "a raw photograph")
    if facts.other_range:
        raise problems.other_range(name)
    if facts.several:
        raise problems.several_pictures(name)
    if not _is_plain(facts):
        raise problems.needs_pillow(name)
    pixels = decode_as_stored(data)
    if pixels is None or facts.short:
        raise problems.broken(name)
    stored = pixels
    if facts.kind == "jpeg" and is_cut(data, stored[-1, -1], lambda: stored, decode_as_stored):
        raise problems.broken(name)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    pixels = pixels[:, :, :3]
    if pixels.dtype == np.uint16:
        pixels = to_eight_bits(pixels, name, facts.meant_bits, stated)
    return np.ascontiguousarray(upright(pixels, facts.orientation), dtype=np.uint8)


def _is_plain(facts: Facts) -> bool:
    """Return whether OpenCV reads files with these facts rightly."""
    if facts.kind == "jpeg":
        return facts.depth == 8 and facts.channels in (1, 3)
    if facts.kind == "tiff":
        plain = (facts.photometric, facts.channels) in ((_GREY_TIFF, 1), (_RGB_TIFF, 3))
        # OpenCV turns TIFF files itself, in some of its versions.
        # Of damaged strips that are packed, it returns what it could unpack.
        plain = plain and not facts.packed and not facts.reduced
        return plain and facts.depth in (8, 16) and facts.orientation == UPRIGHT
    if facts.kind == "bmp":
        # It does not spread 5 bits to 8.
        return not facts.packed and facts.depth in (1, 4, 8, 24, 32)
    return facts.depth in (1, 2, 4, 8, 16)
