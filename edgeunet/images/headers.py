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
_TIFF_TYPES = {1: "B", 3: "H", 4: "I"}
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
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
    photometric: TIFF's tag of that name; None for other kinds.
    """

    kind: str
    depth: int = 8
    channels: int = 3
    several: bool = False
    orientation: int = UPRIGHT
    meant_bits: int | None = None
    photometric: int | None = None


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
            return Facts("bmp")
    except (struct.error, IndexError, ValueError):
        return None
    return None


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
    several, orientation, meant = False, UPRIGHT, None
    for name, body in _png_chunks(data):
        if name == b"sBIT":
            meant = max(body[: {0: 1, 4: 1}.get(colour, 3)])
        elif name == b"acTL":
            several = struct.unpack(">I", body[:4])[0] > 1
        elif name == b"eXIf":
            orientation = _orientation(body)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] if colour in (0, 2, 3, 4, 6) else 0
    return Facts("png", depth, channels, several, orientation, meant)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(PNG_SIGNATURE)
    while at + 8 <= len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        # Pixels are not copied.
        yield name, b"" if name == b"IDAT" else data[at + 8 : at + 8 + length]
        at += length + 12


def _jpeg(data: bytes) -> Facts:
    depth, channels, several, orientation = 8, 0, False, UPRIGHT
    at = 2
    while at + 4 <= len(data):
        marker, length = struct.unpack(">HH", data[at : at + 4])
        body = data[at + 4 : at + 2 + length]
        if marker & 0xFF in _JPEG_FRAMES and marker >> 8 == 0xFF:
            return Facts("jpeg", body[0], body[5], several, orientation)
        if marker == 0xFFE1 and body.startswith(b"Exif\0\0"):
            orientation = _orientation(body[6:])
        several |= marker == 0xFFE2 and body.startswith(b"MPF\0")
        if marker >> 8 != 0xFF:
            break
        at += 2 + length
    return Facts("jpeg", depth, channels, several, orientation)


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


def _tiff(data: bytes) -> Facts:
    tags, following = _first_directory(data)
    depths = tags.get(258, (1,))
    declared = tags.get(281)
    # Unsigned integers, and the channels of a pixel side by side.
    plain = {*tags.get(339, (1,))} == {1} and tags.get(284, (1,))[0] == 1
    return Facts(
        "tiff",
        depth=max(depths) if len({*depths}) == 1 and plain else 0,
        channels=tags.get(277, (1,))[0],
        several=following != 0,
        orientation=_valid(tags.get(_ORIENTATION_TAG, (UPRIGHT,))[0]),
        meant_bits=max(declared).bit_length() if declared else None,
        photometric=tags.get(262, (-1,))[0],
    )


def _orientation(exif: bytes) -> int:
    """Return the orientation of an EXIF block, which is a TIFF file without pixels."""
    try:
        tags, _ = _first_directory(exif)
    except (struct.error, IndexError, ValueError):
        return UPRIGHT
    return _valid(tags.get(_ORIENTATION_TAG, (UPRIGHT,))[0])


def _valid(orientation: int) -> int:
    return orientation if 1 <= orientation <= 8 else UPRIGHT


def _first_directory(data: bytes) -> tuple[Mapping[int, tuple[int, ...]], int]:
    """Return a TIFF file's first directory, its whole numbers by tag, and the next one's offset."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise ValueError("no TIFF")
    (start,) = struct.unpack(f"{order}I", data[4:8])
    (count,) = struct.unpack(f"{order}H", data[start : start + 2])
    tags: dict[int, tuple[int, ...]] = {}
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack(f"{order}HHI", data[at : at + 8])
        if kind not in _TIFF_TYPES or not 0 < number <= 64:
            continue
        code = f"{order}{number}{_TIFF_TYPES[kind]}"
        size = struct.calcsize(code)
        where = at + 8 if size <= 4 else struct.unpack(f"{order}I", data[at + 8 : at + 12])[0]
        tags[tag] = struct.unpack(code, data[where : where + size])
    end = start + 2 + 12 * count
    (following,) = struct.unpack(f"{order}I", data[end : end + 4])
    return tags, following
