"""What a user asks of a plan. Plain types: the command line reads them without a graph."""

from __future__ import annotations

from dataclasses import dataclass

Tile = tuple[int, int]
"""Rows and columns of a window, in full-resolution pixels."""


@dataclass(frozen=True)
class PlanRequest:
    """What is asked of a plan.

    tile: (rows, columns) of every window; chosen when ``auto`` is set or only a budget is given.
    whole: whole frames are wanted, and nothing else. weights_included: the budget is for the
    weights as well.
    """

    budget_bytes: int | None = None
    tile: Tile | None = None
    auto: bool = False
    whole: bool = False
    weights_included: bool = False


WHOLE_FRAME = PlanRequest(whole=True)
