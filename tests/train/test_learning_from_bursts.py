"""Shots of one scene teach what clean images of it teach."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from edgeunet.errors import WeightsError
from edgeunet.models.network import build_network
from edgeunet.train.burst_pairs import Burst
from edgeunet.train.initial import load_matching
from edgeunet.train.interruption import TrainingInterrupted
from edgeunet.train.loop import train
from edgeunet.train.run_checks import recipe_digest
from edgeunet.train.run_records import Progress, TrainingOptions
from edgeunet.train.samples import Sample
from edgeunet.train.validation import validate
from tests.train.burst_scenes import Known, known_scene
from tests.train.toys import TABLE, toy_recipe

SIDE = 96
SCHEDULE = msgspec.structs.replace(
    TABLE,
    steps=120,
    batch=4,
    crop=24,
    learning_rate=4e-3,
    warmup_steps=20,
    ema_decay=0.98,
    bursts_share=1.0,
)


@pytest.fixture(scope="module")
def scenes() -> list[Known]:
    names = ("astronaut", "chelsea", "rocket")
    return [known_scene(name, SIDE, 6, seed=index) for index, name in enumerate(names)]


@pytest.fixture(scope="module")
def held_out() -> list[Sample]:
    known = known_scene("coffee", SIDE, 2, seed=9)
    return [Sample(known.clean, noisy=shot) for shot in known.shots]


def psnr_after(
    out: Path, held_out: Sequence[Sample], samples: Sequence[Sample], bursts: Sequence[Burst]
) -> float:
    recipe = toy_recipe(table=SCHEDULE)
    outcome = train(recipe, samples, out, TrainingOptions(bursts=bursts))
    network = build_network(recipe)
    load_matching(network, outcome.weights)
    found = validate(network, recipe.pathways, held_out, lambda clean, generator: clean)
    return found["psnr_db"]


def test_bursts_teach_what_clean_images_teach(
    scenes: list[Known], held_out: list[Sample], tmp_path: Path
) -> None:
    pairs = [Sample(scene.clean, noisy=shot) for scene in scenes for shot in scene.shots]
    clean = psnr_after(tmp_path / "clean", held_out, pairs, [])
    bursts = [Burst("scene", scene.shots) for scene in scenes]
    without = psnr_after(tmp_path / "bursts", held_out, [], bursts)
    # A target that is the very shot that went in teaches to change nothing.
    same = [Sample(shot, noisy=shot) for scene in scenes for shot in scene.shots]
    control = psnr_after(tmp_path / "same", held_out, same, [])
    assert clean > control + 1
    assert without > clean - 0.4


def test_a_resumed_run_on_bursts_is_the_same_run(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    bursts = [Burst("noise", generator.integers(0, 256, (4, 24, 24, 3)).astype(np.uint8))]
    table = msgspec.structs.replace(TABLE, steps=6, bursts_share=1.0)
    recipe = toy_recipe(table=table)
    whole = train(recipe, [], tmp_path / "whole", TrainingOptions(bursts=bursts))

    def stop(progress: Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(TrainingInterrupted):
        train(recipe, [], tmp_path / "parts", TrainingOptions(bursts=bursts, report=stop))
    parts = train(recipe, [], tmp_path / "parts", TrainingOptions(bursts=bursts, resume=True))
    first, second = (build_network(recipe) for _ in range(2))
    load_matching(first, whole.weights)
    load_matching(second, parts.weights)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    # Without bursts the batches would be others.
    with pytest.raises(WeightsError, match="made by another recipe") as caught:
        plain = toy_recipe(table=msgspec.structs.replace(table, bursts_share=None))
        train(plain, [Sample(bursts[0].shots[0])], tmp_path / "parts", TrainingOptions(resume=True))
    assert "--bursts" in caught.value.hint
    digests = {
        recipe_digest(toy_recipe(table=msgspec.structs.replace(table, bursts_share=share)))
        for share in (None, 0.5, 1.0)
    }
    assert len(digests) == 3
