"""The parts of video containers: boxes of MP4 and MOV, elements of Matroska.

Boxes: ISO/IEC 14496-12, 4.2. Elements: RFC 8794 and RFC 9559. What is no box or no element ends a
walk, so that a damaged file gives fewer parts and no error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

EBML, SEGMENT, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
"""Kinds of elements: a file's head, all that follows it, and some seconds of frames."""

_HEAD_BYTES = 16
_MOST_PARTS = 100_000


@dataclass(frozen=True)
class Part:
    """A box or an element.

    kind: four bytes of a box, a number of an element.
    begin, end: where its content lies in the file, half-open.
    """

    kind: bytes | int
    begin: int
    end: int

    def content(self, stream: BinaryIO, most_bytes: int = 1024) -> bytes:
        """Read the first bytes of the content."""
        stream.seek(self.begin)
        return stream.read(min(most_bytes, self.end - self.begin))


def boxes(stream: BinaryIO, begin: int, end: int) -> Iterator[Part]:
    """Yield the boxes between two places of a file, without what is in them."""
    for _ in range(_MOST_PARTS):
        stream.seek(begin)
        length, kind, header_bytes = box_header(stream.read(_HEAD_BYTES))
        after = end if length == 0 else begin + length
        if len(kind) < 4 or after < begin + header_bytes or begin >= end:
            return
        yield Part(kind, begin + header_bytes, min(after, end))
        begin = after


def elements(stream: BinaryIO, begin: int, end: int) -> Iterator[Part]:
    """Yield the elements between two places of a file, without what is in them.

    One of unknown length ends where they end.
    """
    for _ in range(_MOST_PARTS):
        stream.seek(begin)
        found = element_header(stream.read(_HEAD_BYTES)) if begin < end else None
        if found is None:
            return
        kind, length, header_bytes = found
        after = end if length is None else begin + header_bytes + length
        yield Part(kind, begin + header_bytes, min(after, end))
        begin = after


def box_header(header: bytes) -> tuple[int, bytes, int]:
    """Return (bytes of a box with its header, kind, bytes of the header).

    header: up to sixteen bytes from its begin. 0 bytes: it ends where the file does.
    """
    length, kind = int.from_bytes(header[:4], "big"), header[4:8]
    if length == 1 and len(header) >= _HEAD_BYTES:
        return int.from_bytes(header[8:_HEAD_BYTES], "big"), kind, _HEAD_BYTES
    return length, kind, 8


def element_header(header: bytes) -> tuple[int, int | None, int] | None:
    """Return (kind, bytes of content or None for unknown, bytes of the header) of an element.

    header: up to twelve bytes from its begin. Returns None where they are no element's.
    """
    kind_bytes = _leading(header[0]) if header else 9
    if kind_bytes > 4 or len(header) <= kind_bytes:
        return None
    length_bytes = _leading(header[kind_bytes])
    if length_bytes > 8 or len(header) < kind_bytes + length_bytes:
        return None
    kind = int.from_bytes(header[:kind_bytes], "big")
    bits = 7 * length_bytes
    value = int.from_bytes(header[kind_bytes : kind_bytes + length_bytes], "big")
    length = value & ((1 << bits) - 1)
    unknown = length == (1 << bits) - 1
    return kind, None if unknown else length, kind_bytes + length_bytes


def _leading(first: int) -> int:
    """Return the number of bytes of a number whose first byte is given; 9 for none."""
    return 9 - first.bit_length()
