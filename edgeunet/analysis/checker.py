"""Check an arena layout by comparing every pair of buffers.

This module shares no code with the layout. A layout is valid if every buffer has an aligned offset
inside the arena, and no two buffers that are alive together overlap.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from edgeunet.analysis.liveness import Lifetime


class Fault(str, enum.Enum):
    """The kinds of errors in an arena layout."""

    MISSING = "missing"
    UNKNOWN = "unknown"
    OUTSIDE = "outside"
    MISALIGNED = "misaligned"
    OVERLAP = "overlap"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Finding:
    """One error, with the buffers and addresses that it concerns."""

    fault: Fault
    detail: str

    def __str__(self) -> str:
        return f"{self.fault}: {self.detail}"


def check_layout(
    buffers: Sequence[Lifetime],
    offsets: Mapping[str, int],
    arena_bytes: int,
    alignment_bytes: int,
) -> tuple[Finding, ...]:
    """Return all errors of a layout; an empty tuple means that it is valid."""
    findings: list[Finding] = []
    names = {buffer.name for buffer in buffers}
    findings += [
        Finding(Fault.UNKNOWN, f"{name} is no buffer of this graph")
        for name in offsets
        if name not in names
    ]
    placed: list[Lifetime] = []
    for buffer in buffers:
        if buffer.name not in offsets:
            findings.append(Finding(Fault.MISSING, f"{buffer.name} has no place"))
            continue
        placed.append(buffer)
        where = _where(buffer, offsets)
        if offsets[buffer.name] < 0 or offsets[buffer.name] + buffer.size_bytes > arena_bytes:
            findings.append(Finding(Fault.OUTSIDE, f"{where} of an arena of {arena_bytes}"))
        if offsets[buffer.name] % alignment_bytes != 0:
            findings.append(Finding(Fault.MISALIGNED, f"{where}, alignment {alignment_bytes}"))
    for one, other in combinations(placed, 2):
        in_time = max(one.start, other.start) < min(one.end, other.end)
        if not in_time:
            continue
        one_from, other_from = offsets[one.name], offsets[other.name]
        one_to, other_to = one_from + one.size_bytes, other_from + other.size_bytes
        if max(one_from, other_from) < min(one_to, other_to):
            detail = f"{_where(one, offsets)} and {_where(other, offsets)}"
            findings.append(Finding(Fault.OVERLAP, detail))
    return tuple(findings)


def _where(buffer: Lifetime, offsets: Mapping[str, int]) -> str:
    offset = offsets[buffer.name]
    return (
        f"{buffer.name} at bytes [{offset}, {offset + buffer.size_bytes}) "
        f"in steps [{buffer.start}, {buffer.end})"
    )
