"""What a graph needs to run: lifetimes, roles, a static plan, its checker, a report."""

from edgeunet.memory.arena import Plan, plan_arena
from edgeunet.memory.liveness import Lifetime, Liveness, liveness_of
from edgeunet.memory.report import MemoryReport, analyse
from edgeunet.memory.roles import Role

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
