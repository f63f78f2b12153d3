"""The options ``--noise-profile`` and ``--init shipped`` of ``edgeunet train``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgeunet.choosing.networks import choose_weights, missing_package
from edgeunet.choosing.shipped_weights import no_shipped_weights, shipped_weights
from edgeunet.errors import UsageError
from edgeunet.recipes import Recipe
from edgeunet.schedules import CameraTable
from edgeunet.specs import Task

if TYPE_CHECKING:
    from edgeunet.noise_profile.profile import NoiseProfile

SHIPPED = Path("shipped")
"""The word that stands for a recipe's shipped weights."""

# Largest distance, in units of the default spread, of cameras that are like the measured one.
_FAR = 2.0


def read_init(init: Path | None, model: str, recipe: Recipe) -> Path | None:
    """Return the initial weights; a file that is named shipped is given as ./shipped."""
    if init != SHIPPED:
        return init
    if shipped_weights(model, recipe) is None:
        raise no_shipped_weights(
            recipe,
            hint="give --init FILE.safetensors, or leave --init out to begin with random weights",
        )
    return choose_weights(model, recipe)


def read_noise_profile(
    path: Path | None, recipe: Recipe, *, only_bursts: bool = False
) -> NoiseProfile | None:
    """Return the profile to train for, after checks that come before anything expensive.

    only_bursts: no images are given, so no noise is simulated.
    """
    if path is None:
        return None
    if only_bursts and not (recipe.train and recipe.train.generated):
        raise UsageError(
            "bursts have the camera's own noise, and --noise-profile is for images without",
            hint="give images with --data as well, or leave --noise-profile out",
        )
    from edgeunet.noise_profile.profile import read_profile

    if Task.DENOISE not in recipe.tasks:
        raise UsageError(
            f"recipe {recipe.name!r} does not denoise, and --noise-profile is for what does",
            hint="leave --noise-profile out",
        )
    return read_profile(path)


def with_noise_profile(
    recipe: Recipe,
    profile: NoiseProfile | None,
    say: Callable[[str], None],
    complain: Callable[[str], None],
) -> Recipe:
    """Return the recipe with ranges in ``[train.camera]`` that give noise like the profile's."""
    if profile is None or recipe.train is None:
        return recipe
    try:
        from edgeunet.noise_profile.matching import match_camera
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="simulating a camera", extra="train") from error
    say(f"looking for cameras with the noise of {profile.source}")
    found = match_camera(profile, recipe.train.camera or CameraTable())
    measured, simulated = (
        f"sigma of luma {luma:.2f}, neighbours {near:+.2f} in luma and {chroma:+.2f} in chroma"
        for luma, near, chroma in (found.measured, found.simulated)
    )
    say(f"measured: {measured}")
    say(f"cameras trained with: {simulated}")
    if profile.white:
        complain(
            "the noise of the profile is white, and a camera's is not: white noise is trained "
            "for by sigma in [train]"
        )
    elif found.after > _FAR:
        complain("the simulated camera comes only roughly to the noise of the profile")
    train = msgspec.structs.replace(recipe.train, camera=found.table)
    return msgspec.structs.replace(recipe, train=train)
