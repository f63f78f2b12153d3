"""The card beside the weights says the facts."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from edgeunet.train.card import write_card
from edgeunet.train.loop import Outcome
from tests.train.toys import toy_recipe


@pytest.fixture
def outcome(tmp_path: Path) -> Outcome:
    return Outcome(
        weights=tmp_path / "unetmm-4.safetensors",
        images=420,
        steps=12,
        seconds=3723.4,
        skipped_steps=2,
        psnr=29.876,
        mixed_precision="bf16",
    )


def test_the_card_says_the_facts(outcome: Outcome, tmp_path: Path) -> None:
    recipe = toy_recipe()
    folders = [tmp_path / "bsd432", tmp_path / "mine"]
    card = write_card(outcome, recipe, "unetmm", folders, held_out=12)
    assert card == tmp_path / "unetmm-4.md"
    text = card.read_text()
    for fact in (
        "# unetmm-4\n",
        recipe.title,
        recipe.source,
        "| recipe | `unetmm`, width 4 |",
        "| data | `bsd432`, `mine`: 420 images, 12 more held out |",
        "sigma 0..50 (8-bit units), blind, not clipped",
        "L1, crops of 16x16, batch 2",
        "AdamW, 0.002 to 1e-06 by cosine, weight decay 0.0001, average of weights 0.999",
        "| steps | 12 (2 skipped), 3723 s |",
        "mixed precision: bf16",
        "| PSNR on the held-out images, sigma 25 | 29.88 dB |",
        "inherit the terms of the images",
    ):
        assert fact in text
    facts = text.partition("Repeat it with")[0]
    assert str(tmp_path) not in facts, "the facts name no path of the machine"


def test_the_command_on_the_card_is_the_run(outcome: Outcome) -> None:
    folders = [Path("../bsd 432"), Path("it's")]
    card = write_card(outcome, toy_recipe(), "my recipes/mine.toml", folders, held_out=12)
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
    card = write_card(replace(outcome, images=1), toy_recipe(), "unetmm", [Path()], held_out=0)
    assert f"| data | `{tmp_path.name}`: 1 image, 0 more held out |" in card.read_text()


def test_what_was_not_measured_is_not_claimed(outcome: Outcome, tmp_path: Path) -> None:
    unmeasured = replace(outcome, psnr=None)
    card = write_card(unmeasured, toy_recipe(), "unetmm", [tmp_path], held_out=0)
    assert "sigma 25 | not measured |" in card.read_text()
