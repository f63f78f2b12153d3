"""Tells whether a JPEG file holds all of its picture.

Decoders fill what is missing with grey, and say so only on stderr. JPEG has no checksum. But bytes
put behind the last coded block of a whole picture change nothing, because no decoder reads them. In
a cut picture they are decoded as the missing blocks. So a picture is whole when it stays the same.
JPEG: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeunet.images.headers import JPEG_FRAMES

# Any bytes do that code no long run of equal blocks. A decoder may wait for any of the eight
# markers that restart it.
_BLOCKS = bytes(range(1, 128))
_FILLING = _BLOCKS + b"".join(bytes([0xFF, 0xD0 + number]) + _BLOCKS for number in range(8)) * 2
_GREY = 128
_END, _SCAN = 0xD9, 0xDA
# Among coded bytes, 0xFF before 0 is itself, and 0xD0 to 0xD7 restart the decoder.
_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
_PROGRESSIVE = 0xC2
# Their decoder may read bytes behind the last block.
_ARITHMETIC = frozenset(range(0xC9, 0xD0))


def is_cut(
    data: bytes,
    corner: Any,
    pixels: Callable[[], NDArray[Any]],
    decode: Callable[[bytes], NDArray[Any] | None],
) -> bool:
    """Return whether a JPEG file's coded picture ends before its last block.

    corner: the samples of the lowest, rightmost pixel, 0..255. pixels: gives the decoded picture,
    (H, W) or (H, W, channels) uint8. decode: gives the pixels of other bytes in the same form, or
    None. Both are asked only where something may be missing, as decoding takes time.
    A file without an end mark is cut. Where a cut file was given one, two cuts are not found: one
    within the last block, which decoders complete, and some in progressive files with restart
    markers.
    """
    frame, at = _frame(data)
    if data.rfind(bytes((0xFF, _END)), at) < 0:
        return True
    # A missing last block is grey. In a progressive file, only a part of the block is missing.
    is_grey = bool(np.abs(np.asarray(corner, int) - _GREY).max() <= 1)
    if frame in _ARITHMETIC or not (is_grey or frame == _PROGRESSIVE):
        return False
    end = _end_of_scans(data, at)
    if end is None:
        return True
    other = decode(data[:end] + _FILLING + data[end:])
    return other is None or not np.array_equal(pixels(), other)


def _frame(data: bytes) -> tuple[int, int]:
    """Return the marker of a file's frame, 0 for none, and where the first scan's marker lies."""
    at, frame = 2, 0
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in (_SCAN, _END):
        if data[at + 1] == 0xFF:
            at += 1
            continue
        if data[at + 1] in JPEG_FRAMES:
            frame = data[at + 1]
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return frame, at


def _end_of_scans(data: bytes, at: int) -> int | None:
    """Return where the marker lies that ends the file, or None when there is none.

    at: where the first scan's marker lies. Segments may lie between scans.
    """
    while at + 4 <= len(data):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        found = _MARKER.search(data, at)
        if found is None:
            return None
        if data[found.end() - 1] == _END:
            return found.start()
        at = found.end() - 2
    return None
