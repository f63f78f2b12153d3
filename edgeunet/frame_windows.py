"""Windows over a frame: fixed size, clamped to it, aligned, and what each one settles.

Positions are in pixels along one axis, half-open.
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
    """A window starts at ``start``; of its outputs ``[first, last)`` are exact and new."""

    start: int
    first: int
    last: int


def smallest_window(align: int, halo: Halo) -> int:
    """Return the smallest window that settles something new wherever it lies."""
    return -(-(halo.before + halo.after + 2 * align) // align) * align


def windows(length: int, window: int, *, align: int, halo: Halo) -> list[Window]:
    """Cover ``[0, length)`` with windows of one size; every pixel is settled exactly once.

    align: every start is a multiple of it, and so must length and window be.
    Raises UsageError when a window would settle nothing new.
    """
    if window >= length:
        return [Window(0, 0, length)]
    smallest = smallest_window(align, halo)
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
    """Return the pixels worked on over the pixels there are, along one axis."""
    return len(found) * min(window, length) / length
