"""The imitated arena: its rules one by one, and what holds whatever is taken and given back."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edgeunet.imitation.onnxruntime_arena import Arena
from edgeunet.units import GIB, MIB

PIECE = 256


def filled(arena: Arena, *sizes: int) -> list[tuple[int, int, int]]:
    """Take pieces and return where they are: region, start, end."""
    return [(p.region, p.start, p.end) for p in (arena.take(size) for size in sizes)]


def test_nothing_taken_is_nothing_touched() -> None:
    arena = Arena()
    assert (arena.touched_bytes, arena.reserved_bytes) == (0, 0)


def test_regions_double() -> None:
    arena = Arena()
    reserved = []
    for _ in range(15):
        arena.take(MIB)
        reserved.append(arena.reserved_bytes // MIB)
    assert reserved == [1, 3, 3, *4 * [7], *8 * [15]]


def test_a_large_piece_gets_a_region_of_the_next_power_of_two() -> None:
    arena = Arena()
    arena.take(5 * MIB)
    assert arena.reserved_bytes == 8 * MIB
    # The region grew for the piece, so it does not double again at once.
    arena.take(6 * MIB)
    assert arena.reserved_bytes == (8 + 8) * MIB
    arena.take(8 * MIB)
    assert arena.reserved_bytes == (8 + 8 + 16) * MIB


def test_regions_stop_doubling_at_a_gibibyte() -> None:
    arena = Arena()
    for _ in range(4):
        arena.take(GIB)
    assert arena.reserved_bytes == 4 * GIB


def test_sizes_are_rounded_up_to_pieces() -> None:
    arena = Arena()
    assert filled(arena, 1, 257) == [(0, 0, PIECE), (0, PIECE, 3 * PIECE)]
    # Touched is what was asked for: the rest of a piece is never written.
    assert arena.touched_bytes == 1 + 257


def test_the_smallest_piece_that_is_large_enough_is_taken() -> None:
    arena = Arena()
    pieces = [arena.take(size * PIECE) for size in (8, 1, 4, 1, 5, 1)]
    for hole in (pieces[0], pieces[2], pieces[4]):
        arena.give(hole)
    for wanted, start in ((5, pieces[4].start), (4, pieces[2].start), (6, pieces[0].start)):
        assert arena.take(wanted * PIECE).start == start


def test_a_piece_is_split_when_at_least_half_is_left() -> None:
    arena = Arena()
    hole, _ = arena.take(8 * PIECE), arena.take(PIECE)
    arena.give(hole)
    kept = arena.take(5 * PIECE)
    assert kept.size_bytes == 8 * PIECE, "three of eight are left: not split"
    arena.give(kept)
    assert arena.take(4 * PIECE).size_bytes == 4 * PIECE
    assert arena.take(4 * PIECE).start == 4 * PIECE, "and the rest is free"


def test_a_very_large_rest_is_split_off_all_the_same() -> None:
    arena = Arena()
    arena.take(GIB)
    assert arena.take(700 * MIB).size_bytes == 700 * MIB


def test_free_neighbours_are_joined() -> None:
    for order in ((0, 1, 2), (2, 1, 0), (0, 2, 1), (1, 0, 2)):
        arena = Arena()
        pieces = [arena.take(MIB // 4) for _ in range(4)]
        for index in order:
            arena.give(pieces[index])
        assert arena.take(MIB // 4 * 3).start == 0, order
        assert arena.reserved_bytes == MIB


def test_what_is_taken_again_is_not_touched_twice() -> None:
    arena = Arena()
    for _ in range(3):
        arena.give(arena.take(MIB // 2))
    assert arena.touched_bytes == MIB // 2
    arena.take(MIB // 4)
    assert arena.touched_bytes == MIB // 2
    arena.take(MIB // 2)
    # A quarter is in use: the half lies behind it, a quarter of it on new pages.
    assert arena.touched_bytes == MIB // 4 + MIB // 2


@given(st.lists(st.tuples(st.integers(1, 3 * MIB), st.integers(0, 5)), min_size=1, max_size=60))
def test_pieces_never_overlap_and_touched_bytes_only_grow(orders: list[tuple[int, int]]) -> None:
    """Take a piece, then give back as many of the oldest, the newest and those between."""
    arena = Arena()
    held = []
    touched = peak = 0
    for size_bytes, give_back in orders:
        piece = arena.take(size_bytes)
        assert piece.size_bytes >= size_bytes
        held.append((piece, size_bytes))
        spans = sorted((p.region, p.start, p.end) for p, _ in held)
        for (region, _, end), (next_region, start, _) in itertools.pairwise(spans):
            assert region != next_region or end <= start
        peak = max(peak, sum(size for _, size in held))
        assert arena.touched_bytes >= max(touched, peak)
        assert arena.touched_bytes <= arena.reserved_bytes
        touched = arena.touched_bytes
        for _ in range(min(give_back, len(held))):
            arena.give(held.pop(size_bytes % len(held))[0])
            assert arena.touched_bytes == touched, "given back is not given to the system"
    for piece, _ in held:
        arena.give(piece)
    reserved = arena.reserved_bytes
    # Everything is one free piece per region again.
    assert arena.take(max(size_bytes for size_bytes, _ in orders)).start == 0
    assert arena.reserved_bytes == reserved
