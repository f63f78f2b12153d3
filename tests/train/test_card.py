"""The card beside the weights says the facts."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgeunet.recipes import load_recipe
from edgeunet.schedules import GrowthTable
from edgeunet.train.card import Given, write_card
from edgeunet.train.initial import Initial
from edgeunet.train.run_records import Outcome
from edgeunet.train.samples import Sample
from edgeunet.train.views import all_figures
from tests.train.toys import TABLE, toy_recipe


@pytest.fixture
def outcome(tmp_path: Path) -> Outcome:
    return Outcome(
        weights=tmp_path / "unetmm-4.safetensors",
        images=420,
        steps=12,
        seconds=3723.4,
        skipped_steps=2,
        mixed_precision="bf16",
        figures={"psnr_db": 29.876},
        measured=all_figures(toy_recipe(), []),
    )


def test_the_card_says_the_facts(outcome: Outcome, tmp_path: Path) -> None:
    recipe = toy_recipe()
    folders = [tmp_path / "bsd432", tmp_path / "mine"]
    card = write_card(outcome, recipe, Given("unetmm", folders, held_out=12))
    assert card == tmp_path / "unetmm-4.md"
    text = card.read_text()
    for fact in (
        "# unetmm-4\n",
        recipe.title,
        recipe.source,
        "| recipe | `unetmm`, width 4 |",
        "| data | `bsd432`, `mine`: 420 images, 12 more held out |",
        "sigma 0..50 (8-bit units), blind, not clipped",
        "| loss | L1 |",
        "| crops | 16x16, batch 2; flips and quarter turns |",
        "AdamW, 0.002 to 1e-06 by cosine, weight decay 0.0001, average of weights 0.999",
        "| began with | random weights |",
        "| steps | 12 (2 skipped), 3723 s |",
        "mixed precision: bf16",
        "| PSNR on the held-out images, sigma 25 | 29.88 dB |",
        "inherit the terms of the images",
    ):
        assert fact in text
    facts = text.partition("Repeat it with")[0]
    assert str(tmp_path) not in facts, "the facts name no path of the machine"


def test_the_card_of_a_joint_run(outcome: Outcome, tmp_path: Path) -> None:
    table = msgspec.structs.replace(
        TABLE,
        steps=100,
        rotations=False,
        noise="camera",
        image_loss="charbonnier",
        class_weights="sqrt-median",
        weights={"labels": 0.1},
        labelled_share=0.75,
        growth=(GrowthTable(start=0.5, crop=32, batch=3),),
    )
    joint = replace(
        outcome,
        figures={"psnr_db": 30.0, "mean_iou": 0.4567},
        measured=all_figures(toy_recipe("joint"), []),
        initial=Initial("unetmm-4.safetensors", "00", 20, 30),
        processes=2,
    )
    given = Given("joint", [tmp_path / "road"], init=Path("w/unetmm-4.safetensors"), held_out=3)
    text = write_card(joint, toy_recipe("joint", table=table), given).read_text()
    for fact in (
        "1 x `denoised`: Charbonnier; 0.1 x `labels`: cross-entropy, weighted by the square root",
        "16x16, batch 2; from 50 % of the steps 32x32, batch 3; flips; 75 % of them from images",
        "camera: shot noise of gain 0.0001..0.012 and read noise (Foi et al. 2008",
        "| began with | `unetmm-4.safetensors: 20 of 30 tensors` |",
        ", 2 processes, ",
        "| mean IoU on the held-out images, sigma 25 | 45.7 % |",
        "trained on and the weights they began with; check those",
        "--init w/unetmm-4.safetensors",
    ):
        assert fact in text


def test_the_card_of_a_run_on_clips(outcome: Outcome) -> None:
    recipe = load_recipe("joint-video")
    given = Given("joint-video", [Path("streets")], clips=[Path("sequences")])
    text = write_card(replace(outcome, clips=8), recipe, given).read_text()
    for fact in (
        "| data | `streets`, `sequences`: 420 images and 8 clips, 0 more held out |",
        "; clips of 3 to 6 frames, growing, with as many fewer clips in a batch; ",
        "; 65 % of the clips made of photographs from images with labels |",
    ):
        assert fact in text


def test_drawn_images_have_no_terms(outcome: Outcome) -> None:
    recipe = load_recipe("addunet-joint")
    text = write_card(outcome, recipe, Given("addunet-joint", [])).read_text()
    assert "| data | 2400 drawn images (`edgeunet/train/drawings.py`): 420 images" in text
    assert "All images were drawn by edgeunet itself" in text
    assert "--data" not in text


def test_the_command_on_the_card_is_the_run(outcome: Outcome) -> None:
    folders = [Path("../bsd 432"), Path("it's")]
    card = write_card(outcome, toy_recipe(), Given("my recipes/mine.toml", folders, held_out=12))
    (line,) = [line for line in card.read_text().splitlines() if line.startswith("edgeunet train")]
    assert shlex.split(line) == [
        *("edgeunet", "train", "my recipes/mine.toml", "--width", "4"),
        *("--data", "../bsd 432", "--data", "it's"),
        *("--steps", "12", "--mixed-precision", "bf16", "--out", "runs/unetmm-4-again"),
    ]


def test_one_image_of_the_current_folder(
    outcome: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    card = write_card(replace(outcome, images=1), toy_recipe(), Given("unetmm", [Path()]))
    assert f"| data | `{tmp_path.name}`: 1 image, 0 more held out |" in card.read_text()


def test_a_part_of_a_data_set_is_named_with_it(outcome: Outcome, tmp_path: Path) -> None:
    card = write_card(outcome, toy_recipe(), Given("unetmm", [tmp_path / "camvid" / "train"]))
    assert "| data | `camvid/train`: 420 images" in card.read_text()


def test_what_was_not_measured_is_not_claimed(outcome: Outcome, tmp_path: Path) -> None:
    unmeasured = replace(outcome, figures={})
    card = write_card(unmeasured, toy_recipe(), Given("unetmm", [tmp_path]))
    assert "sigma 25 | not measured |" in card.read_text()


def test_the_card_of_a_resumed_run_says_what_it_began_with(outcome: Outcome) -> None:
    table = msgspec.structs.replace(TABLE, frozen=("middle", "encoder.1"))
    resumed = replace(outcome, initial=Initial("trunk-4.safetensors", "00", 20, 30))
    given = Given("unetmm", [Path("photos")])
    text = write_card(resumed, toy_recipe(table=table), given).read_text()
    assert "| frozen, as begun with | `middle`, `encoder.1` |" in text
    assert "--data photos --init trunk-4.safetensors --steps" in text


def test_the_card_of_a_run_on_bursts(outcome: Outcome, tmp_path: Path) -> None:
    table = msgspec.structs.replace(TABLE, bursts_share=1.0, image_loss="l1")
    recipe = toy_recipe(table=table)
    seen = [Sample(np.zeros((8, 8, 3), np.uint8), noisy=np.ones((8, 8, 3), np.uint8))]
    alone = replace(
        outcome,
        images=0,
        bursts=3,
        figures={"psnr_db_pairs": 31.0},
        measured=all_figures(recipe, seen),
        initial=Initial("unetmm-4.safetensors", "00", 30, 30),
    )
    given = Given("unetmm", [], held_out=3, bursts=[tmp_path / "desk"])
    text = write_card(alone, recipe, given).read_text()
    for fact in (
        "| data | `desk`: 3 bursts, 3 more held out |",
        "| noise | in 100% of the crops that of the bursts, which are also the targets |",
        "| loss | root of each crop's mean square |",
        "| PSNR on the held-out images, noise of real shots | 31.00 dB |",
        "inherit the terms of the images",
        f"--bursts {tmp_path / 'desk'} --steps 12",
    ):
        assert fact in text
    assert "sigma 25" not in text
    assert "--init" not in text
    both = msgspec.structs.replace(table, bursts_share=0.5)
    text = write_card(replace(alone, images=7), toy_recipe(table=both), given).read_text()
    for fact in (
        "7 images and 3 bursts",
        "in 50% of the crops that of the bursts, which are also the targets; else additive white",
        "L1, in bursts root of each crop's mean square",
    ):
        assert fact in text


def test_a_loss_by_psnr_has_a_name(outcome: Outcome) -> None:
    recipe = toy_recipe(table=msgspec.structs.replace(TABLE, image_loss="psnr"))
    text = write_card(outcome, recipe, Given("unetmm", [Path("photos")])).read_text()
    assert "| loss | logarithm of each crop's mean square |" in text
