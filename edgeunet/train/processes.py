"""Processes that train together, as accelerate's launcher starts them. One of them writes.

Alone, without a launcher, a process is the main one.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator, PartialState

from edgeunet.errors import UsageError


def is_main_process() -> bool:
    """Return whether this process writes and speaks; every other one only computes."""
    return bool(PartialState().is_main_process)


def make_accelerator(mixed_precision: str) -> Accelerator:
    """Return what knows the devices; raises UsageError when they lack the precision."""
    try:
        return Accelerator(mixed_precision=mixed_precision)
    except ValueError as error:
        raise UsageError(
            f"this machine cannot train in {mixed_precision}: {error}",
            hint="use --mixed-precision no",
        ) from error


def mean_over(accelerator: Accelerator, values: torch.Tensor) -> list[float]:
    """Return the mean of each value over all processes, the same on each; NaN if one has it."""
    if accelerator.num_processes > 1:
        values = accelerator.reduce(values, reduction="mean")
    return [float(value) for value in values]
