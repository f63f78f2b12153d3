"""``edgeunet train --clips`` as a person meets it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

from skimage import io

from edgeunet.recipes import folder
from tests.cli.command import edgeunet
from tests.train.toys import toy_photographs

pytestmark = pytest.mark.usefixtures("in_tmp_path")


@pytest.fixture
def remembering(tmp_path: Path) -> Path:
    """A denoiser of three levels and width 4 that remembers frames."""
    text = (folder("export") / "unetmm-awgn.toml").read_text().partition("[train]")[0]
    text = text.replace('name = "unetmm-awgn"', 'name = "mine"').replace("width = 16", "width = 4")
    text = text.replace("[1, 1, 1, 1]", "[1, 1, 1]")
    text = text.replace('up = "shuffle"', 'up = "shuffle"\ntemporal = "fuse"')
    path = tmp_path / "mine.toml"
    path.write_text(
        f"{text}[train]\nsteps = 4\nbatch = 2\ncrop = 16\n"
        "[train.clips]\nframes = [2, 3]\ngate_steps = 2\n"
    )
    return path


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Three clips of four frames."""
    place = tmp_path / "clips"
    for number, picture in enumerate(toy_photographs([(36, 40)] * 3)):
        (place / f"{number}").mkdir(parents=True)
        for index in range(4):
            moved = np.roll(picture, index, axis=1)
            io.imsave(place / f"{number}" / f"{index}.png", moved, check_contrast=False)
    return place


def test_from_clips_to_weights_and_a_card(remembering: Path, clips: Path) -> None:
    ran = edgeunet("train", remembering, "--clips", "clips", "--out", "runs", "--json")
    assert ran.code == 0, ran.err
    said = "0 images and 2 clips to train on, 0 held out, and the clips 2"
    assert ran.err.splitlines()[0] == said
    document = json.loads(ran.out)
    assert document["held_out"]["psnr_db_clips"] > 5
    card = Path(document["card"]).read_text()
    assert "`clips`: 0 images and 2 clips, 0 more held out, and the clips 2" in card
    assert "clips of 2 to 3 frames, growing" in card
    command = card.partition("```sh\n")[2].partition("\n")[0]
    again = edgeunet(*shlex.split(command)[1:])
    assert again.code == 0, again.err


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ((), "recipe 'mine' is trained on clips", "give --clips FOLDER"),
        (("--clips", "nowhere"), "there is no folder 'nowhere'", "give a folder with a video"),
        (
            ("--clips", "clips", "--bursts", "clips", "--init", "x"),
            "--bursts does not train recipe 'mine', which remembers frames",
            "train it with --clips FOLDER",
        ),
    ],
)
def test_what_does_not_fit_is_said(
    remembering: Path, clips: Path, words: tuple[str, ...], message: str, hint: str
) -> None:
    ran = edgeunet("train", remembering, *words, "--out", "runs")
    assert ran.code != 0
    lines = ran.err.strip().splitlines()
    assert len(lines) == 2, ran.err
    assert message in lines[0]
    assert hint in lines[1]


def test_clips_are_for_what_remembers(recipe: Path, clips: Path) -> None:
    ran = edgeunet("train", recipe, "--clips", "clips", "--out", "runs")
    assert ran.code == 2
    assert "recipe 'mine' remembers no frames, so it is not trained on clips" in ran.err
