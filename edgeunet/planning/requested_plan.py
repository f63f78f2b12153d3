"""Choose the plan that a request allows."""

from __future__ import annotations

from edgeunet.errors import BudgetError
from edgeunet.planning.frame_plan import FramePlan
from edgeunet.planning.planner import Planner
from edgeunet.planning.request import PlanRequest
from edgeunet.units import format_bytes


def choose_plan(planner: Planner, request: PlanRequest) -> FramePlan:
    """Return the plan with the least arithmetic that a request allows.

    Raises BudgetError when nothing fits, and UsageError for windows that no stage can run on.
    """
    budget = planner.activation_budget(request)
    if request.whole:
        plan = planner.whole()
        if budget is None or plan.prediction.total_bytes <= budget:
            return plan
        raise BudgetError(
            f"whole frames are predicted to take {format_bytes(plan.prediction.total_bytes)}, "
            f"more than {format_bytes(budget)}",
            hint=f"a budget of {-(-plan.prediction.total_bytes >> 20)}MiB fits them; "
            "without --tile none, windows may fit this one",
        )
    if budget is None:
        return planner.comfortable(request.window)
    return planner.fitting(budget, request.window)
