"""Analysis of what a graph needs to run: lifetimes, roles, arena layout, checker and report."""

from edgeunet.analysis.arena import ArenaLayout, lay_out_arena
from edgeunet.analysis.liveness import Lifetime, Liveness, liveness_of
from edgeunet.analysis.memory_report import MemoryReport, analyse
from edgeunet.analysis.roles import Role

__all__ = [
    "ArenaLayout",
    "Lifetime",
    "Liveness",
    "MemoryReport",
    "Role",
    "analyse",
    "lay_out_arena",
    "liveness_of",
]
