"""Reads TensorRT's log: memory figures of a plan, progress of a build, causes of a failure.

The wording depends on the version. 8.x prints the activation memory without a unit and calls the
scratch memory ``Total``; 10.x prints ``bytes`` and ``Max``. Some lines come once per engine and
once more for the whole plan, so the largest figure is taken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgeunet.engine.trt.plans import MemoryLines
from edgeunet.engine.trt.provider import WARNING, LogLine

_FIGURES = {
    "activation_bytes": r"Total Activation Memory:\s*(\d+)",
    "scratch_bytes": r"(?:Max|Total) Scratch Memory:\s*(\d+)",
    "persistent_host_bytes": r"Total Host Persistent Memory:\s*(\d+)",
    "persistent_device_bytes": r"Total Device Persistent Memory:\s*(\d+)",
    "weight_bytes": r"Total Weights Memory:\s*(\d+)",
}

# (words in the log, step of the build), in order. From 10.0 on a progress monitor is used instead.
_STEPS = (
    ("Applying generic optimizations", "optimising the graph"),
    ("Computing costs for", "timing kernels"),
    ("Formats and tactics selection completed", "assigning memory"),
    ("Total Activation Memory", "writing the plan"),
)

_TACTIC_SIZES = re.compile(r"Tactic Device request: (\d+)\s*MB Available: (\d+)\s*MB")
_TACTIC_MEMORY = re.compile(r"Tactic Device request|insuff?icient memory on requested size")
_WORKSPACE = re.compile(r"workspace (?:size|limit)|within workspace|sufficient workspace", re.I)
_DEVICE_MEMORY = re.compile(r"out of memory|cudaErrorMemoryAllocation|bad_alloc|OutOfMemory", re.I)
_FAILED_NODE = re.compile(r"[Cc]ould not find any implementation for node (.+?)\.?(?:\)|\n|$)")


def memory_lines_in(text: str) -> MemoryLines:
    """Return the memory figures in a build's log, None for each that is missing."""
    found: dict[str, int] = {}
    for name, pattern in _FIGURES.items():
        figures = [int(figure) for figure in re.findall(pattern, text)]
        if figures:
            found[name] = max(figures)
    return MemoryLines(**found)


def step_in(text: str) -> str | None:
    """Return the step of the build that a log line announces; None for most lines."""
    return next((step for words, step in _STEPS if words in text), None)


def shortage_in(lines: Sequence[LogLine]) -> tuple[str, str] | None:
    """Return which memory a build ran out of and what to do; None for other failures.

    The first text is a clause with the pool's name, the second is a hint.
    """
    said = "\n".join(line.text for line in lines if line.severity <= WARNING)
    more = "close other programs, run without a desktop, add swap, or export with a smaller --tile"
    if _TACTIC_MEMORY.search(said):
        sizes = [(int(a), int(b)) for a, b in _TACTIC_SIZES.findall(said)]
        asked = ": {} MiB were asked for, {} MiB were there".format(*min(sizes)) if sizes else ""
        return (
            f"too little tactic memory (TACTIC_DRAM) to try a kernel{asked}",
            f"give more with --tactic-memory, or {more}",
        )
    if _DEVICE_MEMORY.search(said):
        return (
            "the device ran out of memory (TACTIC_DRAM bounds what a build takes)",
            f"bound it with --tactic-memory 256MiB --optimization-level 1, or {more}",
        )
    if _WORKSPACE.search(said):
        return (
            "too little workspace (WORKSPACE), in which a kernel keeps what it needs for itself",
            "give more with --workspace, or leave it out: then it is all of the device's memory",
        )
    return None


def failed_node_in(text: str) -> str | None:
    """Return the node for which no kernel was found, or None."""
    match = _FAILED_NODE.search(text)
    return match.group(1).strip() if match else None
