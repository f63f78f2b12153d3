"""The user's request for a frame plan, in plain types that need no graph."""

from __future__ import annotations

from dataclasses import dataclass

MOST_WORKERS = 64
"""Every worker takes a thread, buffers and an arena."""

WindowSize = tuple[int, int]
"""(rows, columns) of a window, in full-resolution pixels."""


@dataclass(frozen=True)
class PlanRequest:
    """The limits that a frame plan has to keep.

    budget_bytes: limit of the memory; None for no limit.
    window: (rows, columns) of every window; None to choose it.
    auto: choose windows, also without a budget.
    whole: run whole frames only.
    weights_included: the budget includes the weights.
    workers: how many windows run at a time, on onnxruntime.
    """

    budget_bytes: int | None = None
    window: WindowSize | None = None
    auto: bool = False
    whole: bool = False
    weights_included: bool = False
    workers: int = 1

    def activation_bytes(self, weight_bytes: int) -> int | None:
        """Return what the budget leaves for activations; None without one."""
        if self.budget_bytes is None or not self.weights_included:
            return self.budget_bytes
        return self.budget_bytes - weight_bytes


WHOLE_FRAME = PlanRequest(whole=True)


def over_the_end(
    window: WindowSize | None, frame: WindowSize, padded: WindowSize
) -> WindowSize | None:
    """Return a window whose sides are extended over the padding where they span the frame.

    Otherwise the few padded rows or columns would need windows of their own.
    """
    if window is None:
        return None
    rows, columns = (
        max(side, whole) if side >= length else side
        for side, length, whole in zip(window, frame, padded, strict=True)
    )
    return rows, columns
