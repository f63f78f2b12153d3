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
    """private_bytes: in the heap and on stacks, and what engines allocate.

    shared_bytes: what others could map as well, such as the executor's buffers.
    file_bytes: pages of files.
    highest_bytes: the most that all of them together were, since the mark was reset.
    """

    private_bytes: int
    shared_bytes: int
    file_bytes: int
    highest_bytes: int

    @property
    def own_bytes(self) -> int:
        return self.private_bytes + self.shared_bytes


def process_memory() -> ProcessMemory | None:
    """Return what this process holds now; None where the system does not say."""
    try:
        fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        sizes = [int(fields[name].split()[0]) << 10 for name in _FIELDS]
    except (OSError, ValueError, KeyError, IndexError):
        return None
    return ProcessMemory(*sizes)
