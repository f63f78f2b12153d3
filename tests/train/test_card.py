"""The card beside the weights says the facts."""

from __future__ import annotations

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
    card = write_card(outcome, recipe, folders, held_out=12)
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
    assert str(tmp_path) not in text, "a card names no path of the machine"


def test_the_command_on_the_card_is_the_run(outcome: Outcome, tmp_path: Path) -> None:
    card = write_card(outcome, toy_recipe(), [tmp_path / "bsd432"], held_out=12)
    assert (
        "edgeunet train unetmm --width 4 --data bsd432 --steps 12 --mixed-precision bf16 "
        "--out runs/unetmm-4\n"
    ) in card.read_text()


def test_what_was_not_measured_is_not_claimed(outcome: Outcome, tmp_path: Path) -> None:
    from dataclasses import replace

    card = write_card(replace(outcome, psnr=None), toy_recipe(), [tmp_path], held_out=0)
    assert "sigma 25 | not measured |" in card.read_text()
