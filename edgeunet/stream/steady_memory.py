"""Gives memory that is free inside the C library back to the system.

Encoders and connections take and free blocks of many sizes. The library keeps the free ones, and
which of its pages were ever touched grows for days, though what is in use does not.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys

GIVE_BACK_EVERY_S = 60.0
"""Seconds between two calls during a run. One takes about a millisecond."""


def give_back_free_memory() -> None:
    """Let the system have the pages that hold no block in use. Only glibc can do it."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
