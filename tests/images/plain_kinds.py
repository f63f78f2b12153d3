"""Files of one picture, of the depths and channels that are in use, with their truth."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.images.image_writers import (
    HEIGHT,
    WIDTH,
    Bytes,
    by_opencv,
    encoded,
    grey,
    picture,
    planes_of,
    png,
    tiff,
)
from tests.images.kind import Kind


def plain() -> Iterator[Kind]:
    shown = picture()
    image = Image.fromarray(shown)
    yield Kind("png rgb", ".png", by_opencv(shown, ".png"), shown)
    yield Kind("bmp", ".bmp", by_opencv(shown, ".bmp"), shown)
    yield Kind("ppm", ".ppm", by_opencv(shown, ".ppm"), shown, without_pillow=False)
    yield Kind("jpeg", ".jpg", encoded(image, "JPEG", quality=98, subsampling=0), shown, 4)
    yield Kind(
        "jpeg progressive",
        ".jpg",
        encoded(image, "JPEG", quality=98, subsampling=0, progressive=True),
        shown,
        4,
    )
    yield Kind("webp lossless", ".webp", encoded(image, "WEBP", lossless=True), shown)
    yield Kind("tiff rgb", ".tif", tiff(shown, photometric="rgb"), shown)
    yield Kind("tiff big-endian", ".tiff", tiff(shown, photometric="rgb", byteorder=">"), shown)
    yield Kind(
        "tiff deflate",
        ".tif",
        tiff(shown, photometric="rgb", compression="zlib"),
        shown,
        without_pillow=False,
    )
    planar = np.ascontiguousarray(shown.transpose(2, 0, 1))
    yield Kind(
        "tiff planar",
        ".tif",
        tiff(planar, photometric="rgb", planarconfig="separate"),
        shown,
        without_pillow=False,
    )
    yield Kind("png named jpg", ".jpg", by_opencv(shown, ".png"), shown)
    yield Kind("tiff named png", ".png", tiff(shown, photometric="rgb"), shown)
    yield Kind(
        "gif named png",
        ".png",
        encoded(Image.fromarray(grey()), "GIF"),
        planes_of(grey()),
        without_pillow=False,
    )


def grey_kinds() -> Iterator[Kind]:
    plane = grey()
    yield Kind("png grey", ".png", by_opencv(plane, ".png"), planes_of(plane))
    for depth in (1, 2, 4):
        small = plane >> (8 - depth)
        wide = planes_of((small.astype(int) * 255 // ((1 << depth) - 1)).astype(np.uint8))
        yield Kind(f"png grey {depth} bit", ".png", png(small, depth, 0), wide)
    yield Kind(
        "jpeg grey",
        ".jpg",
        encoded(Image.fromarray(plane), "JPEG", quality=98),
        planes_of(plane),
        4,
    )
    yield Kind("tiff grey", ".tif", tiff(plane, photometric="minisblack"), planes_of(plane))
    yield Kind(
        "tiff white is zero",
        ".tif",
        tiff(255 - plane, photometric="miniswhite"),
        planes_of(plane),
        without_pillow=False,
    )
    mask = plane > 100
    yield Kind(
        "tiff 1 bit",
        ".tif",
        encoded(Image.fromarray(mask), "TIFF"),
        planes_of(mask.astype(np.uint8) * 255),
        without_pillow=False,
    )
    numbers = plane >> 4
    colours = np.random.default_rng(0).integers(0, 256, (16, 3), dtype=np.uint8)
    palette = (b"PLTE", colours.tobytes())
    yield Kind("png palette", ".png", png(numbers, 8, 3, palette), colours[numbers])
    yield Kind("png palette 4 bit", ".png", png(numbers, 4, 3, palette), colours[numbers])
    clear = (b"tRNS", bytes(range(16)))
    yield Kind(
        "png palette, transparent", ".png", png(numbers, 8, 3, palette, clear), colours[numbers]
    )


def transparent() -> Iterator[Kind]:
    shown, plane = picture(), grey()
    alpha = np.ascontiguousarray(shown[:, :, 0])
    yield Kind("png rgb + alpha", ".png", png(np.dstack([shown, alpha]), 8, 6), shown)
    yield Kind("png grey + alpha", ".png", png(np.dstack([plane, alpha]), 8, 4), planes_of(plane))
    yield Kind(
        "tiff rgb + alpha",
        ".tif",
        tiff(np.dstack([shown, alpha]), photometric="rgb", extrasamples=["unassalpha"]),
        shown,
        without_pillow=False,
    )
    yield Kind(
        "tiff grey + alpha",
        ".tif",
        tiff(np.dstack([plane, alpha]), photometric="minisblack", extrasamples=["unassalpha"]),
        planes_of(plane),
        without_pillow=False,
    )
    rgba = Image.fromarray(np.dstack([shown, np.maximum(alpha, 1)]))
    yield Kind("webp rgb + alpha", ".webp", encoded(rgba, "WEBP", lossless=True, exact=True), shown)


def deep() -> Iterator[Kind]:
    shown, plane = picture(), grey()
    wide = shown.astype(np.uint16) * 257
    yield Kind("png rgb 16 bit", ".png", by_opencv(wide, ".png"), shown)
    yield Kind("png grey 16 bit", ".png", by_opencv(wide[:, :, 1], ".png"), planes_of(plane))
    yield Kind(
        "png grey + alpha 16 bit", ".png", png(wide[:, :, :2][:, :, ::-1], 16, 4), planes_of(plane)
    )
    yield Kind(
        "png rgb + alpha 16 bit", ".png", png(np.dstack([wide, wide[:, :, 0]]), 16, 6), shown
    )
    yield Kind("tiff rgb 16 bit", ".tif", tiff(wide, photometric="rgb"), shown)
    yield Kind(
        "tiff rgb 16 bit big-endian", ".tif", tiff(wide, photometric="rgb", byteorder=">"), shown
    )
    yield Kind(
        "tiff rgb 16 bit deflate",
        ".tif",
        tiff(wide, photometric="rgb", compression="zlib"),
        shown,
        without_pillow=False,
    )
    yield Kind(
        "tiff grey 16 bit", ".tif", tiff(wide[:, :, 1], photometric="minisblack"), planes_of(plane)
    )
    yield Kind(
        "tiff grey 16 bit white is zero",
        ".tif",
        tiff(65535 - wide[:, :, 1], photometric="miniswhite"),
        planes_of(plane),
        without_pillow=False,
    )
    yield Kind(
        "ppm 12 bit",
        ".ppm",
        b"P6 %d %d 4095\n" % (WIDTH, HEIGHT) + of_bits(shown, 12).astype(">u2").tobytes(),
        shown,
        without_pillow=False,
    )
    for bits in (10, 12, 14):
        low = of_bits(shown, bits)
        sbit = (b"sBIT", bytes([bits] * 3))
        yield Kind(f"png rgb {bits} of 16 bit, sBIT", ".png", png(low, 16, 2, sbit), shown)
        high = (low << (16 - bits)) | (low >> (2 * bits - 16))
        yield Kind(f"png rgb {bits} bit widened, sBIT", ".png", png(high, 16, 2, sbit), shown)
        most = [(281, 3, 1, (1 << bits) - 1, True)]
        yield Kind(
            f"tiff grey {bits} of 16 bit, MaxSampleValue",
            ".tif",
            tiff(low[:, :, 1], photometric="minisblack", extratags=most),
            planes_of(plane),
        )
    twelve = of_bits(shown, 12)
    yield Kind(
        "tiff grey 12 bit",
        ".tif",
        packed_tiff(twelve[:, :, 1]),
        planes_of(plane),
        without_pillow=False,
    )
    unsaid = "does not say how many are meant"
    yield Kind("png rgb 12 of 16 bit, unsaid", ".png", png(twelve, 16, 2), None, refused=unsaid)
    yield Kind(
        "png grey 12 of 16 bit, unsaid", ".png", png(twelve[:, :, 1], 16, 0), None, refused=unsaid
    )
    yield Kind(
        "tiff grey 12 of 16 bit, unsaid",
        ".tif",
        tiff(twelve[:, :, 1], photometric="minisblack"),
        None,
        refused=unsaid,
    )
    yield Kind(
        "png all black 16 bit", ".png", png(np.zeros_like(twelve), 16, 2), np.zeros_like(shown)
    )
    for name, dtype in (("signed 16 bit", np.int16), ("32 bit", np.uint32), ("float", np.float32)):
        yield Kind(
            f"tiff {name}",
            ".tif",
            tiff(plane.astype(dtype), photometric="minisblack"),
            None,
            refused="is an image of",
            without_pillow=False,
        )
    deep_planar = np.ascontiguousarray(wide.transpose(2, 0, 1))
    yield Kind(
        "tiff planar 16 bit",
        ".tif",
        tiff(deep_planar, photometric="rgb", planarconfig="separate"),
        None,
        refused="16 bits a sample",
        without_pillow=False,
    )


def packed_tiff(samples: NDArray[np.uint16]) -> bytes:
    """Return (H, W) numbers below 4096 as a TIFF file of 12 bits a sample, written byte by byte."""
    octets = samples.astype(">u2").view(np.uint8).reshape(HEIGHT, WIDTH, 2)
    bits = np.unpackbits(octets, axis=2)[:, :, 4:]
    data = np.packbits(bits.reshape(HEIGHT, -1), axis=1).tobytes()
    tags = [(256, WIDTH), (257, HEIGHT), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1)]
    tags += [(278, HEIGHT), (279, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    start = struct.pack("<I", 8 + len(data))
    return b"II*\0" + start + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def of_bits(shown: Bytes, bits: int) -> NDArray[np.uint16]:
    """Return a picture in samples of fewer than 16 bits, kept in 16."""
    full = (1 << bits) - 1
    return ((shown.astype(np.uint32) * full + 127) // 255).astype(np.uint16)
