"""Find shipped weights that suit a measured noise, by the noise they were trained for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from edgeunet.noise_profile.profile import NoiseProfile
from edgeunet.recipes import Recipe, folder, load_recipe, recipe_names
from edgeunet.schedules import TrainTable
from edgeunet.specs import Task

Kind = Literal["white", "camera"]

# Medium light, as a share of full scale; the sRGB curve turns it into 0.48 of white.
_MIDDLE_LIGHT = 0.2
_SLOPE_THERE: float = 1.055 / 2.4 * _MIDDLE_LIGHT ** (1 / 2.4 - 1)


@dataclass(frozen=True)
class Suiting:
    """A recipe that suits.

    widths: of its shipped weights.
    low, high: trained standard deviations in 8-bit units.
    in_range: whether the measured deviation is between them.
    """

    recipe: str
    widths: tuple[int, ...]
    low: float
    high: float
    in_range: bool


def kind_of(profile: NoiseProfile) -> Kind:
    """Return the kind of noise that a recipe must be trained for: white, or a camera's."""
    return "white" if profile.white else "camera"


def suiting_recipes(
    profile: NoiseProfile, recipes: Iterable[Recipe] | None = None
) -> tuple[Suiting, ...]:
    """Return the recipes trained for such noise, those with one output first, then by name.

    recipes: to choose from; default: the shipped ones with weights.
    """
    wanted = kind_of(profile)
    candidates = _trained() if recipes is None else recipes
    found = []
    for recipe in candidates:
        table = recipe.train
        if table is None or not recipe.weights or Task.DENOISE not in recipe.tasks:
            continue
        if _trained_for(table) == wanted:
            low, high = trained_deviations(table)
            widths = tuple(sorted(int(width) for width in recipe.weights))
            inside = low <= profile.sigma <= high
            found.append((len(recipe.tasks), recipe.name, widths, low, high, inside))
    return tuple(Suiting(*entry[1:]) for entry in sorted(found))


def trained_deviations(table: TrainTable) -> tuple[float, float]:
    """Return the range of standard deviations, in 8-bit units, that a schedule trains for.

    For white noise, it is given in the schedule. For a camera, it begins at 0, and the end is an
    estimate: shot noise in the middle of the scale after the sRGB curve, without noise reduction.
    """
    if table.camera is not None:
        gain = table.camera.gain[1] / 2 ** table.camera.exposure[0]
        return 0.0, round(_after_srgb(gain), 1)
    if table.noise == "camera":
        # This noise is added to the values of the file, without a tone curve.
        return 0.0, round(255 * math.sqrt(table.gain[1] * 0.5), 1)
    return table.sigma


def _after_srgb(gain: float) -> float:
    return 255 * math.sqrt(gain * _MIDDLE_LIGHT) * _SLOPE_THERE


def _trained_for(table: TrainTable) -> Kind:
    return "white" if table.camera is None and table.noise == "gaussian" else "camera"


def _trained() -> Iterator[Recipe]:
    place = folder("export")
    for name in recipe_names():
        recipe = load_recipe(name)
        if all((place / file).is_file() for file in recipe.weights.values()):
            yield recipe
