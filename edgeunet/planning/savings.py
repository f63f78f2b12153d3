"""The memory that each measure of a plan saves."""

from __future__ import annotations

from edgeunet.analysis.memory_report import Gain
from edgeunet.graph.summary import view_of_model
from edgeunet.imitation.allocations import allocations_of
from edgeunet.imitation.prediction import engine_bytes
from edgeunet.planning.frame_plan import FramePlan
from edgeunet.planning.planner import Planner
from edgeunet.processors import THREADS
from edgeunet.specs import Engine


def gains_of(planner: Planner, plan: FramePlan) -> tuple[Gain, ...]:
    """Return the predicted bytes from the whole frame as exported to the plan, step by step.

    The order of operators is not a step: onnxruntime and TensorRT choose their own.
    """
    whole = planner.whole()
    found = []
    if planner.engine is Engine.ONNXRUNTIME:
        view = view_of_model(whole.stages[0].stage.at(planner.height, planner.width))
        around = whole.prediction.total_bytes - whole.prediction.engine_bytes
        for measure, in_place in (
            ("whole frame as exported, every result in a place of its own", False),
            ("results written over operands that are done with", True),
        ):
            taken = max(
                engine_bytes(planner.engine, [(one, 1)])
                for one in (
                    allocations_of(
                        view, (), 1, planner.engine, group[0], threads=THREADS, in_place=in_place
                    )
                    for group in planner.groups
                )
            )
            found.append(Gain(measure, around + taken))
        found.append(Gain("laid out for more such results", whole.prediction.total_bytes))
    else:
        found.append(Gain("whole frame", whole.prediction.total_bytes))
    if plan.windowed:
        found.append(Gain("run in windows", plan.prediction.total_bytes))
    return tuple(found)
