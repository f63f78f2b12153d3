"""Read photographs and label images as arrays. Owns scikit-image.

Photographs are those of scikit-image, and image files.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import MissingPackageError, SourceError

Photograph = NDArray[np.uint8]
LabelMap = NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm"})

# A JPEG with four channels is CMYK, not RGBA.
_CMYK_SUFFIXES = frozenset({".jpg", ".jpeg"})

# Colour photographs inside the scikit-image wheel (no download), public domain or CC0.
_SHIPPED = ("astronaut", "coffee", "chelsea", "rocket")


def shipped_photographs() -> dict[str, Photograph]:
    """Return name -> (H, W, 3) uint8 RGB for every photograph scikit-image ships."""
    data = _module("skimage.data")
    return {name: np.ascontiguousarray(getattr(data, name)()) for name in _SHIPPED}


def read_photograph(path: Path) -> Photograph:
    """Read an image file as (H, W, 3) uint8 RGB.

    Raises SourceError when it is not an 8-bit image.
    """
    imageio = _module("imageio.v3")
    try:
        # The plugin is named, because imageio would otherwise try old decoders for unknown
        # files. These leave the file open and raise various errors.
        pixels = imageio.imread(path, plugin="pillow")
        if pixels.ndim == 3 and pixels.shape[2] == 4 and path.suffix.lower() in _CMYK_SUFFIXES:
            pixels = imageio.imread(path, plugin="pillow", mode="RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise SourceError(
            f"{path.name} is not a readable image", hint="remove the file or replace it"
        ) from error
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or pixels.dtype != np.uint8:
        raise SourceError(
            f"{path.name} is not an 8-bit grey or colour image", hint="convert it to 8-bit RGB"
        )
    return np.ascontiguousarray(pixels[:, :, :3])


def read_labels(path: Path) -> LabelMap:
    """Read a label image as (H, W) uint8 class numbers.

    The file has one channel of 8 bits, or a palette, whose indices are the class numbers.
    Raises SourceError for any other file.
    """
    pillow = _module("PIL.Image")
    try:
        with pillow.open(path) as image:
            mode, numbers = image.mode, np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise SourceError(
            f"{path.name} is not a readable image", hint="remove the file or replace it"
        ) from error
    if mode not in ("L", "P"):
        raise SourceError(
            f"{path.name} is not a label image: it has the mode {mode}, not one channel of 8 bits",
            hint="save the class number of every pixel as an 8-bit grey PNG",
        )
    return np.ascontiguousarray(numbers)


def png_of(pixels: NDArray[np.uint8]) -> bytes:
    """Return (H, W, 3) uint8 RGB as the bytes of a PNG file."""
    encoded: bytes = _module("imageio.v3").imwrite("<bytes>", pixels, extension=".png")
    return encoded


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


def resized_plane(plane: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Return a plane (H, W) float32 at another size, by bicubic interpolation."""
    pillow = _module("PIL.Image")
    image = pillow.fromarray(np.ascontiguousarray(plane))
    return np.asarray(image.resize((width, height), pillow.Resampling.BICUBIC))


def list_images(folder: Path) -> list[Path]:
    """Return the image files below a folder, sorted. Raises SourceError without any."""
    if not folder.is_dir():
        raise SourceError(f"there is no folder {str(folder)!r}", hint="give a folder of images")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise SourceError(
            f"there are no images in {str(folder)!r}",
            hint=f"supported: {', '.join(sorted(IMAGE_SUFFIXES))}",
        )
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
