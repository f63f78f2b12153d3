"""What the processor is called, for figures that say where they were measured."""

from __future__ import annotations

import platform
from pathlib import Path


def processor_name() -> str:
    """Return its name as the kernel has it, else the architecture's."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
