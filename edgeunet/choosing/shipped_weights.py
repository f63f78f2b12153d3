"""Find the weights that ship with a recipe."""

from __future__ import annotations

from pathlib import Path

from edgeunet.errors import UsageError
from edgeunet.recipes import Recipe, recipe_path


def shipped_weights(model: str, recipe: Recipe) -> Path | None:
    """Return the weight file that a recipe names for its width, or None when it names none.

    model: the recipe's name or path. The file itself may be missing.
    """
    return recipe.trained_weights(recipe_path(model).parent)


def no_shipped_weights(recipe: Recipe, *, hint: str, because: str | None = None) -> UsageError:
    """Return the error to raise for a recipe without shipped weights at its width.

    because: what needs them. The message lists the widths with weights when it is None.
    """
    if because is None:
        widths = ", ".join(sorted(recipe.weights, key=lambda text: (len(text), text)))
        ending = f" (widths with weights: {widths or 'none yet'})"
    else:
        ending = f", and {because}"
    return UsageError(
        f"there are no shipped weights for {recipe.name} at width {recipe.network.width}{ending}",
        hint=hint,
    )
