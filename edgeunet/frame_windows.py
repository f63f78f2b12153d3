"""Windows over a frame along one axis: they have one size, are aligned, and lie inside the frame.

Positions are in pixels. Intervals are half-open.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeunet.errors import UsageError


@dataclass(frozen=True)
class Halo:
    """Pixels at the start and end of a window that come out wrong unless the frame ends there."""

    before: int
    after: int


@dataclass(frozen=True)
class Window:
    """A window from ``start`` on; its outputs ``[first, last)`` are exact and new."""

    start: int
    first: int
    last: int


def smallest_window(align: int, halo: Halo, length: int = 0) -> int:
    """Return the smallest window that has exact outputs at every position.

    length: of the frame in pixels. A window leaves the same remainder when divided by ``align``.
    """
    rest = length % align
    return -(-(halo.before + halo.after + 2 * align - rest) // align) * align + rest


def windows(length: int, window: int, *, align: int, halo: Halo) -> list[Window]:
    """Return windows of one size over ``[0, length)``; every pixel is taken from exactly one.

    align: every start is a multiple of it; ``length - window`` must be one as well.
    Raises UsageError when a window is too small for its halo.
    """
    if window >= length:
        return [Window(0, 0, length)]
    smallest = smallest_window(align, halo, length)
    if window < smallest:
        raise UsageError(
            f"a window of {window} pixels is too small for its halo of "
            f"{halo.before} + {halo.after}",
            hint=f"use windows of at least {smallest} pixels",
        )
    found: list[Window] = []
    done = 0
    while done < length:
        start = 0 if done == 0 else min((done - halo.before) // align * align, length - window)
        last = length if start + window >= length else start + window - halo.after
        found.append(Window(start, done, last))
        done = last
    return found


def recompute_ratio(length: int, window: int, found: list[Window]) -> float:
    """Return the pixels of all windows over ``length``, along one axis."""
    return len(found) * min(window, length) / length
