"""``edgeunet train --bursts`` as a person meets it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

from numpy.typing import NDArray
from skimage import io

from edgeunet.train.checkpoint import FILE_NAME
from tests.cli.command import contents, edgeunet
from tests.media.clips import write_frames
from tests.train.toys import toy_photographs

pytestmark = pytest.mark.usefixtures("in_tmp_path")

PAGE = "before-after.html"


def shots(count: int = 5, seed: int = 0) -> NDArray[np.uint8]:
    """Shots of a wall with a pattern, in noise."""
    (wall,) = toy_photographs([(32, 48)])
    noise = np.random.default_rng(seed).normal(0, 8, (count, *wall.shape))
    return (wall // 2 + 60 + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture
def bursts(tmp_path: Path) -> Path:
    """A scene of five images, and one in a clip of six frames."""
    place = tmp_path / "bursts"
    (place / "desk").mkdir(parents=True)
    for index, shot in enumerate(shots()):
        io.imsave(place / "desk" / f"{index}.png", shot, check_contrast=False)
    write_frames(place / "wall.mkv", [shot[..., ::-1].copy() for shot in shots(6, seed=1)])
    return place


def test_from_bursts_to_weights_a_card_and_a_page(
    recipe: Path, trained: Path, bursts: Path, tmp_path: Path
) -> None:
    words = ("train", recipe, "--bursts", "bursts", "--init", trained, "--steps", "4")
    ran = edgeunet(*words, "--out", "runs", "--json")
    assert ran.code == 0, ran.err
    assert ran.err.splitlines()[0] == "11 shots of 2 scenes to train on, 2 held out"
    document = json.loads(ran.out)
    assert document["held_out_noise"] == "noise of real shots"
    assert list(document["held_out"]) == ["psnr_db_pairs"]
    assert document["page"] == f"runs/{PAGE}"
    head = (tmp_path / "runs" / "curve.csv").read_text().splitlines()[0]
    assert head == "step,loss,psnr_db_pairs"
    page = (tmp_path / "runs" / PAGE).read_text()
    assert page.count('<div class="scene">') == 2
    for title in ("noisy", "before", "after"):
        assert len(re.findall(rf"<figcaption>{title}, \d+\.\d\d dB<", page)) == 2
    assert page.count("<figcaption>reference<") == 2
    card = Path(document["card"]).read_text()
    assert "| data | `bursts`: 2 bursts, 2 more held out |" in card
    command = card.partition("```sh\n")[2].partition("\n")[0]
    again = edgeunet(*shlex.split(command)[1:])
    assert again.code == 0, again.err
    assert "before and after" in again.out
    first, second = (
        (tmp_path / "runs" / name).read_bytes()[-1000:]
        for name in ("mine-4.safetensors", "mine-4-again/mine-4.safetensors")
    )
    assert first == second


def test_bursts_beside_photographs(
    recipe: Path, trained: Path, bursts: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    for index, picture in enumerate(toy_photographs([(24, 32), (40, 20)])):
        io.imsave(tmp_path / "photos" / f"{index}.png", picture, check_contrast=False)
    words = ("train", recipe, "--bursts", bursts, "--data", "photos", "--init", trained)
    ran = edgeunet(*words, "--steps", "2", "--out", "runs", "--json")
    assert ran.code == 0, ran.err
    assert ran.err.splitlines()[0] == "1 image and 11 shots of 2 scenes to train on, 3 held out"
    document = json.loads(ran.out)
    assert list(document["held_out"]) == ["psnr_db", "psnr_db_pairs"]
    assert document["held_out_noise"] == "sigma 25; noise of real shots"


def test_a_resumed_run_knows_what_it_began_with(
    recipe: Path, trained: Path, bursts: Path, tmp_path: Path
) -> None:
    words = ("train", recipe, "--bursts", bursts, "--steps", "2", "--out", "runs")
    assert edgeunet(*words, "--init", trained).code == 0
    ran = edgeunet(*words, "--resume")
    assert ran.code == 0, ran.err
    page = (tmp_path / "runs" / PAGE).read_text()
    assert "<figcaption>after" in page
    assert "<figcaption>before" not in page, "nobody says where those weights lie"


def test_without_the_flag_a_run_on_bursts_does_not_go_on(
    recipe: Path, trained: Path, bursts: Path, tmp_path: Path
) -> None:
    words = ("train", recipe, "--steps", "2", "--out", "runs")
    assert edgeunet(*words, "--bursts", bursts, "--init", trained).code == 0
    (tmp_path / "photos").mkdir()
    io.imsave(tmp_path / "photos" / "a.png", toy_photographs()[0], check_contrast=False)
    ran = edgeunet(*words, "--data", "photos", "--resume")
    assert ran.code == 1
    assert f"{FILE_NAME} was made by another recipe" in ran.failure[0]
    assert "--bursts" in ran.failure[1]


def test_a_recipe_that_plans_for_bursts(recipe: Path, bursts: Path, tmp_path: Path) -> None:
    recipe.write_text(f"{recipe.read_text()}bursts_share = 1.0\n")
    ran = edgeunet("train", recipe, "--out", "runs")
    assert ran.code == 2
    assert ran.failure == ("recipe 'mine' is trained on bursts", "give --bursts FOLDER")
    ran = edgeunet("train", recipe, "--bursts", bursts, "--out", "runs", "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert (document["steps"], document["initial"]) == (8, None)


def test_the_shipped_weights_are_begun_with(bursts: Path, tmp_path: Path) -> None:
    for shot in (bursts / "desk").iterdir():
        io.imsave(shot, np.tile(io.imread(shot), (4, 4, 1)), check_contrast=False)
    (bursts / "wall.mkv").unlink()
    words = ("train", "unetmm", "--width", "8", "--bursts", bursts, "--steps", "1")
    ran = edgeunet(*words, "--out", "runs", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["initial"].startswith("unetmm-8.safetensors: ")
    assert "<figcaption>before" in (tmp_path / "runs" / PAGE).read_text()


def test_a_shot_that_moved_is_named(
    recipe: Path, trained: Path, bursts: Path, tmp_path: Path
) -> None:
    moved = io.imread(bursts / "desk" / "3.png")
    moved[8:, 16:] = np.roll(moved[8:, 16:], 12, axis=1)[::-1]
    io.imsave(bursts / "desk" / "3.png", moved, check_contrast=False)
    before = contents(tmp_path)
    ran = edgeunet("train", recipe, "--bursts", bursts, "--init", trained, "--out", "runs")
    assert ran.code == 1
    assert ran.failure[0].startswith("shot 4 of 'desk' does not fit the others: at row ")
    assert "tripod" in ran.failure[1]
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "code", "error", "hint"),
    [
        ((), 2, "there are no shipped weights for mine at width 4", "bursts_share"),
        (("--bursts", "nowhere", "--init", "trained"), 1, "there is no folder 'nowhere'", "clip"),
        (("--qat", "--init", "trained"), 2, "--qat and --bursts are two fine-tunes", "--init"),
    ],
)
def test_what_cannot_be_trained_on_bursts(
    words: tuple[str, ...],
    code: int,
    error: str,
    hint: str,
    recipe: Path,
    trained: Path,
    bursts: Path,
    tmp_path: Path,
) -> None:
    given = [str(trained) if word == "trained" else word for word in words]
    before = contents(tmp_path)
    ran = edgeunet("train", recipe, "--bursts", bursts, "--out", "runs", *given)
    assert ran.code == code, ran.err
    assert error in ran.failure[0]
    assert hint in ran.failure[1]
    assert contents(tmp_path) == before


def test_a_clip_that_is_none(recipe: Path, trained: Path, bursts: Path) -> None:
    (bursts / "broken.mp4").write_bytes(b"\0" * 500)
    ran = edgeunet("train", recipe, "--bursts", bursts, "--init", trained, "--out", "runs")
    assert ran.code == 1
    assert "broken.mp4" in ran.failure[0]
