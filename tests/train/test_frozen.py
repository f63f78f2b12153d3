"""Frozen parts of a network keep the weights they began with."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file

from edgeunet.errors import UsageError
from edgeunet.models import build_network
from edgeunet.models.weights import leave_out, load_weights, save_weights
from edgeunet.train.checkpoint import FILE_NAME
from edgeunet.train.interruption import TrainingInterrupted
from edgeunet.train.loop import train
from edgeunet.train.run_checks import check_run
from edgeunet.train.run_records import Outcome, Progress, TrainingOptions
from tests.train.toys import TABLE, toy_recipe, toy_samples

FROZEN = ("middle", "encoder.1", "pathways.0.stages.1")
RECIPE = toy_recipe(table=msgspec.structs.replace(TABLE, frozen=FROZEN))


@pytest.fixture
def trunk(tmp_path: Path) -> Path:
    path = tmp_path / "trunk.safetensors"
    save_weights(build_network(RECIPE, seed=9), RECIPE, path)
    return path


def run(
    out: Path, init: Path | None, *, resume: bool = False, stop_at: int | None = None
) -> Outcome:
    def report(progress: Progress) -> None:
        if progress.step == stop_at:
            raise KeyboardInterrupt

    return train(
        RECIPE,
        toy_samples(),
        out,
        TrainingOptions(init=init, resume=resume, report=report, save_every=4),
    )


def test_only_the_other_parts_learn(trunk: Path, tmp_path: Path) -> None:
    outcome = run(tmp_path / "out", trunk)
    before, after = load_file(trunk), load_file(outcome.weights)
    assert before.keys() == after.keys()
    same = {name for name in after if torch.equal(before[name], after[name])}
    frozen = {name for name in after if f"{name}.".startswith(tuple(f"{p}." for p in FROZEN))}
    assert frozen
    assert frozen <= same
    # A bias may be too small a change for 16 bits; weights are not.
    assert not {name for name in same - frozen if name.endswith("weight")}


def test_a_resumed_run_is_the_same_run(trunk: Path, tmp_path: Path) -> None:
    run(tmp_path / "whole", trunk)
    with pytest.raises(TrainingInterrupted):
        run(tmp_path / "halves", trunk, stop_at=6)
    run(tmp_path / "halves", None, resume=True)
    first, second = (load_file(tmp_path / name / FILE_NAME) for name in ("whole", "halves"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_frozen_parts_can_be_left_out_of_the_file(trunk: Path, tmp_path: Path) -> None:
    outcome = run(tmp_path / "out", trunk)
    small = tmp_path / "small.safetensors"
    leave_out(outcome.weights, trunk, small)
    assert not [name for name in load_file(small) if name.startswith(FROZEN)]
    networks = [build_network(RECIPE, seed=seed) for seed in (1, 2)]
    load_weights(networks[0], small)
    load_weights(networks[1], outcome.weights)
    wanted = networks[1].state_dict()
    assert all(torch.equal(t, wanted[n]) for n, t in networks[0].state_dict().items())


def test_nothing_to_keep(tmp_path: Path) -> None:
    """It is found before anything is written, or read."""
    with pytest.raises(UsageError, match="has frozen parts, and no weights to keep") as caught:
        run(tmp_path / "out", None)
    assert "--init" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="no weights to keep"):
        check_run(RECIPE, tmp_path / "out", resume=True)
    assert check_run(RECIPE, tmp_path / "out", resume=False, init=tmp_path / "any").frozen
