"""Sizes, frame sizes and intervals as text and back. Byte sizes are binary (KiB, MiB, GiB)."""

from __future__ import annotations

import re

from edgeunet.errors import UsageError

KIB = 1024
MIB = 1024**2
GIB = 1024**3

# Longest side of a frame; a typing error is refused before memory is allocated.
LARGEST_SIDE = 32768

# More than any machine has, and below any overflow.
LARGEST_BYTES = 2**20 * GIB

# A hundred years.
LONGEST_S = 100 * 366 * 86400

_UNITS = {"": 1, "B": 1, "KIB": KIB, "MIB": MIB, "GIB": GIB, "K": KIB, "M": MIB, "G": GIB}
_BYTES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|d)\s*")
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

    Raises UsageError for anything else, decimal units included: MB is not MiB, and for more
    than LARGEST_BYTES.
    """
    match = _BYTES.fullmatch(text)
    unit = match.group(2).upper() if match else ""
    if match is None or unit not in _UNITS:
        raise UsageError(f"{text!r} is not a size in bytes", hint="write it like 128MiB or 1.5GiB")
    size_bytes = float(match.group(1)) * _UNITS[unit]
    if size_bytes > LARGEST_BYTES:
        raise UsageError(
            f"{shorten(text)} is more memory than there is",
            hint="write it like 128MiB or 1.5GiB",
        )
    return round(size_bytes)


def parse_size(text: str) -> tuple[int, int]:
    """Read a frame size ``HxW`` (rows first) and return ``(height, width)`` in pixels.

    Raises UsageError for anything else, and for a side above LARGEST_SIDE.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not a frame size", hint="write height x width, like 480x640 or 1080x1920"
        )
    height, width = (parse_count(side, LARGEST_SIDE) for side in match.groups())
    if height is None or width is None:
        raise UsageError(
            f"{shorten(text)} pixels is too large a frame",
            hint=f"height and width may be at most {LARGEST_SIDE}",
        )
    return height, width


def parse_duration(text: str) -> float:
    """Read ``90s``, ``10min``, ``1.5h`` or ``7d``; return seconds.

    Raises UsageError for anything else, and for no time at all.
    """
    match = _DURATION.fullmatch(text)
    seconds = float(match.group(1)) * _SECONDS[match.group(2)] if match else 0.0
    if not 0 < seconds <= LONGEST_S:
        raise UsageError(
            f"{shorten(text)!r} is not a duration", hint="write it like 90s, 10min or 7d"
        )
    return seconds


def parse_count(digits: str, limit: int) -> int | None:
    """Return decimal digits as a number, or None if it is above ``limit``."""
    digits = digits.lstrip("0") or "0"
    # The length is compared first, because int() raises ValueError for thousands of digits.
    return int(digits) if len(digits) <= len(str(limit)) and int(digits) <= limit else None


def shorten(text: str, limit: int = 40) -> str:
    """Return a text, cut to ``limit`` characters, for a message."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def format_size(height: int, width: int) -> str:
    """Return ``HxW``, rows first."""
    return f"{height}x{width}"
