"""Find the network that the user means: a recipe, its weights, or a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeunet.bundle.manifest import FILE_NAME
from edgeunet.choosing.shipped_weights import no_shipped_weights, shipped_weights
from edgeunet.errors import MissingPackageError, UsageError, WeightsError
from edgeunet.recipes import WIDTH_NAMES, Recipe, load_recipe, recipe_names, recipe_path
from edgeunet.specs import Precision
from edgeunet.units import format_size


def is_bundle(target: str) -> bool:
    """Return whether a name is that of a bundle folder, not of a recipe."""
    path = Path(target)
    looks_like_folder = target.endswith("/") or path.suffix == ".bundle" or path.is_dir()
    return (path / FILE_NAME).is_file() or (looks_like_folder and target not in recipe_names())


def choose_weights(
    model: str, recipe: Recipe, weights: Path | None = None, *, random_weights: bool = False
) -> Path | None:
    """Return the weight file to export; None for random weights.

    model: the recipe's name or path.
    weights: a file, or None for the shipped one.
    Raises UsageError when both or neither are given, WeightsError when the shipped file is missing.
    """
    if random_weights:
        if weights is not None:
            raise UsageError(
                "a weight file and random weights contradict each other", hint="give one of them"
            )
        return None
    chosen = weights or shipped_weights(model, recipe)
    if chosen is None:
        raise no_shipped_weights(
            recipe,
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


@dataclass(frozen=True)
class RecipeChoice:
    """A recipe's network that can be exported.

    model: the recipe's name or path.
    size: (height, width) of its frames.
    weights: None for random weights.
    """

    model: str
    network: Recipe
    size: tuple[int, int]
    weights: Path | None

    @property
    def graphs(self) -> None:
        """None: an export makes a recipe's graphs itself."""
        return None

    def bundle_path(self, precision: Precision) -> Path:
        """Return the default name of its bundle, in the current folder."""
        return bundle_path(self.model, self.network, self.size, precision)

    def keeps_ranges(self, calibration: str | None) -> bool:
        """Return whether ranges that are measured on a set are stored beside it.

        Random weights never occur again.
        """
        return self.weights is not None


def bundle_path(model: str, recipe: Recipe, size: tuple[int, int], precision: Precision) -> Path:
    """Return the default name of a bundle, in the current folder.

    It includes the width if that is not the one in the recipe's file.
    """
    own_width = load_recipe(model).network.width
    width = "" if recipe.network.width == own_width else f"-w{recipe.network.width}"
    return Path(f"{recipe.name}{width}-{format_size(*size)}-{precision}.bundle")


def missing_package(error: ModuleNotFoundError, *, purpose: str, extra: str) -> Exception:
    """Return the error to raise for a missing package; a missing module of ours stays a bug."""
    package = (error.name or "").partition(".")[0]
    if package in ("", "edgeunet"):
        return error
    return MissingPackageError(package, purpose=purpose, extra=extra)


def _trained_alike(recipe: Recipe) -> str:
    """Return a hint that names the shipped, separately grown form of this recipe; "" if none."""
    for name, width in WIDTH_NAMES.items():
        other = f"{recipe.name}-{name}"
        if width == recipe.network.width and other in recipe_names():
            return f"--model {other} is trained; or "
    return ""
