"""Read photographs as arrays: those of scikit-image, and image files. Owns scikit-image."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import MissingPackageError, SourceError
from edgeunet.images.folder_walk import paths_below
from edgeunet.images.folders import files_with
from edgeunet.images.reader import read_rgb
from edgeunet.names import shown
from edgeunet.suffixes import IMAGE_SUFFIXES

Photograph = NDArray[np.uint8]
LabelMap = NDArray[np.uint8]

# Colour photographs inside the scikit-image wheel (no download), public domain or CC0.
_SHIPPED = ("astronaut", "coffee", "chelsea", "rocket")


def shipped_photographs() -> dict[str, Photograph]:
    """Return name -> (H, W, 3) uint8 RGB for every photograph scikit-image ships."""
    data = _module("skimage.data")
    return {name: np.ascontiguousarray(getattr(data, name)()) for name in _SHIPPED}


def read_photograph(path: Path) -> Photograph:
    """Read an image file as (H, W, 3) uint8 RGB, upright; raises SourceError as ``read_rgb``."""
    return read_rgb(path)


def png_of(pixels: NDArray[np.uint8]) -> bytes:
    """Return (H, W, 3) uint8 RGB as the bytes of a PNG file."""
    file = io.BytesIO()
    _module("PIL.Image").fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def jpeg_coded(pixels: Photograph, quality: int, subsampling: str) -> Photograph:
    """Return an image (H, W, 3) uint8 RGB as it comes out of a JPEG file.

    quality: 1..100, as libjpeg counts it. subsampling: of the colours, such as ``4:2:0``.
    """
    pillow = _module("PIL.Image")
    file = io.BytesIO()
    pillow.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    with pillow.open(file) as image:
        return np.asarray(image)


def resized(pixels: Photograph, height: int, width: int) -> Photograph:
    """Return an image (H, W, 3) uint8 RGB at another size, by Lanczos resampling."""
    pillow = _module("PIL.Image")
    return np.asarray(pillow.fromarray(pixels).resize((width, height), pillow.Resampling.LANCZOS))


def enlarged(planes: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """Return an image, (3, H, W) uint8, with ``times`` its rows and columns.

    The interpolation is bicubic (Keys, 1981, with a of -0.5), which super-resolution is compared
    with.
    """
    if times == 1:
        return planes
    pillow = _module("PIL.Image")
    image = pillow.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)))
    sides = (planes.shape[2] * times, planes.shape[1] * times)
    pixels = np.asarray(image.resize(sides, pillow.Resampling.BICUBIC))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def resized_plane(plane: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Return a plane (H, W) float32 at another size, by bicubic interpolation."""
    pillow = _module("PIL.Image")
    image = pillow.fromarray(np.ascontiguousarray(plane))
    return np.asarray(image.resize((width, height), pillow.Resampling.BICUBIC))


def list_images(folder: Path, *, notice: Callable[[str], None]) -> list[Path]:
    """Return the image files below a folder, sorted.

    notice: is given one line about pictures of kinds that are not read.
    Raises SourceError when there are none, and for a pipe or a device among them.
    """
    if not folder.is_dir():
        raise SourceError(f"there is no folder {shown(folder)!r}", hint="give a folder of images")
    told: list[str] = []
    found = files_with(IMAGE_SUFFIXES, paths_below(folder), folder, notice=told.append)
    if not found:
        raise SourceError(
            "; ".join((f"there are no images in {shown(folder)!r}", *told)),
            hint=f"supported: {', '.join(sorted(IMAGE_SUFFIXES))}",
        )
    for line in told:
        notice(line)
    return found


def fill_frame(photograph: Photograph, height: int, width: int) -> Photograph:
    """Return a (height, width, 3) view of a photograph, mirrored where it is too small."""
    rows = _mirrored(photograph.shape[0], height)
    columns = _mirrored(photograph.shape[1], width)
    return np.ascontiguousarray(photograph[rows][:, columns])


def _mirrored(have: int, want: int) -> NDArray[np.intp]:
    """Return ``want`` indices that run forth and back over ``have``, or its central part."""
    if want <= have:
        start = (have - want) // 2
        return np.arange(start, start + want)
    there_and_back = np.concatenate([np.arange(have), np.arange(have - 1, -1, -1)])
    return np.resize(there_and_back, want)


def _module(name: str) -> Any:
    """Return a module of scikit-image, or of a package that it depends on."""
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "scikit-image", purpose="reading photographs", extra="export"
        ) from error
