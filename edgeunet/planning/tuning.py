"""Find the fastest plan within a byte limit by timing windows on this machine.

Less arithmetic is not always faster: small windows stay in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from edgeunet.graph.stages import StageGraph
from edgeunet.planning.frame_plan import FramePlan
from edgeunet.planning.planner import Planner
from edgeunet.planning.request import WindowSize

TimeStage = Callable[[StageGraph, WindowSize], float]
"""Returns the seconds of one window of a stage, or of the frame for a stage that runs once."""

# Windows with sides of about this many pixels are tried.
_SIDES = (96, 160, 256, 384, 576)
# Number of plans that are timed, those with the least arithmetic first.
_MOST_PLANS = 12


def fastest_plan(planner: Planner, budget_bytes: int | None, time_stage: TimeStage) -> FramePlan:
    """Return the plan with the least measured time of those that are predicted to fit.

    Raises BudgetError as ``Planner.fitting`` does.
    """
    limit = math.inf if budget_bytes is None else budget_bytes
    plans = [planner.comfortable() if budget_bytes is None else planner.fitting(budget_bytes)]
    plans += [
        plan
        for plan in (planner.whole(), *planner.in_windows([side * side for side in _SIDES]))
        if plan.prediction.total_bytes <= limit
    ]
    plans.sort(key=lambda plan: plan.recompute_ratio)
    seconds: dict[tuple[object, ...], float] = {}

    def time_of(plan: FramePlan) -> float:
        total = 0.0
        for planned in plan.stages:
            window = planned.window or (plan.height, plan.width)
            borders = (planned.stage.inputs, planned.stage.outputs)
            key = (planned.stage.name, borders, window)
            if key not in seconds:
                seconds[key] = time_stage(planned.stage, window)
            total += planned.window_count * seconds[key]
        return total

    return min(plans[:_MOST_PLANS], key=time_of)
