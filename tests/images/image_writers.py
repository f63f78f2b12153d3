"""Writes image files for tests, with OpenCV, tifffile, Pillow, and byte by byte."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 32, 48
EXIF_ORIENTATION = 274

Bytes = NDArray[np.uint8]


def picture() -> Bytes:
    """Return a smooth picture that is no mirror image of itself, (H, W, 3) uint8 RGB."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [20 + 6 * rows, 30 + 4 * columns, 200 - 2 * rows - 2 * columns]
    return np.stack(planes, axis=2).astype(np.uint8)


def grey() -> Bytes:
    """Return a plane, (H, W) uint8."""
    return np.ascontiguousarray(picture()[:, :, 1])


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return a Pillow image as the bytes of a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    """Return an array as a TIFF file, written by tifffile."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def by_opencv(pixels: NDArray[Any], suffix: str) -> bytes:
    """Return RGB or grey samples as a file, written by OpenCV."""
    stored = pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[:, :, ::-1])
    ok, data = cv2.imencode(suffix, stored)
    assert ok
    return bytes(data)


def png(samples: NDArray[Any], depth: int, colour: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG file, written byte by byte: no library writes every depth.

    samples: (H, W) or (H, W, channels), below ``2**depth``. chunks: before the pixels.
    """
    return _png_file(samples.shape, depth, colour, False, _png_rows(samples, depth), chunks)


def interlaced_png(samples: NDArray[Any], depth: int, colour: int) -> bytes:
    """Return a PNG file in the seven passes of Adam7 (PNG, third edition, 8.1)."""
    passes = (samples[row::rows, column::columns] for row, column, rows, columns in _PASSES)
    body = b"".join(_png_rows(part, depth) for part in passes if part.size)
    return _png_file(samples.shape, depth, colour, True, body, ())


_PASSES = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4),
    (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1),
)  # fmt: skip


def png_of_half(samples: Bytes, colour: int, interlaced: bool = False) -> bytes:
    """Return a PNG file that is right in itself, but has half of its pixels (8 bits)."""
    body = _png_rows(samples, 8)
    return _png_file(samples.shape, 8, colour, interlaced, body[: len(body) // 2], ())


def _png_rows(samples: NDArray[Any], depth: int) -> bytes:
    height = samples.shape[0]
    flat = samples.reshape(height, -1)
    if depth == 16:
        rows = flat.astype(">u2").view(np.uint8).reshape(height, -1)
    elif depth == 8:
        rows = flat.astype(np.uint8)
    else:
        bits = np.unpackbits(flat.astype(np.uint8)[:, :, None], axis=2)[:, :, 8 - depth :]
        rows = np.packbits(bits.reshape(height, -1), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in rows)


def _png_file(
    shape: tuple[int, ...],
    depth: int,
    colour: int,
    interlaced: bool,
    body: bytes,
    chunks: Sequence[tuple[bytes, bytes]],
) -> bytes:
    height, width = shape[:2]
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)),
        *chunks,
        (b"IDAT", zlib.compress(body)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )


def planes_of(plane: Bytes) -> Bytes:
    """Return a grey plane as three equal ones."""
    return np.repeat(plane[:, :, None], 3, axis=2)


def stored_for(orientation: int, shown: NDArray[Any]) -> NDArray[Any]:
    """Return the pixels that a file with an orientation stores, so that a viewer shows ``shown``.

    By the table of EXIF 2.32: where the stored row 0 and the stored column 0 lie.
    """
    stored = {
        1: shown,
        2: np.fliplr(shown),
        3: np.rot90(shown, 2),
        4: np.flipud(shown),
        5: shown.swapaxes(0, 1),
        6: np.rot90(shown, 1),
        7: np.rot90(shown, 2).swapaxes(0, 1),
        8: np.rot90(shown, -1),
    }
    return np.ascontiguousarray(stored[orientation])


def oriented(orientation: int, kind: str, pixels: Bytes, **options: Any) -> bytes:
    """Return a file whose EXIF gives an orientation. pixels: as a viewer shows them."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    stored = Image.fromarray(stored_for(orientation, pixels))
    return encoded(stored, kind, exif=exif, **options)
