"""What several verbs read from the command line in the same way."""

from __future__ import annotations

from pathlib import Path

from edgeunet.bundle.manifest import FILE_NAME
from edgeunet.errors import MissingPackageError, UsageError, WeightsError
from edgeunet.planning.request import WHOLE_FRAME, PlanRequest
from edgeunet.recipes import (
    LARGEST_WIDTH,
    WIDTH_NAMES,
    Recipe,
    load_recipe,
    recipe_names,
    recipe_path,
)
from edgeunet.specs import Precision
from edgeunet.units import format_size, parse_bytes, parse_count, parse_size, shorten


def is_bundle(target: str) -> bool:
    """Return whether a person who named this means a bundle folder rather than a recipe."""
    path = Path(target)
    looks_like_folder = target.endswith("/") or path.suffix == ".bundle" or path.is_dir()
    return (path / FILE_NAME).is_file() or (looks_like_folder and target not in recipe_names())


def read_width(text: str | None) -> int | None:
    """Read ``--width``: a number of channels, or tiny, small, base."""
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
    """Return the recipe a person named, at the width they named."""
    return load_recipe(model).with_width(read_width(width))


def read_frame_size(text: str | None, recipe: Recipe) -> tuple[int, int]:
    """Return (height, width); the recipe's own when nothing was said."""
    return recipe.export.size if text is None else parse_size(text)


def read_precision(
    *, fp32: bool, fp16: bool, int8: bool, default: Precision = Precision.FP32
) -> Precision:
    """Return the one precision that was asked for; two contradict each other."""
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


def choose_weights(
    model: str, recipe: Recipe, weights: Path | None = None, *, random_weights: bool = False
) -> Path | None:
    """Return the weight file to export, or None for random ones, which must be asked for."""
    if random_weights:
        if weights is not None:
            raise UsageError(
                "--weights and --random-weights contradict each other", hint="give one of them"
            )
        return None
    chosen = weights or recipe.trained_weights(recipe_path(model).parent)
    if chosen is None:
        trained = ", ".join(sorted(recipe.weights, key=lambda text: (len(text), text)))
        raise UsageError(
            f"there are no shipped weights for {recipe.name} at width {recipe.network.width} "
            f"(widths with weights: {trained or 'none yet'})",
            hint=f"{_trained_alike(recipe)}give --weights FILE.safetensors, or --random-weights to "
            "measure untrained",
        )
    if weights is None and not chosen.is_file():
        raise WeightsError(
            f"there is no weight file {str(chosen)!r}",
            hint=f"[weights] in {recipe_path(model).name} names it: put it there, "
            "or give --weights FILE.safetensors or --random-weights",
        )
    return chosen


def _trained_alike(recipe: Recipe) -> str:
    """Name the recipe that is this one grown otherwise than in width, if one is shipped."""
    for name, width in WIDTH_NAMES.items():
        other = f"{recipe.name}-{name}"
        if width == recipe.network.width and other in recipe_names():
            return f"--model {other} is trained; or "
    return ""


def read_plan_request(
    budget: str | None, tile: str | None, board: str | None, *, tune: bool = False
) -> PlanRequest:
    """Return what --budget, --tile, --board and --tune ask for; whole frames when nothing."""
    if tune and tile not in (None, "auto"):
        raise UsageError(
            f"--tune chooses the windows, and --tile {tile} has chosen",
            hint="leave one of them out",
        )
    if budget is not None and board is not None:
        raise UsageError(
            "--budget and --board both give a byte limit", hint="leave one of them out"
        )
    limit = None if budget is None else parse_bytes(budget)
    if limit is not None and limit < 1:
        raise UsageError(f"a budget of {budget} is no memory at all", hint="give one like 128MiB")
    if board is not None:
        from edgeunet.boards import find_board

        limit = find_board(board).usable_bytes
    included = board is not None
    if tile is None:
        if limit is None:
            return PlanRequest(auto=True) if tune else WHOLE_FRAME
        return PlanRequest(budget_bytes=limit, weights_included=included)
    if tile in ("auto", "none"):
        return PlanRequest(
            budget_bytes=limit,
            auto=tile == "auto",
            whole=tile == "none",
            weights_included=included,
        )
    try:
        size = parse_size(tile)
    except UsageError as error:
        raise UsageError(
            f"--tile {tile!r} is no tile size", hint="write HxW like 256x256, or auto, or none"
        ) from error
    return PlanRequest(budget_bytes=limit, tile=size, weights_included=included)


def bundle_path(model: str, recipe: Recipe, size: tuple[int, int], precision: Precision) -> Path:
    """Return the default name of a bundle, in the current folder.

    It has the width in it when that is not the one of the recipe's file.
    """
    own_width = load_recipe(model).network.width
    width = "" if recipe.network.width == own_width else f"-w{recipe.network.width}"
    return Path(f"{recipe.name}{width}-{format_size(*size)}-{precision}.bundle")


def missing_package(error: ModuleNotFoundError, *, purpose: str, extra: str) -> Exception:
    """Return what to raise for it; a missing module of our own is a bug and stays one."""
    package = (error.name or "").partition(".")[0]
    if package in ("", "edgeunet"):
        return error
    return MissingPackageError(package, purpose=purpose, extra=extra)
