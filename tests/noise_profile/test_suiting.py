"""Which recipes suit a noise follows from their [train] alone."""

from __future__ import annotations

import msgspec
import pytest

pytest.importorskip("PIL")

from edgeunet.noise_profile.profile import NoiseProfile
from edgeunet.noise_profile.shots import StaticShots
from edgeunet.noise_profile.suiting import suiting_recipes, trained_deviations
from edgeunet.recipes import Recipe, load_recipe, recipe_names
from edgeunet.schedules import CameraTable, TrainTable
from edgeunet.specs import Task
from tests.noise_profile.scenes import Bytes, correlated_shots, ramp, shots


def _profile(images: list[Bytes]) -> NoiseProfile:
    static = StaticShots()
    for image in images:
        static.add(image, "shot")
    return static.profile("scene")


WHITE = _profile(shots(ramp(64, 96), 3))
CORRELATED = _profile(correlated_shots(ramp(64, 96), 3))


def _recipe(name: str, train: TrainTable, *, weights: bool = True, of: str = "unetmm") -> Recipe:
    return msgspec.structs.replace(
        load_recipe(of), name=name, train=train, weights={"16": "w"} if weights else {}
    )


RECIPES = [
    _recipe("b-white", TrainTable(steps=1, sigma=(0.0, 60.0))),
    _recipe("a-white-but-weak", TrainTable(steps=1, sigma=(0.0, 2.0))),
    _recipe("c-camera", TrainTable(steps=1, camera=CameraTable())),
    _recipe("untrained-camera", TrainTable(steps=1, camera=CameraTable()), weights=False),
    _recipe("a-joint-camera", TrainTable(steps=1, camera=CameraTable()), of="joint"),
]


def test_white_noise_asks_for_recipes_without_a_camera() -> None:
    found = suiting_recipes(WHITE, RECIPES)
    assert [(entry.recipe, entry.in_range) for entry in found] == [
        ("a-white-but-weak", False),
        ("b-white", True),
    ]
    assert found[1].widths == (16,)
    assert (found[1].low, found[1].high) == (0.0, 60.0)


def test_correlated_noise_asks_for_recipes_with_one() -> None:
    found = suiting_recipes(CORRELATED, RECIPES)
    assert [(entry.recipe, entry.in_range) for entry in found] == [
        ("c-camera", True),
        ("a-joint-camera", True),
    ]


def test_the_shipped_recipes_are_told_apart_by_their_own_tables() -> None:
    expected = {
        name
        for name in recipe_names()
        if (recipe := load_recipe(name)).weights
        and Task.DENOISE in recipe.tasks
        and recipe.train is not None
        and recipe.train.camera is None
    }
    assert {entry.recipe for entry in suiting_recipes(WHITE)} == expected
    assert not expected & {entry.recipe for entry in suiting_recipes(CORRELATED)}


def test_a_camera_with_more_gain_is_trained_for_stronger_noise() -> None:
    ends = [
        trained_deviations(TrainTable(steps=1, camera=CameraTable(gain=(1e-4, gain))))[1]
        for gain in (1e-3, 4e-3)
    ]
    assert ends[1] == pytest.approx(2 * ends[0], rel=0.02)
