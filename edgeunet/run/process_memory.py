"""What this process holds of memory (Linux).

Its own memory is what nobody else can use: pages that it wrote, in the heap, in buffers and on
stacks. Pages of files are not counted. They are mostly the code of libraries, which is read when it
first runs, in pieces whose size depends on what else the system has in its cache: the same frames
of the same bundle brought 0.7 MiB of onnxruntime's code in one hour and 0.9 in another. All
processes share them, and the system takes them back when memory is short.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")
_FIELDS = ("RssAnon", "RssShmem", "RssFile", "VmHWM")


@dataclass(frozen=True)
class ProcessMemory:
    """own_bytes: of its own. file_bytes: of pages of files.

    highest_bytes: the most that both together were, since the mark was reset.
    """

    own_bytes: int
    file_bytes: int
    highest_bytes: int


def process_memory() -> ProcessMemory | None:
    """Return what this process holds now; None where the system does not say."""
    try:
        fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        own, shared, files, highest = (int(fields[name].split()[0]) << 10 for name in _FIELDS)
    except (OSError, ValueError, KeyError, IndexError):
        return None
    return ProcessMemory(own + shared, files, highest)
