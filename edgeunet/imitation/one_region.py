"""Does one region of onnxruntime's arena serve a sequence of allocations? Sizes are in bytes.

The rules are those of ``onnxruntime_arena.Arena``, which imitates any number of regions and counts
the bytes that were touched. A plan asks this question for thousands of sizes, so here only what
answers it is kept, it ends at the first allocation that finds no room, and answers are remembered.
"""

from __future__ import annotations

import bisect
import functools
from collections.abc import Sequence

from edgeunet.imitation.onnxruntime_arena import DEAD_BYTES, up_to_pieces

Events = tuple[int, ...]
"""A sequence of allocations: the size of each, or ``-1 - i``, which frees that of position i."""

_NO_END = 1 << 60


@functools.lru_cache(maxsize=1 << 14)
def extent_bytes(events: Events) -> int:
    """Return the end of the bytes that are ever allocated in a region without a limit."""
    end = _end_in(events, _NO_END)
    assert end is not None
    return end


@functools.lru_cache(maxsize=1 << 14)
def extent_within(events: Events, region_bytes: int) -> int:
    """Return the end of the bytes that are ever allocated in a free region, at most all of it."""
    end = _end_in(events, region_bytes)
    return region_bytes if end is None else end


@functools.lru_cache(maxsize=1 << 16)
def fits(events: Events, region_bytes: int) -> bool:
    """Return whether a free region is enough, without a further one."""
    # In a region of twice the size, the end of the region never influences the placement.
    if 2 * up_to_pieces(extent_bytes(events)) <= region_bytes:
        return True
    return _end_in(events, region_bytes) is not None


def free_behind(kept: Sequence[int], region_bytes: int) -> int | None:
    """Return the free bytes behind what stays allocated; None if the region is too small."""
    free_bytes = region_bytes
    for kept_bytes in kept:
        wanted = up_to_pieces(kept_bytes)
        if free_bytes < wanted:
            return None
        free_bytes = free_bytes - wanted if _is_split(free_bytes, wanted) else 0
    return free_bytes


def _is_split(size_bytes: int, wanted_bytes: int) -> bool:
    """Return whether the rest of a piece stays free."""
    return size_bytes >= 2 * wanted_bytes or size_bytes - wanted_bytes >= DEAD_BYTES


def _end_in(events: Events, region_bytes: int) -> int | None:
    """Return the end of the bytes that are ever allocated; None if the region is too small."""
    free = [(region_bytes, 0)]  # (size, start) of the free pieces, in ascending order
    end_of = {0: region_bytes}  # the end of the free piece that starts here
    start_of = {region_bytes: 0}  # the start of the free piece that ends here
    taken: list[tuple[int, int]] = []  # (start, end) by position
    last = 0
    for event in events:
        if event < 0:
            start, end = taken[-1 - event]
            if end in end_of:
                after = end_of.pop(end)
                del start_of[after]
                del free[bisect.bisect_left(free, (after - end, end))]
                end = after
            if start in start_of:
                before = start_of.pop(start)
                del end_of[before]
                del free[bisect.bisect_left(free, (start - before, before))]
                start = before
            bisect.insort(free, (end - start, start))
            end_of[start], start_of[end] = end, start
            taken.append((0, 0))
            continue
        wanted = up_to_pieces(event)
        index = bisect.bisect_left(free, (wanted, 0))
        if index == len(free):
            return None
        size_bytes, start = free.pop(index)
        end = start + size_bytes
        del end_of[start], start_of[end]
        if _is_split(size_bytes, wanted):
            rest = start + wanted
            bisect.insort(free, (end - rest, rest))
            end_of[rest], start_of[end] = end, rest
            end = rest
        taken.append((start, end))
        last = max(last, start + event)
    return last
