"""Windows over a frame: fixed size, clamped to it, aligned, and what each one settles.

Positions are in pixels along one axis, half-open.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeunet.errors import UsageError


@dataclass(frozen=True)
class Window:
    """A window starts at ``start``; of its outputs ``[first, last)`` are exact and new."""

    start: int
    first: int
    last: int


def windows(length: int, window: int, *, align: int, before: int, after: int) -> list[Window]:
    """Cover ``[0, length)`` with windows of one size; every pixel is settled exactly once.

    align: every start is a multiple of it, and so must length and window be.
    before, after: the halo, wrong at a window's ends except where the frame ends too.
    Raises UsageError when a window would settle nothing new.
    """
    if window >= length:
        return [Window(0, 0, length)]
    smallest = before + after + 2 * align
    if window < smallest:
        raise UsageError(
            f"a tile of {window} pixels is too small for its halo of {before} + {after}",
            hint=f"use tiles of at least {-(-smallest // align) * align} pixels",
        )
    found: list[Window] = []
    done = 0
    while done < length:
        start = 0 if done == 0 else min((done - before) // align * align, length - window)
        last = length if start + window >= length else start + window - after
        found.append(Window(start, done, last))
        done = last
    return found


def recompute_ratio(length: int, window: int, found: list[Window]) -> float:
    """Return the pixels worked on over the pixels there are, along one axis."""
    return len(found) * min(window, length) / length
