"""Brings what was allocated and freed into one order, so that traces and predictions compare."""

from __future__ import annotations

from edgeunet.imitation.allocations import Allocations


def sizes_of(found: Allocations, least_bytes: int) -> list[int]:
    """Return the sizes in bytes of a prediction for one pixel, negative where they are freed."""
    sizes = [buffer.size_bytes(1) for buffer in found.buffers]
    events = []
    for taken, given in found.steps:
        events += [sizes[index] for index in taken]
        events += [-sizes[index] for index in given]
    return ordered(events, least_bytes)


def ordered(sizes: list[int], least_bytes: int) -> list[int]:
    """Return the sizes from ``least_bytes`` on; what is freed in a row is sorted."""
    found: list[int] = []
    freed: list[int] = []
    for size in sizes:
        if abs(size) < least_bytes:
            continue
        if size < 0:
            freed.append(size)
            continue
        found += [*sorted(freed), size]
        freed.clear()
    return [*found, *sorted(freed)]
