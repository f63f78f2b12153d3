"""Functions that read the options which several verbs share."""

from __future__ import annotations

from edgeunet.choosing.plan_choice import Windows, plan_request
from edgeunet.errors import UsageError
from edgeunet.planning.request import PlanRequest
from edgeunet.recipes import LARGEST_WIDTH, WIDTH_NAMES, Recipe, load_recipe
from edgeunet.specs import Precision
from edgeunet.units import parse_bytes, parse_count, parse_size, shorten


def read_width(text: str | None) -> int | None:
    """Return ``--width`` as a number of channels. Raises UsageError for anything else."""
    if text is None:
        return None
    if text in WIDTH_NAMES:
        return WIDTH_NAMES[text]
    width = parse_count(text, LARGEST_WIDTH) if text.isdecimal() else 0
    if width is None:
        raise UsageError(
            f"{shorten(text)} channels is too large a network width",
            hint=f"use at most {LARGEST_WIDTH}; the shipped networks have 8 to 64",
        )
    if width < 1:
        names = ", ".join(f"{name} ({width})" for name, width in WIDTH_NAMES.items())
        raise UsageError(
            f"{shorten(text)!r} is not a network width",
            hint=f"use {names}, or a number of channels",
        )
    return width


def read_recipe_at(model: str, width: str | None) -> Recipe:
    """Return the recipe with a name or path, at a width."""
    return load_recipe(model).with_width(read_width(width))


def read_frame_size(text: str | None, recipe: Recipe) -> tuple[int, int]:
    """Return (height, width) in pixels; the recipe's own without ``--size``."""
    return recipe.export.size if text is None else parse_size(text)


def read_precision(
    *, fp32: bool, fp16: bool, int8: bool, default: Precision = Precision.FP32
) -> Precision:
    """Return the precision of the flags. Raises UsageError for more than one."""
    asked = [
        precision
        for precision, flag in (
            (Precision.FP32, fp32),
            (Precision.FP16, fp16),
            (Precision.INT8, int8),
        )
        if flag
    ]
    if len(asked) > 1:
        flags = " and ".join(f"--{precision}" for precision in asked)
        raise UsageError(f"{flags} contradict each other", hint="give one precision")
    return asked[0] if asked else default


def read_plan_request(
    budget: str | None,
    tile: str | None,
    board: str | None,
    *,
    tune: bool = False,
    workers: int | None = None,
) -> PlanRequest:
    """Return the request of --budget, --tile, --board, --tune and --workers.

    Without any of them, whole frames.
    """
    return plan_request(
        budget_bytes=None if budget is None else parse_bytes(budget),
        windows=read_windows(tile),
        board=board,
        tune=tune,
        workers=workers,
    )


def read_windows(text: str | None) -> Windows | None:
    """Return ``--tile`` as a window size, auto, or none. Raises UsageError for anything else."""
    if text is None:
        return None
    if text == "auto":
        return "auto"
    if text == "none":
        return "none"
    try:
        return parse_size(text)
    except UsageError as error:
        raise UsageError(
            f"--tile {text!r} is no tile size", hint="write HxW like 256x256, or auto, or none"
        ) from error
