"""The option ``edgeunet train --clips``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeunet.errors import UsageError
from edgeunet.recipes import Recipe


def read_clips_option(
    recipe: Recipe, folders: Sequence[Path] | None, *, qat: bool, bursts: bool
) -> list[Path]:
    """Return the folders of clips, after checking that the recipe is trained on clips.

    Raises UsageError when they do not fit, and for fine-tunes that clips do not have.
    """
    remembers = recipe.network.temporal != "none"
    if folders and not remembers:
        raise UsageError(
            f"recipe {recipe.name!r} remembers no frames, so it is not trained on clips",
            hint="leave --clips out, or use a recipe with temporal",
        )
    if remembers and (qat or bursts):
        option = "--qat" if qat else "--bursts"
        raise UsageError(
            f"{option} does not train recipe {recipe.name!r}, which remembers frames",
            hint="train it with --clips FOLDER",
        )
    if remembers and not folders:
        raise UsageError(f"recipe {recipe.name!r} is trained on clips", hint="give --clips FOLDER")
    return list(folders or ())
