"""Says at which priority a measurement runs, because beside other work it decides about times."""

from __future__ import annotations

import os


def priority() -> str:
    """Return ``real-time`` under ``chrt -f``, else ``usual``."""
    if not hasattr(os, "sched_getscheduler"):
        return "usual"
    return "real-time" if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR) else "usual"
