"""Keeps the memory of a run that goes on for weeks as it is.

Encoders and connections take and free blocks of many sizes. The C library keeps the free ones, and
which of its pages were ever touched grows for days, though what is in use does not.

What Python made in a circle, as every connection of a viewer does, stays until the garbage
collector looks at all objects. Left to itself it waits for a quarter more of them than there were,
which is thousands of connections. So a run lets it look every ten seconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator

GIVE_BACK_EVERY_S = 10.0
"""Seconds between two calls during a run. One takes about a millisecond."""


def give_back_free_memory() -> None:
    """Free what only circles hold, and let the system have the pages that hold no block in use.

    Only glibc can do the latter.
    """
    gc.collect()
    if sys.platform != "linux":
        return
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def only_new_objects_watched() -> Iterator[None]:
    """Let the garbage collector look only at objects that are made inside the ``with`` block.

    They are few, so a look takes about a millisecond. A look at all objects of the program would
    hold up every thread for a tenth of a second.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
