"""Whether a disk is full."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_FULL_BYTES = 1 << 20


def is_full(folder: Path) -> bool:
    """Return whether a disk is full. Root may also use the blocks that are reserved for it."""
    if not hasattr(os, "statvfs"):
        return shutil.disk_usage(folder).free < _FULL_BYTES
    state = os.statvfs(folder)
    blocks = state.f_bfree if os.geteuid() == 0 else state.f_bavail
    return blocks * state.f_frsize < _FULL_BYTES
