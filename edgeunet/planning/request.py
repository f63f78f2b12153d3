"""What a user asks of a plan. Plain types: the command line reads them without a graph."""

from __future__ import annotations

from dataclasses import dataclass

WindowSize = tuple[int, int]
"""Rows and columns of a window, in full-resolution pixels."""


@dataclass(frozen=True)
class PlanRequest:
    """What is asked of a plan.

    window: (rows, columns) of every window; chosen when ``auto`` is set or only a budget is given.
    whole: whole frames are wanted, and nothing else. weights_included: the budget is for the
    weights as well.
    """

    budget_bytes: int | None = None
    window: WindowSize | None = None
    auto: bool = False
    whole: bool = False
    weights_included: bool = False


WHOLE_FRAME = PlanRequest(whole=True)


def over_the_end(
    window: WindowSize | None, frame: WindowSize, padded: WindowSize
) -> WindowSize | None:
    """Return a window with every side that is as long as the frame made as long as its padding.

    Else the last few rows of zeros would ask for windows of their own.
    """
    if window is None:
        return None
    rows, columns = (
        max(side, whole) if side >= length else side
        for side, length, whole in zip(window, frame, padded, strict=True)
    )
    return rows, columns
