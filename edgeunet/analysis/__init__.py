"""What a graph needs to run: lifetimes, roles, a static plan, its checker, a report."""

from edgeunet.analysis.arena import Plan, plan_arena
from edgeunet.analysis.liveness import Lifetime, Liveness, liveness_of
from edgeunet.analysis.memory_report import MemoryReport, analyse
from edgeunet.analysis.roles import Role

__all__ = [
    "Lifetime",
    "Liveness",
    "MemoryReport",
    "Plan",
    "Role",
    "analyse",
    "liveness_of",
    "plan_arena",
]
