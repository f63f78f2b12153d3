"""Imitation of onnxruntime's CPU arena: the bytes it touches for a sequence of allocations.

The arena ("best fit with coalescing") requests regions from the system. Each is twice as large as
the one before, and none is given back. An allocation gets the smallest free piece that is large
enough. Pages that were never allocated are not resident, so a process takes the bytes that were
ever allocated. The rules are those of onnxruntime 1.17 to 1.31: pieces are multiples of 256 bytes,
and a piece is split if at least half of it would remain.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field

from edgeunet.specs import Pool

_PIECE_BYTES = 256
_LARGEST_REGION_BYTES = 1 << 30
# The library's defaults; see ort/onnxruntime_session.py for what is used here.
_FIRST_REGION_BYTES = 1 << 20
_DEAD_BYTES = 128 << 20

DEAD_BYTES = 1 << 20
"""The setting that edgeunet runs with: at most this much of a piece is left unused."""


def pool_for(region_bytes: int) -> Pool:
    """Return the arena settings for a predicted first region, in bytes.

    Predictions and sessions use the same settings.
    """
    return Pool(region_bytes=region_bytes, dead_bytes=DEAD_BYTES)


def up_to_pieces(size_bytes: int) -> int:
    """Return a size in bytes, rounded up to whole pieces of the arena."""
    return -(-max(size_bytes, 1) // _PIECE_BYTES) * _PIECE_BYTES


# (size, -region, start): later regions usually have lower addresses.
_Key = tuple[int, int, int]


@dataclass
class _Piece:
    """Bytes [start, end) of one region, linked to the pieces before and after it."""

    region: int
    start: int
    end: int
    free: bool = True
    before: _Piece | None = None
    after: _Piece | None = None

    @property
    def size_bytes(self) -> int:
        return self.end - self.start

    @property
    def key(self) -> _Key:
        return (self.end - self.start, -self.region, self.start)


@dataclass
class _Touched:
    """Sorted, disjoint intervals of the bytes that were ever allocated."""

    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def add(self, start: int, end: int) -> None:
        low = bisect.bisect_left(self.ends, start)
        high = bisect.bisect_right(self.starts, end)
        if low < high:
            start, end = min(start, self.starts[low]), max(end, self.ends[high - 1])
        self.starts[low:high], self.ends[low:high] = [start], [end]

    @property
    def total_bytes(self) -> int:
        return sum(self.ends) - sum(self.starts)


class Arena:
    """The imitated arena: call ``take`` and ``give`` in the engine's order, then read totals."""

    def __init__(
        self, first_region_bytes: int = _FIRST_REGION_BYTES, dead_bytes: int = _DEAD_BYTES
    ) -> None:
        """dead_bytes: a free piece is also split if at least this much of it would remain."""
        self._next_region_bytes = first_region_bytes
        self._dead_bytes = dead_bytes
        self._regions: list[_Touched] = []
        self._free: list[_Key] = []
        self._by_key: dict[_Key, _Piece] = {}
        self.reserved_bytes = 0

    @property
    def touched_bytes(self) -> int:
        return sum(region.total_bytes for region in self._regions)

    @property
    def regions(self) -> int:
        return len(self._regions)

    @property
    def extent_bytes(self) -> int:
        """Return the end of the bytes that were ever allocated, summed over all regions."""
        return sum(region.ends[-1] for region in self._regions if region.ends)

    @property
    def free_bytes(self) -> int:
        """Return the number of free bytes in all regions."""
        return sum(size_bytes for size_bytes, _, _ in self._free)

    def take(self, size_bytes: int) -> _Piece:
        """Allocate a piece of at least this size, and return it."""
        wanted = up_to_pieces(size_bytes)
        piece = self._best(wanted)
        if piece is None:
            self._extend(wanted)
            piece = self._best(wanted)
        assert piece is not None
        if piece.size_bytes >= 2 * wanted or piece.size_bytes - wanted >= self._dead_bytes:
            self._split(piece, wanted)
        piece.free = False
        self._regions[piece.region].add(piece.start, piece.start + size_bytes)
        return piece

    def give(self, piece: _Piece) -> None:
        """Free a piece, and join it with free neighbours."""
        piece.free = True
        after, before = piece.after, piece.before
        if after is not None and after.free:
            self._remove(after)
            piece.end, piece.after = after.end, after.after
            if piece.after is not None:
                piece.after.before = piece
        if before is not None and before.free:
            self._remove(before)
            before.end, before.after = piece.end, piece.after
            if before.after is not None:
                before.after.before = before
            piece = before
        self._insert(piece)

    def _best(self, wanted: int) -> _Piece | None:
        index = bisect.bisect_left(self._free, (wanted, -math.inf, 0))
        return self._by_key.pop(self._free.pop(index)) if index < len(self._free) else None

    def _extend(self, wanted: int) -> None:
        grown = False
        while self._next_region_bytes < wanted:
            self._next_region_bytes *= 2
            grown = True
        size = self._next_region_bytes
        if not grown:
            self._next_region_bytes = min(2 * size, _LARGEST_REGION_BYTES)
        self.reserved_bytes += size
        self._insert(_Piece(len(self._regions), 0, size))
        self._regions.append(_Touched())

    def _split(self, piece: _Piece, size_bytes: int) -> None:
        rest = _Piece(piece.region, piece.start + size_bytes, piece.end, True, piece, piece.after)
        if piece.after is not None:
            piece.after.before = rest
        piece.after, piece.end = rest, rest.start
        self._insert(rest)

    def _insert(self, piece: _Piece) -> None:
        key = piece.key
        bisect.insort(self._free, key)
        self._by_key[key] = piece

    def _remove(self, piece: _Piece) -> None:
        key = piece.key
        del self._free[bisect.bisect_left(self._free, key)]
        del self._by_key[key]
