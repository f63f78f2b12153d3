"""Files of printing inks, turned, of several pictures, or broken, with their truth."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageCms

from tests.images.image_writers import (
    EXIF_ORIENTATION,
    HEIGHT,
    WIDTH,
    Bytes,
    by_opencv,
    encoded,
    oriented,
    picture,
    planes_of,
    png,
    stored_for,
    tiff,
)
from tests.images.ink_profile import ink_profile
from tests.images.kind import Kind


def inks() -> Iterator[Kind]:
    shown = picture()
    # Without black, an ink is what is missing of its colour: cyan of red, and so on.
    inks = np.dstack([255 - shown, np.zeros((HEIGHT, WIDTH), np.uint8)])
    yield Kind(
        "tiff cmyk", ".tif", tiff(inks, photometric="separated"), shown, 1, without_pillow=False
    )
    cmyk = Image.frombytes("CMYK", (WIDTH, HEIGHT), inks.tobytes())
    yield Kind(
        "jpeg cmyk",
        ".jpg",
        encoded(cmyk, "JPEG", quality=100, subsampling=0),
        shown,
        4,
        without_pillow=False,
    )
    half = np.dstack([inks[:, :, :3] // 2, np.full((HEIGHT, WIDTH), 51, np.uint8)])
    under = (255 - half[:, :, :3].astype(float)) * (255 - 51) / 255
    yield Kind(
        "tiff cmyk with black",
        ".tif",
        tiff(half, photometric="separated"),
        np.rint(under).astype(np.uint8),
        2,
        without_pillow=False,
    )
    yield from _profiled()
    broken = encoded(cmyk, "TIFF", icc_profile=b"no profile")
    yield Kind(
        "tiff cmyk, broken profile",
        ".tif",
        broken,
        None,
        refused="colour profile",
        without_pillow=False,
    )
    foreign = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    yield Kind(
        "tiff cmyk, profile of rgb",
        ".tif",
        encoded(cmyk, "TIFF", icc_profile=foreign),
        None,
        refused="colour profile",
        without_pillow=False,
    )
    ycrcb = cv2.cvtColor(shown, cv2.COLOR_RGB2YCrCb)
    ycbcr = np.ascontiguousarray(ycrcb[:, :, [0, 2, 1]])
    yield Kind(
        "tiff ycbcr",
        ".tif",
        encoded(Image.frombytes("YCbCr", (WIDTH, HEIGHT), ycbcr.tobytes()), "TIFF"),
        shown,
        3,
        without_pillow=False,
    )
    lab = tiff(_lab_of(shown), photometric="cielab")
    # 8 bits of L*a*b* are coarse where a colour has little red.
    yield Kind("tiff lab", ".tif", lab, shown, 16, without_pillow=False)


def _profiled() -> Iterator[Kind]:
    """Yield files whose profile gives the mixtures of inks colours that no formula would."""
    colours = np.random.default_rng(2).integers(60, 200, (16, 3), dtype=np.uint8)
    # No ink is white and black ink is black: else the black point is moved, as in any viewer.
    colours[0], colours[1::2] = 255, 0
    lab = _lab_of(colours.reshape(4, 4, 3)).reshape(16, 3)
    # A profile adds 128 to a and b, where TIFF keeps their sign.
    profile = ink_profile((lab ^ np.array([0, 128, 128], np.uint8)).reshape(2, 2, 2, 2, 3))
    mixtures = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) // 8 % 16
    inks = np.stack([255 * (mixtures >> shift & 1) for shift in (3, 2, 1, 0)], axis=2)
    image = Image.frombytes("CMYK", (WIDTH, HEIGHT), inks.astype(np.uint8).tobytes())
    for kind, suffix, options in (
        ("TIFF", ".tif", {}),
        ("JPEG", ".jpg", {"quality": 100, "subsampling": 0}),
    ):
        yield Kind(
            f"{kind.lower()} cmyk, own profile",
            suffix,
            encoded(image, kind, icc_profile=profile, **options),
            colours[mixtures],
            # 8 bits of L*a*b* are coarser than those of RGB.
            4,
            without_pillow=False,
        )


def _lab_of(shown: Bytes) -> Bytes:
    """Return CIE L*a*b* for white of D50, as TIFF stores it, from sRGB.

    The matrix takes linear sRGB to XYZ of D50 (Lindbloom, after Bradford).
    """
    level = shown / 255.0
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    matrix = np.array(
        [
            [0.4360747, 0.3850649, 0.1430804],
            [0.2225045, 0.7168786, 0.0606169],
            [0.0139322, 0.0971045, 0.7141733],
        ]
    )
    ratio = linear @ matrix.T / np.array([0.96422, 1.0, 0.82521])
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    signed = np.rint(np.stack([500 * (x - y), 200 * (y - z)], axis=2)).clip(-128, 127)
    lightness = np.rint((116 * y - 16) * 2.55).clip(0, 255).astype(np.uint8)
    return np.dstack([lightness, signed.astype(np.int8).view(np.uint8)])


def turned() -> Iterator[Kind]:
    shown = picture()
    for orientation in range(1, 9):
        yield Kind(
            f"png, orientation {orientation}", ".png", oriented(orientation, "PNG", shown), shown
        )
        yield Kind(
            f"jpeg, orientation {orientation}",
            ".jpg",
            oriented(orientation, "JPEG", shown, quality=98, subsampling=0),
            shown,
            4,
        )
    for kind, suffix, options in (("WEBP", ".webp", {"lossless": True}), ("TIFF", ".tif", {})):
        for orientation in (3, 6):
            data = oriented(orientation, kind, shown, **options)
            alone = kind != "TIFF"
            name = f"{kind.lower()}, orientation {orientation}"
            yield Kind(name, suffix, data, shown, without_pillow=alone)
    packed = oriented(6, "TIFF", shown, compression="tiff_deflate")
    yield Kind("tiff deflate, orientation 6", ".tif", packed, shown, without_pillow=False)
    turned = stored_for(6, shown.astype(np.uint16) * 257)
    tag = [(EXIF_ORIENTATION, 3, 1, 6, True)]
    yield Kind(
        "tiff rgb 16 bit, orientation 6",
        ".tif",
        tiff(turned, photometric="rgb", extratags=tag),
        None,
        refused="16 bits a sample",
        without_pillow=False,
    )
    yield Kind(
        "tiff grey 16 bit, orientation 6",
        ".tif",
        tiff(turned[:, :, 1].copy(), photometric="minisblack", extratags=tag),
        planes_of(shown[:, :, 1]),
        without_pillow=False,
    )
    deep = stored_for(6, shown.astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    block = (b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    yield Kind("png rgb 16 bit, orientation 6", ".png", png(deep, 16, 2, block), shown)
    yield Kind(
        "png, orientation 9",
        ".png",
        png(shown, 8, 2, (b"eXIf", block[1].replace(b"\x06", b"\x09"))),
        shown,
    )


def several() -> Iterator[Kind]:
    shown = picture()
    first, second = Image.fromarray(shown), Image.fromarray(shown[::-1].copy())
    both: dict[str, Any] = {"save_all": True, "append_images": [second]}
    two = "pictur"
    yield Kind(
        "tiff of two pages",
        ".tif",
        tiff(np.stack([shown, shown[::-1]]), photometric="rgb"),
        None,
        refused=two,
    )
    yield Kind("animated png", ".png", encoded(first, "PNG", **both), None, refused=two)
    yield Kind(
        "animated webp", ".webp", encoded(first, "WEBP", lossless=True, **both), None, refused=two
    )
    yield Kind(
        "animated gif named png",
        ".png",
        encoded(first, "GIF", **both),
        None,
        refused=two,
        without_pillow=False,
    )
    yield Kind("mpo of two pictures", ".jpg", encoded(first, "MPO", **both), None, refused=two)
    small = first.resize((WIDTH // 2, HEIGHT // 2))
    options: dict[str, Any] = {"quality": 98, "subsampling": 0, "save_all": True}
    yield Kind(
        "mpo with a preview",
        ".jpg",
        encoded(first, "MPO", append_images=[small], **options),
        shown,
        4,
        without_pillow=False,
    )
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(shown, photometric="rgb")
        writer.write(np.ascontiguousarray(shown[::2, ::2]), photometric="rgb", subfiletype=1)
    yield Kind("tiff with a preview", ".tif", file.getvalue(), shown, without_pillow=False)


def broken() -> Iterator[Kind]:
    shown = picture()
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for suffix in (".png", ".jpg", ".bmp", ".webp", ".tif"):
        whole = by_opencv(noise, suffix)
        yield Kind(
            f"half a {suffix[1:]}",
            suffix,
            whole[: len(whole) // 2],
            None,
            refused="is not a readable image",
        )
    yield Kind("empty", ".png", b"", None, refused="is not a readable image")
    yield Kind(
        "text",
        ".png",
        b"no image at all",
        None,
        refused="is not a readable image",
        without_pillow=False,
    )
    broken = bytearray(by_opencv(shown, ".png"))
    broken[60] ^= 0xFF
    yield Kind("png, a wrong byte", ".png", bytes(broken), None, refused="is not a readable image")
