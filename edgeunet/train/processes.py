"""Processes that train together, started by accelerate's launcher or torchrun.

One of them, the main process, writes. Without a launcher, the only process is the main one.
"""

from __future__ import annotations

import os

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import parse_flag_from_env

from edgeunet.errors import EdgeUnetError, UsageError


def is_main_process() -> bool:
    """Return whether this process writes files and messages.

    Raises UsageError when several processes were launched that do not see each other, because all
    of them would write.
    """
    # The first PartialState decides whether accelerate uses the CPU.
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if state.num_processes != launched:
        raise UsageError(
            f"{launched} processes were launched, and this one sees {state.num_processes}",
            hint="to train on processors, set ACCELERATE_USE_CPU=1 for all of them",
        )
    return bool(state.is_main_process)


def make_accelerator(mixed_precision: str) -> Accelerator:
    """Return the accelerator. Raises UsageError when the machine lacks the precision."""
    try:
        return Accelerator(mixed_precision=mixed_precision)
    except ValueError as error:
        raise UsageError(
            f"this machine cannot train in {mixed_precision}: {error}",
            hint="use --mixed-precision no",
        ) from error


def left_alone(error: RuntimeError) -> EdgeUnetError | None:
    """Return the error to raise if a step failed because another process ended, else None.

    gloo reports it only by this text.
    """
    if "closed by peer" not in str(error):
        return None
    return EdgeUnetError(
        "another process of this run has ended",
        hint="its own message says why; launch the run again with --resume to go on",
    )


def mean_over(accelerator: Accelerator, values: torch.Tensor) -> list[float]:
    """Return the mean of each value over all processes; NaN if any of them is NaN."""
    if accelerator.num_processes > 1:
        values = accelerator.reduce(values, reduction="mean")
    return [float(value) for value in values]
