"""Facts that an image file states about itself, read from its bytes without a library.

The reader without Pillow relies on them, and they give what Pillow does not: how many of a PNG
file's bits are meant. Formats: PNG (third edition, W3C 2025), JPEG (ITU-T T.81), TIFF 6.0, WebP
(RFC 9649) and Windows bitmaps.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

UPRIGHT = 1
"""The EXIF orientation of a picture that is stored as it is shown."""

_ORIENTATION_TAG = 274
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 13: "I"}
_MOST_NUMBERS = 1 << 16
_DNG_VERSION, _SUB_DIRECTORIES, _PHOTOMETRIC = 50706, 330, 262
_REDUCED_OR_MASK = 0b101
_SENSOR_PHOTOMETRICS = frozenset({32803, 34892})
_YCBCR_TIFF = 6
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The second bytes of the markers that begin a frame."""

# For every pass of an interlaced PNG file: first row, first column, step of rows, of columns.
_PASSES = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4),
    (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1),
)  # fmt: skip
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PALETTE = 3
_PNG_END = b"IEND\xaeB`\x82"
_WRITTEN_EXIF = b"Raw profile type exif\0"
_HDR_TRANSFERS = frozenset({16, 18})
_ANIMATED_WEBP = 0x02
# At a time: a small file may unpack to very much.
_UNPACKED_BYTES = 1 << 20


@dataclass(frozen=True)
class Facts:
    """What a file states.

    kind: png, jpeg, tiff, webp or bmp.
    depth: bits of a sample as stored; 0 for a TIFF file whose samples differ, are no unsigned
        integers, or lie in a plane per channel.
    channels: samples of a pixel; a palette counts as one.
    several: the file holds more than one picture.
    orientation: 1..8, as EXIF numbers it.
    meant_bits: how many bits of a sample the file says are used; None when it does not say.
    photometric: TIFF's tag of that name, -1 where it is missing; None for other kinds.
    packed: the samples are compressed, in TIFF, or laid out by masks or in runs, in BMP.
    reduced: TIFF's first picture is a smaller version or a mask of another.
    raw: a TIFF file holds the numbers of a camera's sensor.
    short: a TIFF file holds fewer bytes of samples than its size needs.
    other_range: PNG's samples are not those of a screen: narrow range, PQ or HLG (cICP).
    colours: how many a PNG palette has; None for other kinds.
    ended: a PNG file has its end mark. Without it, EXIF behind the pixels may be missing too.
    """

    kind: str
    depth: int = 8
    channels: int = 3
    several: bool = False
    orientation: int = UPRIGHT
    meant_bits: int | None = None
    photometric: int | None = None
    packed: bool = False
    reduced: bool = False
    raw: bool = False
    short: bool = False
    other_range: bool = False
    colours: int | None = None
    ended: bool = True


def facts_of(data: bytes) -> Facts | None:
    """Return the facts of a file's bytes; None for an unknown format or a broken header."""
    try:
        if data.startswith(PNG_SIGNATURE):
            return _png(data)
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data.startswith((b"II*\0", b"MM\0*")):
            return _tiff(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp(data)
        if data.startswith(b"BM"):
            return _bmp(data)
    except (struct.error, IndexError, ValueError, zlib.error):
        return None
    return None


def holds_all_rows(data: bytes) -> bool:
    """Return whether a PNG file's pixels unpack to as many bytes as its size needs."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    bits = depth * _PNG_CHANNELS[colour]
    wanted = 0
    for row, column, rows, columns in _PASSES if interlaced else ((0, 0, 1, 1),):
        across = -(-(width - column) // columns)
        if across > 0:
            wanted += max(0, -(-(height - row) // rows)) * (1 + -(-across * bits // 8))
    pixels = zlib.decompressobj()
    try:
        for name, body in _png_chunks(data, with_pixels=True):
            while name == b"IDAT" and body and not pixels.eof and wanted > 0:
                wanted -= len(pixels.decompress(body, _UNPACKED_BYTES))
                body = pixels.unconsumed_tail
        while wanted > 0 and (more := pixels.decompress(b"", _UNPACKED_BYTES)):
            wanted -= len(more)
    except zlib.error:
        return False
    return wanted <= 0


def is_whole_png(data: bytes) -> bool:
    """Return whether a PNG file's chunks have their checksums, and its pixels can be unpacked."""
    at, pixels, ended = len(PNG_SIGNATURE), zlib.decompressobj(), False
    try:
        while at + 12 <= len(data) and not ended:
            length, name = struct.unpack(">I4s", data[at : at + 8])
            body = data[at + 8 : at + 8 + length]
            (checksum,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
            if zlib.crc32(name + body) != checksum:
                return False
            while name == b"IDAT" and body and not pixels.eof:
                pixels.decompress(body, _UNPACKED_BYTES)
                body = pixels.unconsumed_tail
            ended = name == b"IEND"
            at += length + 12
        while not pixels.eof and pixels.decompress(b"", _UNPACKED_BYTES):
            pass
    except (struct.error, zlib.error):
        return False
    return ended and pixels.eof


def _png(data: bytes) -> Facts:
    depth, colour = data[24], data[25]
    several, orientation, meant, written, palette, other_range = False, None, None, None, 0, False
    for name, body in _png_chunks(data):
        if name == b"sBIT":
            meant = max(body[: {0: 1, 4: 1}.get(colour, 3)])
        elif name == b"acTL":
            several = struct.unpack(">I", body[:4])[0] > 1
        elif name == b"eXIf":
            orientation = _orientation(body)
        elif name == b"zTXt" and body.startswith(_WRITTEN_EXIF):
            written = _orientation(_from_text(body[len(_WRITTEN_EXIF) + 1 :]))
        elif name == b"cICP":
            other_range = body[1] in _HDR_TRANSFERS or body[3] == 0
        elif name == b"PLTE":
            palette = len(body) // 3
    return Facts(
        "png",
        depth,
        _PNG_CHANNELS.get(colour, 0),
        several,
        orientation or written or UPRIGHT,
        meant,
        other_range=other_range,
        colours=palette if colour == _PALETTE else None,
        ended=_PNG_END in data,
    )


def _from_text(packed: bytes) -> bytes:
    """Return the EXIF block that ImageMagick writes as text: name, length, hexadecimal digits."""
    text = zlib.decompressobj().decompress(packed, _UNPACKED_BYTES)
    digits = b"".join(text.split()[2:])
    return bytes.fromhex(digits.decode("ascii")).removeprefix(b"Exif\0\0")


def _png_chunks(data: bytes, with_pixels: bool = False) -> Iterator[tuple[bytes, bytes]]:
    at = len(PNG_SIGNATURE)
    while at + 8 <= len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        # Pixels are not copied unless they are wanted.
        without = name == b"IDAT" and not with_pixels
        yield name, b"" if without else data[at + 8 : at + 8 + length]
        at += length + 12


def _jpeg(data: bytes) -> Facts:
    depth, channels, several, exif = 8, 0, False, b""
    at = 2
    while at + 4 <= len(data):
        if data[at : at + 2] == b"\xff\xff":  # bytes that fill
            at += 1
            continue
        marker, length = struct.unpack(">HH", data[at : at + 4])
        body = data[at + 4 : at + 2 + length]
        if marker & 0xFF in JPEG_FRAMES and marker >> 8 == 0xFF:
            return Facts("jpeg", body[0], body[5], several, _orientation(exif))
        # Of several blocks, programs take the first.
        if marker == 0xFFE1 and body.startswith(b"Exif\0\0"):
            exif = exif or body[6:]
        several |= marker == 0xFFE2 and body.startswith(b"MPF\0")
        if marker >> 8 != 0xFF:
            break
        at += 2 + length
    return Facts("jpeg", depth, channels, several, _orientation(exif))


def _webp(data: bytes) -> Facts:
    several, orientation, at = False, UPRIGHT, 12
    while at + 8 <= len(data):
        name, length = struct.unpack("<4sI", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if name == b"VP8X":
            several = bool(body[0] & _ANIMATED_WEBP)
        elif name == b"EXIF":
            orientation = _orientation(body.removeprefix(b"Exif\0\0"))
        at += 8 + length + length % 2
    return Facts("webp", several=several, orientation=orientation)


def _bmp(data: bytes) -> Facts:
    size, *_ = struct.unpack("<I", data[14:18])
    # The header of OS/2 has no layout but the plain one.
    depth_at, packed = (24, False) if size == 12 else (28, data[30:34] != bytes(4))
    (depth,) = struct.unpack("<H", data[depth_at : depth_at + 2])
    return Facts("bmp", depth, packed=packed)


def _tiff(data: bytes) -> Facts:
    tags, following = _first_directory(data)
    depths = tags.get(258, (1,))
    channels = tags.get(277, (1,))[0]
    photometric = tags.get(_PHOTOMETRIC, (-1,))[0]
    packed = tags.get(259, (1,))[0] != 1
    declared = tags.get(281)
    # Unsigned integers, and the channels of a pixel side by side.
    plain = {*tags.get(339, (1,))} == {1} and tags.get(284, (1,))[0] == 1
    return Facts(
        "tiff",
        depth=max(depths) if len({*depths}) == 1 and plain else 0,
        channels=channels,
        several=following != 0,
        orientation=valid_orientation(tags.get(_ORIENTATION_TAG, (UPRIGHT,))[0]),
        meant_bits=max(declared).bit_length() if declared else None,
        photometric=photometric,
        packed=packed,
        reduced=bool(tags.get(254, (0,))[0] & _REDUCED_OR_MASK),
        raw=_DNG_VERSION in tags or bool(_SENSOR_PHOTOMETRICS & {*_photometrics(data, tags)}),
        short=not packed and photometric != _YCBCR_TIFF and _is_short(tags, max(depths) * channels),
    )


def _photometrics(data: bytes, tags: Mapping[int, tuple[int, ...]]) -> Iterator[int]:
    """Yield the photometric kinds of a TIFF directory and of those that it names as its parts."""
    yield tags.get(_PHOTOMETRIC, (-1,))[0]
    for start in tags.get(_SUB_DIRECTORIES, ()):
        part, _ = _directory(data, "<" if data[:2] == b"II" else ">", start)
        yield part.get(_PHOTOMETRIC, (-1,))[0]


def _is_short(tags: Mapping[int, tuple[int, ...]], bits: int) -> bool:
    """Return whether uncompressed samples have fewer bytes than they need. bits: of a pixel."""
    stored = sum(tags.get(279, tags.get(325, ())))
    width, height = tags.get(256, (0,))[0], tags.get(257, (0,))[0]
    # Some programs write 0 for one strip.
    return 0 < stored < height * (width * bits // 8)


def _orientation(exif: bytes) -> int:
    """Return the orientation of an EXIF block, which is a TIFF file without pixels."""
    try:
        tags, _ = _first_directory(exif)
    except (struct.error, IndexError, ValueError):
        return UPRIGHT
    return valid_orientation(tags.get(_ORIENTATION_TAG, (UPRIGHT,))[0])


def valid_orientation(orientation: object) -> int:
    """Return what a file gives as orientation, or 1 (upright) where it is none of 1..8."""
    if not isinstance(orientation, int):
        return UPRIGHT
    return orientation if 1 <= orientation <= 8 else UPRIGHT


def _first_directory(data: bytes) -> tuple[Mapping[int, tuple[int, ...]], int]:
    """Return a TIFF file's first directory, its whole numbers by tag, and the next one's offset."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise ValueError("no TIFF")
    (start,) = struct.unpack(f"{order}I", data[4:8])
    return _directory(data, order, start)


def _directory(data: bytes, order: str, start: int) -> tuple[Mapping[int, tuple[int, ...]], int]:
    """Return the directory at a place of a TIFF file, as ``_first_directory``."""
    (count,) = struct.unpack(f"{order}H", data[start : start + 2])
    tags: dict[int, tuple[int, ...]] = {}
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack(f"{order}HHI", data[at : at + 8])
        if kind not in _TIFF_TYPES or not 0 < number <= _MOST_NUMBERS:
            continue
        code = f"{order}{number}{_TIFF_TYPES[kind]}"
        size = struct.calcsize(code)
        where = at + 8 if size <= 4 else struct.unpack(f"{order}I", data[at + 8 : at + 12])[0]
        tags[tag] = struct.unpack(code, data[where : where + size])
    end = start + 2 + 12 * count
    (following,) = struct.unpack(f"{order}I", data[end : end + 4])
    return tags, following
