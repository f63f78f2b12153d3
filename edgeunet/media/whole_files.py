"""Whether a video file is whole, by the sizes that its container writes down.

Numbers of frames and durations are estimates in most containers, and frames may be hidden by an
edit list, so they say nothing about a file's end. Sizes of boxes, elements and chunks are exact.
A container without any, such as an MPEG program stream, cannot be judged.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from edgeunet.media.container_parts import CLUSTER, EBML, SEGMENT, box_header, element_header
from edgeunet.units import format_bytes

_HEAD_BYTES = 4096
_OGG_PAGE_BYTES = 65_307
_TS_PACKET_BYTES = 188

# ISO/IEC 14496-12: kinds of boxes that a file can begin with.
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"uuid")

# Advanced Systems Format: the object with the file's properties.
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def cut_off(path: Path) -> str:
    """Return why a video file is not whole; empty when nothing says so.

    Reads a few bytes per part of the container. Raises OSError.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
        for begins, examine in _CONTAINERS:
            if begins(head):
                return examine(stream, head, size)
    return ""


def _missing(size_bytes: int) -> str:
    return f"at least {format_bytes(size_bytes)} are missing at its end"


def _boxes(stream: BinaryIO, head: bytes, size: int) -> str:
    at, kind = 0, b""
    while at + 8 <= size:
        stream.seek(at)
        length, kind, _ = box_header(stream.read(16))
        if length == 0:  # up to the end of the file
            return ""
        if length < 8:
            return ""
        at += length
    if at > size:
        return _missing(at - size)
    # The data of a fragment follow its index.
    return "the data of its last fragment are missing" if kind == b"moof" else ""


def _elements(stream: BinaryIO, head: bytes, size: int) -> str:
    at, inside = 0, False
    while at < size:
        stream.seek(at)
        header = stream.read(12)
        found = element_header(header)
        if found is None:
            # The longest header has twelve bytes, so a shorter rest may be the start of one.
            return _missing(1) if inside and len(header) < 12 else ""
        kind, length, header_bytes = found
        at += header_bytes
        if length is not None:
            at += length
        elif kind in (SEGMENT, CLUSTER):
            # Its length was not known when it was written, so its parts are gone through.
            inside = True
        else:
            return ""
    return _missing(at - size) if at > size else ""


def _chunks(stream: BinaryIO, head: bytes, size: int) -> str:
    at = 0
    while at + 12 <= size:
        stream.seek(at)
        header = stream.read(12)
        if header[:4] != b"RIFF":
            return ""
        length = int.from_bytes(header[4:8], "little")
        if length in (0, 0xFFFFFFFF):
            return "its writer was stopped before it was finished"
        at += 8 + length + length % 2
    return _missing(at - size) if at > size + 1 else ""


def _transport_packets(stream: BinaryIO, head: bytes, size: int) -> str:
    rest = size % _TS_PACKET_BYTES
    if not rest:
        return ""
    stream.seek(size - rest)
    return _missing(_TS_PACKET_BYTES - rest) if stream.read(1) == b"G" else ""


def _flash_tags(stream: BinaryIO, head: bytes, size: int) -> str:
    """Compare the last tag's length with the one that is repeated behind it."""
    stream.seek(max(0, size - 4))
    length = int.from_bytes(stream.read(4), "big")
    if 11 <= length <= size - 13:
        stream.seek(size - 4 - length)
        tag = stream.read(11)
        if int.from_bytes(tag[1:4], "big") == length - 11:
            return ""
    return "it ends in the middle of a packet"


def _ogg_pages(stream: BinaryIO, head: bytes, size: int) -> str:
    start = max(0, size - 2 * _OGG_PAGE_BYTES)
    stream.seek(start)
    tail = stream.read()
    page = tail.rfind(b"OggS")
    segments = tail[page + 26] if 0 <= page < len(tail) - 26 else 0
    table = tail[page + 27 : page + 27 + segments]
    end = page + 27 + segments + sum(table)
    if page < 0 or page + 27 > len(tail) or len(table) < segments:
        return "it ends in the middle of a page"
    return _missing(end - len(tail)) if end > len(tail) else ""


def _asf_size(stream: BinaryIO, head: bytes, size: int) -> str:
    at = head.find(_ASF_PROPERTIES)
    if at < 0 or len(head) < at + 92:
        return ""
    announced = int.from_bytes(head[at + 40 : at + 48], "little")
    broadcast = head[at + 88] & 1
    return _missing(announced - size) if announced > size and not broadcast else ""


_Examine = Callable[[BinaryIO, bytes, int], str]
_CONTAINERS: tuple[tuple[Callable[[bytes], bool], _Examine], ...] = (
    (lambda head: head[4:8] in _BOXES, _boxes),
    (lambda head: head[:4] == EBML.to_bytes(4, "big"), _elements),
    (lambda head: head[:4] == b"RIFF" and head[8:12] == b"AVI ", _chunks),
    (lambda head: head[:1] == b"G" and head[_TS_PACKET_BYTES:][:1] == b"G", _transport_packets),
    (lambda head: head[:3] == b"FLV", _flash_tags),
    (lambda head: head[:4] == b"OggS", _ogg_pages),
    (lambda head: head[:16] == _ASF, _asf_size),
)
