"""Steps whose loss or gradient is not finite are skipped, counted, and said."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeunet.models import build_network
from edgeunet.models.weights import load_weights
from edgeunet.recipes import Recipe
from edgeunet.train import loop
from edgeunet.train.crops import Batch, Crops
from edgeunet.train.loop import train
from edgeunet.train.run_records import TrainingOptions
from tests.train.toy_runs import STOP, run
from tests.train.toys import TABLE, labelled_samples, toy_recipe, toy_samples


def spoil(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Plant a NaN in one batch."""
    batch = Crops.batch

    def spoilt(crops: Crops, step: int) -> Batch:
        good = batch(crops, step)
        if step == at:
            good.noisy[0, 0, 0, 0] = np.nan
        return good

    monkeypatch.setattr(Crops, "batch", spoilt)


# With batch norm the NaN is in the running statistics before the loss is known.
@pytest.mark.parametrize("name", ["unetmm", "unet", "joint"])
def test_a_step_that_is_not_finite_is_skipped_and_counted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, at=4)
    losses: list[float] = []
    said: list[str] = []
    outcome = train(
        toy_recipe(name),
        labelled_samples(),
        tmp_path,
        TrainingOptions(
            validation=toy_samples([(20, 28)]),
            report=lambda progress: losses.append(progress.loss),
            notice=said.append,
        ),
    )
    assert said == ["step 5 skipped: its loss or gradient is not finite"]
    assert [step for step, loss in enumerate(losses) if not math.isfinite(loss)] == [4]
    assert len(losses) == TABLE.steps
    assert outcome.skipped_steps == 1
    assert math.isfinite(outcome.figures["psnr_db"])
    load_weights(build_network(toy_recipe(name)), outcome.weights)  # raises for what is not finite


def test_skipped_steps_are_still_counted_after_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, at=4)
    with pytest.raises(KeyboardInterrupt):
        run(toy_recipe(), tmp_path, stop_at=STOP)
    assert run(toy_recipe(), tmp_path, resume=True).skipped_steps == 1


def test_a_gradient_that_is_not_finite_is_skipped_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = 0

    def overflow(gradient: torch.Tensor) -> torch.Tensor:
        nonlocal step
        step += 1
        return gradient * math.inf if step == 5 else gradient

    def build(recipe: Recipe, *, seed: int) -> torch.nn.Module:
        network = build_network(recipe, seed=seed)
        next(network.parameters()).register_hook(overflow)  # type: ignore[no-untyped-call]
        return network

    monkeypatch.setattr(loop, "build_network", build)
    outcome = run(toy_recipe(), tmp_path)
    assert step == TABLE.steps
    assert outcome.skipped_steps == 1
    load_weights(build_network(toy_recipe()), outcome.weights)
