"""Reads an image file as RGB. Every verb reads through here, so that all see the same picture."""

from __future__ import annotations

import functools
import os
import stat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import SourceError
from edgeunet.images.stated_bits import stated_bits
from edgeunet.names import shown


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Return the picture of an image file, (H, W, 3) uint8 RGB, upright.

    Reads through Pillow, and where that is missing through OpenCV, which refuses what it may read
    wrongly. Raises SourceError when the file is no regular one, cannot be read, is broken, too
    large, of a kind that is not converted, or holds several pictures.
    """
    data, name = bytes_of(path), shown(path.name)
    stated = functools.partial(stated_bits, path)
    try:
        from edgeunet.images import pillow_file
    except ModuleNotFoundError:
        from edgeunet.images import opencv_file

        return opencv_file.read_rgb(data, name, stated)
    return pillow_file.read_rgb(data, name, stated)


def bytes_of(path: Path) -> bytes:
    """Return the content of a regular file. A pipe or a device could block for ever."""
    name = shown(path.name)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError(
                f"{name} is not a regular file", hint="name an image file, or remove it"
            )
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or os.strerror(error.errno or 0)
        raise SourceError(
            f"{name} cannot be read: {reason}", hint="check the file and your rights to it"
        ) from error
