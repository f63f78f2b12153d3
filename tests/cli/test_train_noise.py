"""``edgeunet train --noise-profile`` and ``--init shipped``."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("colour_demosaicing")

import torch
from skimage import io

from edgeunet.camera.chain import draw_shot
from edgeunet.models.network import build_network
from edgeunet.models.weights import save_weights
from edgeunet.noise_profile import matching
from edgeunet.noise_profile.matching import distance_of, measured_noise
from edgeunet.noise_profile.profile import NoiseProfile, read_profile, write_profile
from edgeunet.recipes import Recipe, load_recipe
from edgeunet.schedules import CameraTable
from edgeunet.train import loop
from edgeunet.train.run_checks import recipe_digest
from tests.cli.command import Ran, contents, edgeunet
from tests.noise_profile.scenes import ramp, shots
from tests.noise_profile.test_matching import STRONG
from tests.recipe_files import DENOISE, recipe_text
from tests.train.toys import toy_photographs

TRAIN = """
[train]
steps = 2
batch = 2
crop = 16
"""


@pytest.fixture
def profile() -> NoiseProfile:
    generator = np.random.default_rng(11)
    return measured_noise(draw_shot(STRONG, (128, 128), generator), generator)


@pytest.fixture
def place(there: Path, monkeypatch: pytest.MonkeyPatch, profile: NoiseProfile) -> Path:
    """A folder with photographs, a recipe with weights, and a profile."""
    monkeypatch.setattr(matching, "DRAWS", 60)
    torch.set_num_threads(1)
    (there / "photographs").mkdir()
    for index, picture in enumerate(toy_photographs([(40, 40)] * 3)):
        io.imsave(there / "photographs" / f"{index}.png", picture, check_contrast=False)
    weights = '\n[weights]\n4 = "toy-4.safetensors"\n'
    (there / "toy.toml").write_text(recipe_text(DENOISE) + TRAIN + weights)
    recipe = load_recipe("./toy.toml")
    save_weights(build_network(recipe), recipe, there / "toy-4.safetensors")
    write_profile(profile, there / "me.toml")
    return there


def _train(*words: object) -> Ran:
    return edgeunet("train", "./toy.toml", "--data", "photographs", "--out", "runs", *words)


def test_training_takes_ranges_that_are_nearer_to_the_profile(
    place: Path, monkeypatch: pytest.MonkeyPatch, profile: NoiseProfile
) -> None:
    used: list[CameraTable] = []
    digests: list[str] = []
    digest = recipe_digest

    def noted(recipe: Recipe) -> str:
        assert recipe.train is not None
        assert recipe.train.camera is not None
        used.append(recipe.train.camera)
        digests.append(digest(recipe))
        return digests[-1]

    monkeypatch.setattr(loop, "recipe_digest", noted)
    ran = _train("--noise-profile", "me.toml")
    assert ran.code == 0, ran.err
    table = used[0]
    # The recipe had no camera: the share is the default one.
    assert table.share == CameraTable().share
    assert digests[0] != digest(load_recipe("./toy.toml"))
    default, fitted = (
        float(np.median(distance_of(read_profile(place / "me.toml"), camera, draws=16, seed=5)))
        for camera in (CameraTable(), table)
    )
    assert fitted < 0.85 * default
    assert any(line.startswith("cameras trained with: sigma of luma ") for line in ran.notes)
    card = (place / "runs" / "toy-4.md").read_text()
    assert "fitted to the noise profile `me.toml`: " in card
    low, high = table.gain
    assert f"gain {low:g}..{high:g}" in card
    # The command on the card runs, and makes the same camera.
    block = re.search(r"```sh\n(.*?)\n```", card, re.DOTALL)
    assert block is not None
    again = edgeunet(*shlex.split(block[1])[1:])
    assert again.code == 0, again.err
    assert used[-1] == table


def test_shipped_weights_are_begun_with(place: Path) -> None:
    ran = _train("--init", "shipped", "--steps", "1")
    assert ran.code == 0, ran.err
    card = (place / "runs" / "toy-4.md").read_text()
    assert "| began with | `toy-4.safetensors: " in card
    assert "--init shipped" in card


def test_there_may_be_no_shipped_weights(place: Path) -> None:
    before = contents(place)
    ran = _train("--init", "shipped", "--width", "8")
    assert ran.code == 2
    assert ran.failure == (
        "there are no shipped weights for toy at width 8 (widths with weights: 4)",
        "give --init FILE.safetensors, or leave --init out to begin with random weights",
    )
    assert contents(place) == before


def test_white_noise_is_not_that_of_a_camera(place: Path) -> None:
    from edgeunet.noise_profile.shots import StaticShots

    static = StaticShots()
    for image in shots(ramp(64, 96), 3):
        static.add(image, "shot")
    write_profile(static.profile("white"), place / "white.toml")
    ran = _train("--noise-profile", "white.toml")
    assert ran.code == 0, ran.err
    assert (
        "warning: the noise of the profile is white, and a camera's is not: white noise is trained "
        "for by sigma in [train]"
    ) in ran.notes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("remove", "there is no noise profile 'me.toml'"),
        (
            "schema",
            "me.toml is not a noise profile that can be read: its schema is 7, this version "
            "reads 1",
        ),
        ("cut", "me.toml is not a noise profile: "),
    ],
)
def test_profiles_that_cannot_be_used(place: Path, change: str, message: str) -> None:
    path = place / "me.toml"
    text = path.read_text()
    if change == "remove":
        path.unlink()
    else:
        short = text[: len(text) // 2]
        path.write_text(text.replace("schema = 1", "schema = 7") if change == "schema" else short)
    before = contents(place)
    ran = _train("--noise-profile", "me.toml")
    assert ran.code == 1
    assert ran.failure[0].startswith(message)
    assert ran.failure[1] == "measure it again: edgeunet noise SOURCE --profile FILE.toml"
    assert contents(place) == before


def test_a_recipe_without_a_denoise_output_takes_no_profile(place: Path) -> None:
    from tests.recipe_files import CLASSIFY

    (place / "toy.toml").write_text(recipe_text(CLASSIFY) + TRAIN)
    ran = _train("--noise-profile", "me.toml")
    assert ran.code == 2
    assert ran.failure == (
        "recipe 'toy' does not denoise, and --noise-profile is for what does",
        "leave --noise-profile out",
    )


def test_bursts_have_their_own_noise(place: Path) -> None:
    words = ("--bursts", "photographs", "--noise-profile", "me.toml", "--out", "runs")
    ran = edgeunet("train", "./toy.toml", *words)
    assert ran.code == 2
    assert ran.failure == (
        "bursts have the camera's own noise, and --noise-profile is for images without",
        "give images with --data as well, or leave --noise-profile out",
    )
