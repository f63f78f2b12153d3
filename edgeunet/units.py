"""Sizes, frame sizes and intervals as text and back. Byte sizes are binary (KiB, MiB, GiB)."""

from __future__ import annotations

import re

from edgeunet.errors import UsageError

KIB = 1024
MIB = 1024**2
GIB = 1024**3

_UNITS = {"": 1, "B": 1, "KIB": KIB, "MIB": MIB, "GIB": GIB, "K": KIB, "M": MIB, "G": GIB}
_BYTES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")
_SIZE = re.compile(r"\s*(\d+)\s*[xX×]\s*(\d+)\s*")


def format_bytes(size_bytes: float) -> str:
    """Return a size with the unit that keeps it readable, e.g. ``12.5 MiB``."""
    magnitude = abs(size_bytes)
    if magnitude >= GIB:
        return f"{size_bytes / GIB:.2f} GiB"
    if magnitude >= MIB:
        return f"{size_bytes / MIB:.1f} MiB"
    if magnitude >= KIB:
        return f"{size_bytes / KIB:.1f} KiB"
    return f"{size_bytes:.0f} B"


def parse_bytes(text: str) -> int:
    """Read ``128MiB``, ``1.5 GiB`` or a plain number of bytes.

    Raises UsageError for anything else, decimal units included: MB is not MiB.
    """
    match = _BYTES.fullmatch(text)
    unit = match.group(2).upper() if match else ""
    if match is None or unit not in _UNITS:
        raise UsageError(f"{text!r} is not a size in bytes", hint="write it like 128MiB or 1.5GiB")
    return round(float(match.group(1)) * _UNITS[unit])


def parse_size(text: str) -> tuple[int, int]:
    """Read a frame size ``HxW`` (rows first) and return ``(height, width)`` in pixels."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not a frame size", hint="write height x width, like 480x640 or 1080x1920"
        )
    return int(match.group(1)), int(match.group(2))


def format_size(height: int, width: int) -> str:
    """Return ``HxW``, rows first."""
    return f"{height}x{width}"
