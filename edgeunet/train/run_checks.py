"""Checks before a run: its recipe, its folder, and whether a checkpoint belongs to it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from edgeunet.errors import RecipeError, UsageError, WeightsError
from edgeunet.files import check_writable
from edgeunet.recipes import Recipe
from edgeunet.schedules import TrainTable
from edgeunet.specs import Task
from edgeunet.train.checkpoint import FILE_NAME, Standing
from edgeunet.train.curve import FILE_NAME as CURVE_FILE
from edgeunet.train.processes import is_main_process
from edgeunet.train.samples import pathway_of

# Keys of [train] that are younger than the first checkpoints. At its default such a key is left
# out of the digest, so that older runs can be resumed.
_LATER_KEYS = (
    *("growth", "noise", "gain", "rotations", "image_loss", "class_weights", "weights"),
    *("labelled_share", "generated", "in_bytes", "statistics_until", "quantized_for"),
    *("frozen", "clean_share", "camera", "pairs_share", "bursts_share", "clips"),
)


def check_run(recipe: Recipe, out: Path, *, resume: bool, init: Path | None = None) -> TrainTable:
    """Return the schedule of a run, after checking the recipe and the folder.

    Raises RecipeError when the recipe has no [train], or several pathways with one kind of
    labels. Raises UsageError when a new run would overwrite an earlier one, or when frozen parts
    have no weights to begin with. Raises OSError when ``out`` cannot be written to.
    """
    if recipe.train is None:
        raise RecipeError(
            f"recipe {recipe.name!r} cannot be trained: it has no [train]",
            hint="see export/unetmm.toml for one",
        )
    for task in (Task.SEGMENT, Task.CLASSIFY):
        pathway_of(recipe, task)
    if recipe.train.frozen and init is None and not (resume and (out / FILE_NAME).is_file()):
        raise UsageError(
            f"recipe {recipe.name!r} has frozen parts, and no weights to keep in them",
            hint="give the weights they come from with --init",
        )
    # Only the process that writes looks at the folder: the others might see its new files.
    if not is_main_process():
        return recipe.train
    if not resume and (out / FILE_NAME).exists():
        raise UsageError(
            f"{out} holds the checkpoint of an earlier run",
            hint="go on with it: --resume; or start anew in another --out",
        )
    if not (out / FILE_NAME).exists():
        weights = weights_path(recipe, out)
        for path in (weights, weights.with_suffix(".md"), out / CURVE_FILE):
            if path.exists():
                raise UsageError(
                    f"{out} holds {path.name} of an earlier run, and no checkpoint to go on from",
                    hint="give another --out",
                )
    check_writable(out / FILE_NAME)
    return recipe.train


def check_same_run(checkpoint: Path, before: Standing, wanted: Standing) -> None:
    """Raise WeightsError when a checkpoint belongs to a run that was started differently.

    checkpoint: its file, for the message.
    before: what the checkpoint says.
    wanted: the start of the run that was asked for.
    """
    if before.processes != wanted.processes:
        raise WeightsError(
            f"{checkpoint} is of a run with {before.processes} processes, "
            f"not {wanted.processes}: the batches would be others",
            hint="launch as many as it was started with, or choose another --out",
        )
    if wanted.initial is not None and before.initial != wanted.initial:
        begun = "random weights" if before.initial is None else str(before.initial)
        raise WeightsError(
            f"{checkpoint} is of a run that began with {begun}, not with {wanted.initial}",
            hint="resume without --init, or choose another --out",
        )


def weights_path(recipe: Recipe, out: Path) -> Path:
    """Return the file that a run writes its weights to; the model card lies beside it."""
    return out / f"{recipe.name}-{recipe.network.width}.safetensors"


def recipe_digest(recipe: Recipe) -> str:
    """Return the SHA-256, in hex, of everything that shapes a run: network, pathways, [train]."""
    table = recipe.train
    schedule = msgspec.to_builtins(table)
    if table is not None:
        plain = msgspec.to_builtins(TrainTable(steps=table.steps))
        for key in _LATER_KEYS:
            if schedule[key] == plain[key]:
                del schedule[key]
        if table.clips is not None and not table.clips.flicker_weight:
            del schedule["clips"]["flicker_weight"]
    network = msgspec.to_builtins(recipe.network)
    if network["temporal"] == "none":
        # Younger than the first checkpoints, as _LATER_KEYS are.
        del network["temporal"]
    parts = (network, recipe.pathways, schedule)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def with_steps(recipe: Recipe, steps: int | None) -> Recipe:
    """Return the recipe with another number of steps; the schedule stretches with it."""
    if steps is None or recipe.train is None:
        return recipe
    table = msgspec.structs.replace(recipe.train, steps=steps)
    return msgspec.structs.replace(recipe, train=table)
