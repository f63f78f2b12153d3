"""One region of the arena: what it serves is what the imitation of the whole arena serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edgeunet.imitation.one_region import Events, extent_bytes, fits, free_behind
from edgeunet.imitation.onnxruntime_arena import DEAD_BYTES, Arena
from edgeunet.units import MIB

# Small sizes, in which the end of a region matters, and large ones, in which rests are split off.
SIZES = st.one_of(st.integers(0, 9000), st.integers(0, 3 * MIB))
ORDERS = st.lists(st.tuples(SIZES, st.integers(0, 3), st.integers(0, 50)), min_size=1, max_size=40)


def events_of(orders: Sequence[tuple[int, int, int]]) -> Events:
    """Return a sequence that allocates, and frees some of what is held after each."""
    events: list[int] = []
    held: list[int] = []
    for size_bytes, count, which in orders:
        held.append(len(events))
        events.append(size_bytes)
        for _ in range(min(count, len(held))):
            freed = held.pop(which % len(held))
            events.append(-1 - freed)
    return tuple(events)


def replayed(events: Events, region_bytes: int) -> Arena:
    """Return the arena after a sequence."""
    arena = Arena(region_bytes, DEAD_BYTES)
    pieces: dict[int, Any] = {}
    for index, event in enumerate(events):
        if event < 0:
            arena.give(pieces.pop(-1 - event))
        else:
            pieces[index] = arena.take(event)
    return arena


@given(ORDERS, st.floats(0.4, 2.1))
def test_a_region_fits_exactly_when_the_arena_stays_in_it(
    orders: list[tuple[int, int, int]], share: float
) -> None:
    events = events_of(orders)
    extent = replayed(events, 1 << 60).extent_bytes
    assert extent_bytes(events) == extent
    for size_bytes in (max(1, extent), max(1, int(extent * share))):
        arena = replayed(events, size_bytes)
        assert fits(events, size_bytes) == (arena.reserved_bytes <= size_bytes)


@given(st.lists(st.integers(1, 2 * MIB), max_size=6), st.integers(0, 6 * MIB))
def test_what_is_free_behind_weights_is_what_the_arena_has_left(
    kept: list[int], more_bytes: int
) -> None:
    region_bytes = sum(-(-each // 256) * 256 for each in kept) + more_bytes
    arena = replayed(tuple(kept), max(region_bytes, 1))
    free_bytes = free_behind(kept, region_bytes)
    if arena.regions > 1:
        assert free_bytes is None
    else:
        assert free_bytes == (arena.free_bytes if kept else region_bytes)


def test_a_region_that_is_too_small_for_weights_has_nothing_free() -> None:
    assert free_behind([300], 511) is None
    assert free_behind([300], 512) == 0
    assert free_behind([256], 1024) == 768
