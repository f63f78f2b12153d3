"""Lay out an arena: one block of memory with an offset for every buffer.

Buffers are placed greedily in several orders. Each order is tried again with the buffers that ended
above the lower bound moved to the front. The first layout that reaches the bound is optimal and is
taken; otherwise the smallest is. Every layout passes the checker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgeunet.analysis.checker import check_layout
from edgeunet.analysis.liveness import Lifetime, sum_per_step
from edgeunet.errors import GraphError

# Size of a cache line, and of the widest vector registers.
ALIGNMENT_BYTES = 64

# More rounds rarely find a smaller layout, and cost time where none reaches the bound.
_ROUNDS = 10

_ORDERS: dict[str, Callable[[Lifetime], tuple[int, ...]]] = {
    "size": lambda item: (-item.size_bytes, item.start),
    "area": lambda item: (-item.size_bytes * (item.end - item.start), item.start),
    "longest": lambda item: (item.start - item.end, -item.size_bytes),
    "execution": lambda item: (item.start, -item.size_bytes),
}


@dataclass(frozen=True)
class ArenaLayout:
    """The offset of every buffer in an arena.

    offsets: bytes from the start of the arena, by buffer name.
    arena_bytes: size of the arena.
    lower_bound_bytes: the largest sum of live buffers, each rounded up to the alignment.
    order: name of the greedy order that gave the layout.
    """

    buffers: tuple[Lifetime, ...]
    offsets: dict[str, int]
    arena_bytes: int
    lower_bound_bytes: int
    alignment_bytes: int
    order: str

    @property
    def optimal(self) -> bool:
        """Whether no layout for this order of nodes is smaller."""
        return self.arena_bytes == self.lower_bound_bytes


def lay_out_arena(
    buffers: Sequence[Lifetime], alignment_bytes: int = ALIGNMENT_BYTES
) -> ArenaLayout:
    """Place the buffers in an arena.

    Raises GraphError if the checker refuses the result, which is a bug of this module.
    """
    sizes = [-(-item.size_bytes // alignment_bytes) * alignment_bytes for item in buffers]
    steps = max((item.end for item in buffers), default=0)
    spans = [(item.start, item.end, size) for item, size in zip(buffers, sizes, strict=True)]
    bound = max(sum_per_step(steps, spans), default=0)
    best: ArenaLayout | None = None
    for order, key in _ORDERS.items():
        ranked = [index for _, index in sorted((key(item), i) for i, item in enumerate(buffers))]
        for _ in range(_ROUNDS):
            if best is not None and best.optimal:
                break
            placed = _place(buffers, sizes, ranked)
            tops = [offset + size for offset, size in zip(placed, sizes, strict=True)]
            arena = max(tops, default=0)
            if best is None or arena < best.arena_bytes:
                offsets = {item.name: placed[index] for index, item in enumerate(buffers)}
                best = ArenaLayout(tuple(buffers), offsets, arena, bound, alignment_bytes, order)
            # The sort is stable: buffers above the bound come first, otherwise the order is kept.
            ranked = sorted(ranked, key=lambda index: tops[index] <= bound)
    if best is None:  # unreachable: there is always an order
        raise GraphError("no arena layout was made", hint="report this with the graph")
    findings = check_layout(best.buffers, best.offsets, best.arena_bytes, alignment_bytes)
    if findings:
        raise GraphError(
            f"the arena layout is wrong: {findings[0]}",
            hint="this is a bug in edgeunet; report it with the graph",
        )
    return best


def _place(buffers: Sequence[Lifetime], sizes: Sequence[int], ranked: Sequence[int]) -> list[int]:
    """Return an offset for each buffer: the lowest gap, among those alive with it, that fits."""
    count = len(buffers)
    starts = np.array([item.start for item in buffers], dtype=np.int64)
    ends = np.array([item.end for item in buffers], dtype=np.int64)
    offsets = np.zeros(count, dtype=np.int64)
    tops = np.zeros(count, dtype=np.int64)
    placed = np.zeros(count, dtype=np.bool_)
    for index in ranked:
        size = sizes[index]
        meets = placed & (starts < ends[index]) & (ends > starts[index])
        taken = sorted(zip(offsets[meets].tolist(), tops[meets].tolist(), strict=True))
        offset = 0
        for low, high in taken:
            if low - offset >= size:
                break
            offset = max(offset, high)
        offsets[index], tops[index], placed[index] = offset, offset + size, True
    return [int(value) for value in offsets]
