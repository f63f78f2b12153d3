"""A colour profile of printing inks, made byte by byte (ICC.1:2001-04, sections 6.1 and 6.5.8)."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray


def ink_profile(corners: NDArray[np.uint8]) -> bytes:
    """Return a profile of CMYK that says what colour every full mixture of inks has.

    corners: (2, 2, 2, 2, 3) uint8, L*a*b* as the profile stores it (a and b with 128 added), by
    cyan, magenta, yellow and black, each without or with all of its ink.
    """
    straight = bytes(range(256))
    identity = struct.pack(">9i", *(65536 * (index in (0, 4, 8)) for index in range(9)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity
    table += straight * 4 + corners.tobytes() + straight * 3
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    text = b"inks"
    name = (
        b"desc" + bytes(4) + struct.pack(">I", len(text) + 1) + text + bytes(1 + 4 + 4 + 2 + 1 + 67)
    )
    tags = [(b"desc", name), (b"wtpt", white), (b"A2B0", table)]
    start = 128 + 4 + 12 * len(tags)
    entries, body = b"", b""
    for tag, content in tags:
        entries += tag + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI", start + len(body), b"none", 0x02400000) + b"prtrCMYKLab "
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + entries + body
