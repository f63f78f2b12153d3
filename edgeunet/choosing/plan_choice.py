"""Turn the options about windows and memory into a plan request."""

from __future__ import annotations

from typing import Literal

from edgeunet.errors import UsageError
from edgeunet.planning.request import MOST_WORKERS, WHOLE_FRAME, PlanRequest, WindowSize
from edgeunet.processors import processors_of
from edgeunet.specs import Engine, Precision
from edgeunet.units import format_size

Windows = WindowSize | Literal["auto", "none"]
"""(rows, columns) of the windows in pixels; ``auto`` chooses them, ``none`` runs whole frames."""


_BOARDS_CPU = "arm64"


def plan_request(
    *,
    budget_bytes: int | None = None,
    windows: Windows | None = None,
    board: str | None = None,
    tune: bool = False,
    workers: int | None = None,
) -> PlanRequest:
    """Return the plan request of these options; without any, whole frames.

    budget_bytes: largest activation memory of a run.
    windows: see ``Windows``.
    board: a Jetson module, such as ``orin-nano-4gb``. Its usable memory is the limit, weights
        included.
    tune: windows are timed on this machine.
    workers: how many windows run at a time; None for one.

    Raises UsageError for contradicting options, and for an unknown board.
    """
    if tune and windows not in (None, "auto"):
        raise UsageError(
            f"tuning chooses the windows, and {_written(windows)} are chosen already",
            hint="leave one of them out",
        )
    if budget_bytes is not None and board is not None:
        raise UsageError(
            "a budget and a board both give a byte limit", hint="leave one of them out"
        )
    if budget_bytes is not None and budget_bytes < 1:
        raise UsageError(
            f"a budget of {budget_bytes} bytes is no memory at all", hint="give one like 128MiB"
        )
    if isinstance(windows, tuple) and min(windows) < 1:
        raise UsageError(f"windows of {format_size(*windows)} hold no pixel", hint="like 256x256")
    _check_workers(workers, windows, tune=tune, limited=(budget_bytes, board) != (None, None))
    limit = budget_bytes
    if board is not None:
        from edgeunet.boards import find_board

        limit = find_board(board).usable_bytes
    included, together = board is not None, workers or 1
    if windows is None:
        if limit is None:
            return PlanRequest(auto=True) if tune else WHOLE_FRAME
        return PlanRequest(budget_bytes=limit, weights_included=included, workers=together)
    if windows == "auto" or windows == "none":
        return PlanRequest(
            budget_bytes=limit,
            auto=windows == "auto",
            whole=windows == "none",
            weights_included=included,
            workers=together,
        )
    return PlanRequest(
        budget_bytes=limit, window=windows, weights_included=included, workers=together
    )


def _check_workers(
    workers: int | None, windows: Windows | None, *, tune: bool, limited: bool
) -> None:
    """Raise UsageError for workers that cannot be, or have no windows to share.

    limited: whether there is a byte limit, within which windows are chosen.
    """
    if workers is None:
        return
    if not 1 <= workers <= MOST_WORKERS:
        raise UsageError(
            f"{workers} is not a number of workers",
            hint=f"use 1 to {MOST_WORKERS}, or leave it out",
        )
    if workers > 1 and tune:
        raise UsageError(
            "tuning times one window at a time", hint="leave the workers or the tuning out"
        )
    if workers > 1 and (windows == "none" or (windows is None and not limited)):
        raise UsageError(
            f"whole frames have no windows that {workers} workers could share",
            hint="add a budget, or --tile auto",
        )


def planned_engine(precision: Precision | None) -> Engine:
    """Return the engine that a plan is for, unless INT8 names another; None stands for FP32."""
    return Engine.TENSORRT if precision is Precision.FP16 else Engine.ONNXRUNTIME


def cpu_choice(
    cpu: str | None, board: str | None, engine: Engine = Engine.ONNXRUNTIME
) -> str | None:
    """Return the processors that a plan's memory is for; None for every class.

    cpu: see ``processors.processors_of``. board: a Jetson module, whose processors are ARM64.
    engine: what the plan is for.
    Raises UsageError for an unknown cpu, and where it contradicts the others.
    """
    processors_of(cpu)
    if cpu is not None and engine is not Engine.ONNXRUNTIME:
        raise UsageError(
            f"--cpu {cpu} is about onnxruntime, and this plan is for {engine}",
            hint="leave it out, or export --fp32 or --int8 for a CPU",
        )
    if board is None:
        return cpu
    if cpu not in (None, _BOARDS_CPU):
        raise UsageError(
            f"--cpu {cpu} contradicts --board {board}, which has an ARM64 processor",
            hint="leave one of them out",
        )
    return _BOARDS_CPU


def _written(windows: Windows) -> str:
    """Return a description of the windows that were asked for."""
    return f"windows of {format_size(*windows)}" if isinstance(windows, tuple) else "whole frames"
