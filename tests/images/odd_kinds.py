"""Files that are seldom seen, state something oddly, or are of formats that are not read."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import tifffile
from PIL import Image

from tests.images.image_writers import (
    EXIF_ORIENTATION,
    HEIGHT,
    WIDTH,
    Bytes,
    by_opencv,
    encoded,
    grey,
    interlaced_png,
    oriented,
    picture,
    planes_of,
    png,
    png_of_half,
    stored_for,
    tiff,
)
from tests.images.kind import Kind

BROKEN = "is not a readable image"
_JPEG = {"quality": 98, "subsampling": 0}
_CFA = [(33421, 3, 2, (2, 2), True), (33422, 1, 4, (0, 1, 1, 2), True)]


def _inks() -> Bytes:
    return np.dstack([255 - picture(), np.zeros((HEIGHT, WIDTH), np.uint8)])


def tiffs() -> Iterator[Kind]:
    shown, plane = picture(), grey()
    wide = shown.astype(np.uint16) * 257

    def kind(
        name: str, data: bytes, truth: Bytes | None, tolerance: int = 0, say: str = ""
    ) -> Kind:
        return Kind(f"tiff {name}", ".tif", data, truth, tolerance, say, without_pillow=False)

    tiled = tiff(shown, photometric="rgb", tile=(32, 32))
    yield Kind("tiff tiled", ".tif", tiled, shown)
    yield kind("lzw", encoded(Image.fromarray(shown), "TIFF", compression="tiff_lzw"), shown)
    packed = {"photometric": "rgb", "compression": "zlib", "predictor": True}
    yield kind("deflate, predictor", tiff(shown, **packed), shown)
    yield kind("deflate 16 bit big-endian, predictor", tiff(wide, byteorder=">", **packed), shown)
    yield kind("of 64-bit offsets", tiff(shown, photometric="rgb", bigtiff=True), shown)
    mask = plane > 100
    fax = encoded(Image.fromarray(mask), "TIFF", compression="group4")
    yield kind("fax group 4", fax, planes_of(mask * np.uint8(255)))
    colours = np.random.default_rng(0).integers(0, 256, (3, 256), dtype=np.uint16)
    for name, stored in (("palette", colours * 257), ("palette of 8 bits", colours)):
        data = tiff(plane, photometric="palette", colormap=stored)
        yield kind(name, data, colours.astype(np.uint8).T[plane])
    inks = _inks()
    planar = np.ascontiguousarray(inks.transpose(2, 0, 1))
    data = tiff(planar, photometric="separated", planarconfig="separate")
    yield kind("cmyk planar", data, shown, 1)
    # Tag 332 is InkSet; 2 says that the inks are others than CMYK.
    other = tiff(inks, photometric="separated", extratags=[(332, 3, 1, 2, True)])
    yield kind("of other inks", other, None, say="other printing inks than CMYK")
    deep_inks = tiff(inks.astype(np.uint16) * 257, photometric="separated")
    yield kind("cmyk 16 bit", deep_inks, None, say="16 bits a sample")
    floats = tiff(shown.astype(np.float32) / 255, photometric="rgb")
    yield kind("rgb float", floats, None, say="is an image of")
    both = np.dstack([plane, plane]).astype(np.uint16)
    data = tiff(both, photometric="minisblack", extrasamples=["unassalpha"])
    yield kind("grey + alpha 16 bit", data, None, say="2 samples of 16 bits")
    # Tag 262, PhotometricInterpretation, becomes one of no meaning.
    silent = tiff(plane, photometric="minisblack").replace(b"\x06\x01\x03\0", b"\x05\x01\x03\0")
    yield kind("that does not say what 0 is", silent, None, say="is an image of")
    tall = tiff(plane, photometric="minisblack")
    tall = tall.replace(
        struct.pack("<HHIH", 257, 4, 1, HEIGHT), struct.pack("<HHIH", 257, 4, 1, 64)
    )
    tall = tall.replace(
        struct.pack("<HHIH", 257, 3, 1, HEIGHT), struct.pack("<HHIH", 257, 3, 1, 64)
    )
    yield kind("of half the rows it states", tall, None, say=BROKEN)
    damaged = bytearray(tiff(shown, photometric="rgb", compression="zlib"))
    damaged[len(damaged) // 2] ^= 0xFF
    yield kind("deflate, a wrong byte", bytes(damaged), None, say=BROKEN)
    yield from _pages(shown, plane)


def _pages(shown: Bytes, plane: Bytes) -> Iterator[Kind]:
    small = np.ascontiguousarray(shown[::2, ::2])
    sizes, first, only, raw = (io.BytesIO() for _ in range(4))
    with tifffile.TiffWriter(sizes) as writer:
        writer.write(shown, photometric="rgb")
        writer.write(small, photometric="rgb")
    yield Kind("tiff of two sizes", ".tif", sizes.getvalue(), None, refused="2 pictures")
    with tifffile.TiffWriter(first) as writer:
        writer.write(small, photometric="rgb", subfiletype=1)
        writer.write(shown, photometric="rgb")
    data = first.getvalue()
    yield Kind("tiff, preview first", ".tif", data, shown, without_pillow=False)
    with tifffile.TiffWriter(only) as writer:
        writer.write(small, photometric="rgb", subfiletype=1)
    yield Kind(
        "tiff of a preview only", ".tif", only.getvalue(), None, refused="a preview or a mask"
    )
    sensor = plane.astype(np.uint16) * 16
    with tifffile.TiffWriter(raw) as writer:
        writer.write(small, photometric="rgb", subifds=1)
        writer.write(sensor, photometric=32803, extratags=_CFA)
    yield Kind("raw photograph, preview first", ".tif", raw.getvalue(), None, refused="raw photo")
    version = [(50706, 1, 4, (1, 4, 0, 0), True)]
    dng = tiff(sensor, photometric=32803, extratags=[*version, *_CFA])
    yield Kind("dng named tif", ".tif", dng, None, refused="is a raw photograph")


def bitmaps() -> Iterator[Kind]:
    shown, plane = picture(), grey()
    five = shown >> 3
    green = (shown[:, :, 1] >> 2).astype(np.uint16)
    red, _, blue = five.astype(np.uint16).transpose(2, 0, 1)
    spread = np.rint(np.dstack([red * 255 / 31, green * 255 / 63, blue * 255 / 31]))
    packed = ((red << 11) | (green << 5) | blue)[::-1].astype("<u2").tobytes()
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    yield Kind(
        "bmp 565", ".bmp", _bmp(16, packed, masks), spread.astype(np.uint8), 1, without_pillow=False
    )
    alpha = np.dstack([shown[:, :, ::-1], plane])[::-1].tobytes()
    yield Kind("bmp + alpha", ".bmp", _bmp(32, alpha), shown)
    cut = _bmp(24, shown[::-1, :, ::-1].tobytes())[:-10]
    yield Kind("bmp without its last bytes", ".bmp", cut, None, refused=BROKEN)
    for name, most, tolerance in (("12 bit", 4095, 0), ("of 100 levels", 100, 1)):
        levels = (plane.astype(np.uint32) * most + 127) // 255
        truth = planes_of(np.rint(levels * (255 / most)).astype(np.uint8))
        stored = levels.astype(">u2" if most > 255 else "u1").tobytes()
        yield Kind(
            f"pgm {name}", ".pgm", _netpbm(b"P5", most) + stored, truth, tolerance,
            without_pillow=False,
        )  # fmt: skip
    written = _netpbm(b"P3", 255) + " ".join(map(str, shown.ravel().tolist())).encode() + b"\n"
    yield Kind("ppm as text", ".ppm", written, shown, without_pillow=False)
    bits = np.packbits(plane <= 100, axis=1).tobytes()
    truth = planes_of((plane > 100) * np.uint8(255))
    head = b"P4\n%d %d\n" % (WIDTH, HEIGHT)
    yield Kind("pbm", ".pbm", head + bits, truth, without_pillow=False)
    one = _netpbm(b"P6", 255) + shown.tobytes()
    for name, data, say in (("of two pictures", one * 2, "pictur"), ("cut", one[:-9], BROKEN)):
        yield Kind(f"ppm {name}", ".ppm", data, None, refused=say, without_pillow=False)


def _bmp(depth: int, rows: bytes, masks: bytes = b"") -> bytes:
    """Return a Windows bitmap. rows: from the lowest, blue first. masks: of red, green, blue."""
    begin = 54 + len(masks)
    layout = 3 if masks else 0
    sizes = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, depth, layout, len(rows), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", begin + len(rows), 0, 0, begin) + sizes + masks + rows


def _netpbm(magic: bytes, most: int) -> bytes:
    return magic + b"\n# 7\n%d %d\n%d\n" % (WIDTH, HEIGHT, most)


def stated_oddly() -> Iterator[Kind]:
    shown, plane = picture(), grey()
    wide = shown.astype(np.uint16) * 257
    tag = [(EXIF_ORIENTATION, 3, 1, 9, True)]
    yield Kind(
        "tiff rgb 16 bit, orientation 9",
        ".tif",
        tiff(wide, photometric="rgb", extratags=tag),
        shown,
    )
    for orientation in (0, 9):
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = orientation
        data = encoded(Image.fromarray(shown), "JPEG", exif=exif, **_JPEG)
        yield Kind(f"jpeg, orientation {orientation}", ".jpg", data, shown, 4)
    blocks, jpegs = [], [oriented(number, "JPEG", shown, **_JPEG) for number in (6, 3)]
    for data in jpegs:
        at = data.index(b"\xff\xe1")
        blocks.append(data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")])
    two = jpegs[0].replace(blocks[0], blocks[0] + blocks[1])
    yield Kind("jpeg, two EXIF blocks", ".jpg", two, shown, 4)
    yield Kind("webp, orientation 7", ".webp", oriented(7, "WEBP", shown, lossless=True), shown)
    turned = stored_for(6, shown)
    block = b"II*\0" + struct.pack("<IHHHI", 8, 1, EXIF_ORIENTATION, 1, 1) + b"\6\0\0\0" + bytes(4)
    yield Kind("png, orientation as a byte", ".png", png(turned, 8, 2, (b"eXIf", block)), shown)
    words = block[:12] + struct.pack("<HI", 2, 2) + b"6\0\0\0" + bytes(4)
    yield Kind("png, orientation as text", ".png", png(shown, 8, 2, (b"eXIf", words)), shown)
    yield Kind("png, broken EXIF", ".png", png(shown, 8, 2, (b"eXIf", b"no EXIF")), shown)
    digits = (b"Exif\0\0" + block).hex().encode()
    text = b"Raw profile type exif\0\0" + zlib.compress(
        b"\nexif\n%8d\n%s\n" % (len(digits), digits)
    )
    yield Kind("png, EXIF as text", ".png", png(turned, 8, 2, (b"zTXt", text)), shown)
    xmp = b'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    said = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    yield Kind("png, orientation in XMP only", ".png", png(shown, 8, 2, said), shown)
    for name, chunk in (
        ("gAMA", struct.pack(">I", 100000)), ("sRGB", b"\0"), ("iCCP", b"a\0\0no zlib"),
        ("cICP", bytes([1, 13, 0, 1])),
    ):  # fmt: skip
        yield Kind(f"png, {name}", ".png", png(shown, 8, 2, (name.encode(), chunk)), shown)
    for name, numbers in (("PQ", [9, 16, 0, 1]), ("narrow range", [1, 13, 0, 0])):
        data = png(shown, 8, 2, (b"cICP", bytes(numbers)))
        yield Kind(f"png, cICP of {name}", ".png", data, None, refused="cICP")
    for name, data in (
        ("rgb", interlaced_png(shown, 8, 2)), ("rgb 16 bit", interlaced_png(wide, 16, 2)),
    ):  # fmt: skip
        yield Kind(f"png {name}, interlaced", ".png", data, shown)
    two = interlaced_png(plane >> 6, 2, 0)
    yield Kind("png grey 2 bit, interlaced", ".png", two, planes_of((plane >> 6) * np.uint8(85)))
    yield from _oddly_inked()


def _oddly_inked() -> Iterator[Kind]:
    shown = picture()
    inks = Image.frombytes("CMYK", (WIDTH, HEIGHT), _inks().tobytes())
    data = encoded(inks, "JPEG", **_JPEG)
    at = data.index(b"\xff\xee")
    unsaid = data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]
    yield Kind(
        "jpeg cmyk without Adobe's marker", ".jpg", unsaid, None, refused="inverted",
        without_pillow=False,
    )  # fmt: skip
    # YCCK: the colours that the inks take away, as YCbCr. Pillow inverts what it writes.
    ycc = cv2.cvtColor(255 - shown, cv2.COLOR_RGB2YCrCb)[:, :, [0, 2, 1]]
    stored = np.dstack([255 - ycc, np.zeros((HEIGHT, WIDTH), np.uint8)])
    ycck = bytearray(
        encoded(Image.frombytes("CMYK", (WIDTH, HEIGHT), stored.tobytes()), "JPEG", **_JPEG)
    )
    ycck[ycck.index(b"Adobe") + 11] = 2
    yield Kind("jpeg ycck", ".jpg", bytes(ycck), shown, 6, without_pillow=False)


def parts() -> Iterator[Kind]:
    """Yield files that are right in themselves, but hold a part of the picture."""
    noise = np.random.default_rng(1).integers(1, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for name, progressive in (("jpeg", False), ("jpeg progressive", True)):
        whole = encoded(Image.fromarray(noise), "JPEG", progressive=progressive, **_JPEG)
        cut = whole[: len(whole) * 2 // 3] + b"\xff\xd9"
        yield Kind(f"{name}, cut and ended", ".jpg", cut, None, refused=BROKEN)
    taller = bytearray(encoded(Image.fromarray(noise), "JPEG", **_JPEG))
    at = taller.index(b"\xff\xc0") + 5
    taller[at : at + 2] = struct.pack(">H", 2 * HEIGHT)
    yield Kind("jpeg of half the rows it states", ".jpg", bytes(taller), None, refused=BROKEN)
    ashen = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for name, options in (("grey at its end", {}), ("progressive", {"progressive": True})):
        data = encoded(Image.fromarray(ashen), "JPEG", **_JPEG, **options)
        yield Kind(f"jpeg, whole, {name}", ".jpg", data, ashen, 1)
    for name, data in (
        ("rgb", png_of_half(noise, 2)), ("grey", png_of_half(noise[:, :, 0], 0)),
        ("interlaced", png_of_half(noise, 2, interlaced=True)),
    ):  # fmt: skip
        yield Kind(f"png {name}, half its rows", ".png", data, None, refused=BROKEN)
    for name, data in (
        ("png", png(np.zeros_like(noise), 8, 2)),
        ("png interlaced", interlaced_png(np.zeros_like(noise), 8, 2)),
    ):
        yield Kind(f"{name}, whole, black", ".png", data, np.zeros_like(noise))
    huge = bytearray(by_opencv(noise, ".png"))
    huge[16:24] = struct.pack(">II", 60000, 60000)
    huge[29:33] = struct.pack(">I", zlib.crc32(huge[12:29]))
    yield Kind(
        "png of stated 3600 megapixels", ".png", bytes(huge), None, refused="3600 megapixels"
    )


def other_formats() -> Iterator[Kind]:
    image = Image.fromarray(picture())
    psd = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, HEIGHT, WIDTH, 8, 3) + bytes(14)
    for name, suffix, data in (
        ("JPEG 2000", ".png", encoded(image, "JPEG2000")),
        ("AVIF", ".png", b"\0\0\0\x20ftypavif" + bytes(200)),
        ("HEIC", ".jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)),
        ("JPEG XL", ".png", b"\xff\x0a" + bytes(100)),
        ("TGA", ".png", encoded(image, "TGA")),
        ("ICO", ".png", encoded(image, "ICO", sizes=[(16, 16), (32, 32)])),
        ("SVG", ".png", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("PDF", ".png", encoded(image, "PDF")),
        ("Photoshop", ".png", psd + picture().transpose(2, 0, 1).tobytes()),
        ("raw", ".tif", b"II*\0\x10\0\0\0CR\2\0" + bytes(400)),
        ("Git LFS", ".png", b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\n"),
    ):
        yield Kind(f"{name} named {suffix[1:]}", suffix, data, None, refused=name)
    single = encoded(Image.fromarray(grey()), "GIF", interlace=1)
    yield Kind("gif interlaced, named png", ".png", single, planes_of(grey()), without_pillow=False)
