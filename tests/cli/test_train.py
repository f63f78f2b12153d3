"""``edgeunet train`` as a person meets it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

import torch
from skimage import io

from edgeunet.bundle import open_bundle
from edgeunet.cli.train import InterruptedTrainingError
from edgeunet.recipes import folder
from edgeunet.schedules import TrainTable
from edgeunet.train import loop
from edgeunet.train.checkpoint import FILE_NAME
from edgeunet.train.optimization import learning_rate
from tests.cli.command import contents, edgeunet
from tests.train.toys import labelled_samples, toy_photographs


@pytest.fixture(autouse=True)
def _there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    text = (folder("export") / "unetmm-awgn.toml").read_text()
    for old, new in (
        ('name = "unetmm-awgn"', 'name = "mine"'),
        ("width = 16", "width = 4"),
        ("crop = 64", "crop = 16"),
        ("batch = 16", "batch = 2"),
        ("steps = 26000", "steps = 8"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "mine.toml"
    path.write_text(text.partition("[weights]")[0])
    return path


def test_from_photographs_to_a_bundle(recipe: Path, photographs: Path, tmp_path: Path) -> None:
    broken = photographs / "4.png"
    broken.write_bytes((photographs / "0.png").read_bytes()[:60])
    ran = edgeunet("train", recipe, "--data", photographs, "--out", "runs", "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert list(document) == [
        "weights",
        "card",
        "initial",
        "steps",
        "seconds",
        "skipped_steps",
        "held_out_noise",
        "held_out",
    ]
    assert (document["steps"], document["skipped_steps"]) == (8, 0)
    assert document["initial"] is None
    assert document["held_out_noise"] == "sigma 25"
    assert list(document["held_out"]) == ["psnr_db"]
    assert 10 < document["held_out"]["psnr_db"] < 40
    assert ran.err.splitlines() == [
        "warning: 4.png is not a readable image",
        "warning: 1 image is smaller than 16x16 pixels",
        "2 images to train on, 1 held out",
    ]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        FILE_NAME,
        "curve.csv",
        "mine-4.md",
        "mine-4.safetensors",
    ]
    assert "`photographs`: 2 images, 1 more held out" in Path(document["card"]).read_text()
    words = ("--size", "32x48", "--weights", document["weights"], "--out", "b")
    assert edgeunet("export", "--model", recipe, *words).code == 0
    assert open_bundle(tmp_path / "b").manifest.weights == "mine-4.safetensors"


def test_the_figures_are_for_reading_and_the_command_on_the_card_runs(
    recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    photographs = photographs.rename(tmp_path / "my photographs")
    for index in (2, 3):
        (photographs / f"{index}.png").unlink()
    words = ("train", "./mine.toml", "--data", "my photographs", "--out", "runs/first")
    ran = edgeunet(*words)
    assert ran.code == 0, ran.err
    assert ran.err.splitlines() == ["1 image to train on, 1 held out"]
    cells = [re.split(r"\s{2,}", line.strip()) for line in ran.out.splitlines()]
    table = {line[0]: line[1] for line in cells if len(line) == 2}
    assert list(table)[1:] == [
        "weights",
        "model card",
        "steps",
        "time",
        "skipped steps",
        "PSNR, held out, sigma 25",
    ]
    assert re.fullmatch(r"\d+\.\d\d dB", table["PSNR, held out, sigma 25"])
    assert re.fullmatch(r"\d+\.\d s", table["time"])
    card = (tmp_path / "runs" / "first" / "mine-4.md").read_text()
    command = card.partition("```sh\n")[2].partition("\n")[0]
    again = edgeunet(*shlex.split(command)[1:])
    assert again.code == 0, again.err
    first, second = (
        (tmp_path / "runs" / name / "mine-4.safetensors").read_bytes()[-1000:]
        for name in ("first", "mine-4-again")
    )
    assert first == second


def test_resume_without_a_checkpoint_says_so(recipe: Path, photographs: Path) -> None:
    ran = edgeunet("train", recipe, "--data", photographs, "--out", "runs", "--resume")
    assert ran.code == 0
    assert "no checkpoint in runs: starting from the beginning" in ran.err.splitlines()
    assert "mine-4.safetensors" in ran.out
    again = edgeunet("train", recipe, "--data", photographs, "--out", "runs", "--resume")
    assert again.code == 0
    assert "no checkpoint" not in again.err


def test_an_earlier_run_is_not_written_over(
    recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    words = ("train", recipe, "--data", photographs, "--out", "runs")
    assert edgeunet(*words).code == 0
    before = contents(tmp_path)
    ran = edgeunet(*words)
    assert ran.code == 2
    assert ran.failure[0] == "runs holds the checkpoint of an earlier run"
    assert "--resume" in ran.failure[1]
    assert ran.notes == [], "refused before the images are read"
    assert contents(tmp_path) == before


def test_finished_weights_without_a_checkpoint_are_not_written_over(
    recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    words = ("train", recipe, "--data", photographs, "--out", "runs")
    assert edgeunet(*words).code == 0
    (tmp_path / "runs" / FILE_NAME).unlink()
    before = contents(tmp_path)
    for more in ((), ("--resume",)):
        ran = edgeunet(*words, *more)
        assert ran.code == 2
        assert "runs holds mine-4.safetensors of an earlier run" in ran.failure[0]
        assert ran.failure[1] == "give another --out"
        assert contents(tmp_path) == before
    assert ran.notes == [], "refused before the images are read"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_a_checkpoint_and_says_how_to_go_on(
    number: int,
    code: int,
    recipe: Path,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("train", recipe, "--data", photographs, "--out", "runs")
    rate = learning_rate

    def interrupt(table: TrainTable, step: int) -> float:
        if step == 5:
            os.kill(os.getpid(), number)
        return rate(table, step)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "learning_rate", interrupt)
        ran = edgeunet(*words)
    assert ran.code == code
    assert ran.failure[0] == "interrupted at step 5; checkpoint saved"
    assert "--resume" in ran.failure[1]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [FILE_NAME]
    ran = edgeunet(*words, "--resume")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize(
    ("step", "saved", "message", "hint"),
    [
        (0, 0, "interrupted before the first step", "start over"),
        (7, 0, "interrupted at step 7; no checkpoint saved", "start over"),
        (7, 6, "interrupted at step 7; the checkpoint is of step 6", "--resume"),
        (7, 7, "interrupted at step 7; checkpoint saved", "--resume"),
    ],
)
def test_what_an_interruption_says(step: int, saved: int, message: str, hint: str) -> None:
    error = InterruptedTrainingError(step, saved)
    assert error.message == message
    assert hint in error.hint


def test_a_checkpoint_of_other_steps(recipe: Path, photographs: Path) -> None:
    words = ("train", recipe, "--data", photographs, "--out", "runs")
    assert edgeunet(*words).code == 0
    ran = edgeunet(*words, "--resume", "--steps", "9")
    assert ran.code == 1
    assert f"{FILE_NAME} was made by another recipe" in ran.failure[0]
    assert "--steps" in ran.failure[1]


@pytest.mark.parametrize(
    ("words", "code", "error", "hint"),
    [
        (("--steps", "0"), 2, "0 steps train nothing", "at least 1"),
        (("--mixed-precision", "fp8"), 2, "'fp8' is not a mixed precision", "bf16 or fp16"),
        (("--width", "huge"), 2, "'huge' is not a network width", "base (32)"),
        (("--data", "nowhere"), 1, "there is no folder 'nowhere'", "a folder of images"),
        (("--data", "empty"), 1, "there are no images in 'empty'", ".png"),
    ],
)
def test_what_cannot_be_trained(
    words: tuple[str, ...],
    code: int,
    error: str,
    hint: str,
    recipe: Path,
    photographs: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "empty").mkdir()
    before = contents(tmp_path)
    ran = edgeunet("train", recipe, "--data", photographs, "--out", "runs", *words)
    assert ran.code == code
    assert error in ran.failure[0]
    assert hint in ran.failure[1]
    assert contents(tmp_path) == before


def test_images_that_are_all_too_small(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (picture,) = toy_photographs([(12, 12)])
    io.imsave(tmp_path / "tiny" / "a.png", picture, check_contrast=False)
    ran = edgeunet("train", recipe, "--data", "tiny", "--out", "runs")
    assert ran.code == 1
    assert ran.failure[0] == "no training image is at least 16 pixels on both sides"


def test_a_recipe_without_a_schedule(photographs: Path, recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text().partition("[train]")[0])
    ran = edgeunet("train", recipe, "--data", photographs, "--out", "runs")
    assert ran.code == 1
    assert ran.failure[0] == "recipe 'mine' cannot be trained: it has no [train]"
    assert ran.notes == [], "refused before the images are read"
    assert not (tmp_path / "runs").exists()


def test_without_images(recipe: Path, tmp_path: Path) -> None:
    ran = edgeunet("train", recipe, "--out", "runs")
    assert ran.code == 2
    assert ran.failure == ("recipe 'mine' needs images to train on", "give --data FOLDER")
    assert not (tmp_path / "runs").exists()


def small(name: str, tmp_path: Path, train: str) -> Path:
    """A shipped recipe at width 4 with two levels, under another name and schedule."""
    text = (folder("export") / f"{name}.toml").read_text().partition("[train]")[0]
    text = text.replace(f'name = "{name}"', f'name = "{name}-small"')
    text = re.sub(r"width = \d+", "width = 4", text).replace("[1, 1, 1, 1]", "[1, 1]")
    path = tmp_path / f"{name}-small.toml"
    path.write_text(f"{text}\n[train]\n{train}")
    return path


def test_a_joint_recipe_from_labels_and_weights_to_a_bundle(
    recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    for index, sample in enumerate(labelled_samples()):
        for kind, pixels in (("images", sample.image), ("labels", sample.labels)):
            (tmp_path / "road" / kind).mkdir(parents=True, exist_ok=True)
            path = tmp_path / "road" / kind / f"{index}.png"
            io.imsave(path, pixels, check_contrast=False)
    schedule = "steps = 6\nbatch = 2\ncrop = 16\nrotations = false\n[train.weights]\nlabels = 0.1\n"
    joint = small("joint", tmp_path, schedule)
    trunk = small("unetmm", tmp_path, "steps = 2\nbatch = 2\ncrop = 16\n")
    assert edgeunet("train", trunk, "--data", photographs, "--out", "trunk").code == 0
    words = ("train", joint, "--data", "road", "--data", photographs, "--out", "runs")
    ran = edgeunet(*words, "--init", "trunk/unetmm-small-4.safetensors", "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert list(document["held_out"]) == ["psnr_db", "mean_iou"]
    assert 0 <= document["held_out"]["mean_iou"] <= 1
    assert re.fullmatch(
        r"unetmm-small-4.safetensors: (\d+) of (?!\1\b)\d+ tensors", document["initial"]
    )
    assert ran.err.splitlines() == [
        "warning: 1 image is smaller than 16x16 pixels",
        "5 images to train on, 2 of them with labels, 1 held out",
        f"starting from {document['initial']}",
    ]
    head = (tmp_path / "runs" / "curve.csv").read_text().splitlines()[0]
    assert head == "step,loss,loss_denoised,loss_labels,psnr_db,mean_iou"
    export = ("--size", "32x48", "--weights", document["weights"], "--out", "b")
    assert edgeunet("export", "--model", joint, *export).code == 0


def test_classes_that_are_drawn_need_no_folder(tmp_path: Path) -> None:
    schedule = "steps = 4\nbatch = 4\ncrop = 16\ngenerated = 80\n"
    joint = small("addunet-joint", tmp_path, schedule)
    ran = edgeunet("train", joint, "--out", "runs")
    assert ran.code == 0, ran.err
    assert ran.err.splitlines() == ["77 images to train on, 77 of them with labels, 3 held out"]
    assert "accuracy, held out, sigma 25" in ran.out


def test_labels_that_are_missing(photographs: Path, tmp_path: Path) -> None:
    joint = small("joint", tmp_path, "steps = 4\ncrop = 16\n")
    before = contents(tmp_path)
    ran = edgeunet("train", joint, "--data", photographs, "--out", "runs")
    assert ran.code == 1
    assert "there are no label maps for the output 'labels'" in ran.failure[0]
    assert "images/ and labels/" in ran.failure[1]
    assert contents(tmp_path) == before


def test_weights_to_begin_with_that_do_not_fit(
    recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    before = contents(tmp_path)
    words = ("train", recipe, "--data", photographs, "--out", "runs", "--init", "nowhere")
    ran = edgeunet(*words)
    assert ran.code == 1
    assert "there is no weight file 'nowhere'" in ran.failure[0]
    assert contents(tmp_path) == before
