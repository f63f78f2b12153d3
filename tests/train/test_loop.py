"""The loop: exact, resumable, and not to be spoilt by one bad step."""

from __future__ import annotations

import copy
import errno
import os
import signal
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from edgeunet.errors import RecipeError, UsageError
from edgeunet.models import build_network
from edgeunet.models.network import Network
from edgeunet.models.weights import load_weights
from edgeunet.recipes import load_recipe
from edgeunet.schedules import GrowthTable
from edgeunet.train import loop, processes
from edgeunet.train.checkpoint import FILE_NAME
from edgeunet.train.crops import Batch, Crops
from edgeunet.train.curve import FILE_NAME as CURVE_FILE
from edgeunet.train.interruption import TrainingInterrupted
from edgeunet.train.loop import train
from edgeunet.train.optimization import update_average
from edgeunet.train.run_records import TrainingOptions
from tests.train.toy_runs import STOP, run
from tests.train.toys import TABLE, toy_recipe, toy_samples


def curve(out: Path) -> list[list[str]]:
    return [line.split(",") for line in (out / CURVE_FILE).read_text().splitlines()]


JOINT_TABLE = msgspec.structs.replace(
    TABLE,
    rotations=False,
    noise="camera",
    image_loss="charbonnier",
    weights={"labels": 0.1},
    labelled_share=0.75,
    growth=(GrowthTable(start=0.4, crop=20),),
)


# Batch norm has statistics to restore, NAF gates without gradients in the first step.
@pytest.mark.parametrize("name", ["unetmm", "unet", "unetmm-naf", "joint", "addunet-joint"])
def test_a_resumed_run_is_the_same_run_bit_for_bit(name: str, tmp_path: Path) -> None:
    recipe = toy_recipe(name, table=JOINT_TABLE if "joint" in name else TABLE)
    whole = run(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "halves", stop_at=STOP)
    assert not (tmp_path / "halves" / whole.weights.name).exists()
    halves = run(recipe, tmp_path / "halves", resume=True)
    assert halves.weights.name == whole.weights.name
    first, second = (build_network(recipe, seed=s) for s in (1, 2))
    load_weights(first, whole.weights)
    load_weights(second, halves.weights)
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[key]), key
    assert_same_checkpoint(tmp_path / "whole", tmp_path / "halves")
    assert curve(tmp_path / "halves") == curve(tmp_path / "whole")
    assert [row[0] for row in curve(tmp_path / "whole")] == ["step", "3", "6", "9", "12"]
    assert halves.figures == whole.figures


def assert_same_checkpoint(first: Path, second: Path) -> None:
    """FP32 weights, average and optimizer: the 16-bit files could hide a difference."""
    a, b = load_file(first / FILE_NAME), load_file(second / FILE_NAME)
    assert a.keys() == b.keys()
    assert any(key.startswith("optimizer.") for key in a)
    different = [key for key in a if not torch.equal(a[key], b[key])]
    assert different == []


def test_steps_after_the_last_checkpoint_are_done_again(tmp_path: Path) -> None:
    recipe = toy_recipe()
    whole = run(recipe, tmp_path / "whole")
    with pytest.raises(RuntimeError):
        run(recipe, tmp_path / "halves", stop_at=STOP + 2, stop=RuntimeError)
    again = run(recipe, tmp_path / "halves", resume=True)
    assert_same_checkpoint(tmp_path / "whole", tmp_path / "halves")
    assert curve(tmp_path / "halves") == curve(tmp_path / "whole")
    assert again.figures == whole.figures


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interruption_saves_the_steps_done(stop: type[BaseException], tmp_path: Path) -> None:
    recipe = toy_recipe()
    run(recipe, tmp_path / "whole")
    with pytest.raises(TrainingInterrupted) as caught:
        run(recipe, tmp_path / "halves", stop_at=STOP + 2, stop=stop)
    assert (caught.value.step, caught.value.saved) == (STOP + 2, STOP + 2)
    with safe_open(str(tmp_path / "halves" / FILE_NAME), framework="pt") as file:
        assert file.metadata()["step"] == str(STOP + 2)
    run(recipe, tmp_path / "halves", resume=True)
    assert_same_checkpoint(tmp_path / "whole", tmp_path / "halves")
    assert curve(tmp_path / "halves") == curve(tmp_path / "whole")


def test_half_a_step_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    update = update_average

    def interrupt(average: Network, network: Network, decay: float, step: int) -> None:
        if step == STOP + 1:
            raise KeyboardInterrupt
        update(average, network, decay, step)

    monkeypatch.setattr(loop, "update_average", interrupt)
    with pytest.raises(TrainingInterrupted) as caught:
        run(toy_recipe(), tmp_path)
    assert (caught.value.step, caught.value.saved) == (STOP + 1, STOP)


def test_a_signal_waits_for_the_end_of_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = update_average
    seen: list[int] = []

    def interrupt(average: Network, network: Network, decay: float, step: int) -> None:
        seen.append(step)
        if step == STOP:
            os.kill(os.getpid(), signal.SIGINT)
        update(average, network, decay, step)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "update_average", interrupt)
        with pytest.raises(TrainingInterrupted) as caught:
            run(toy_recipe(), tmp_path / "halves")
    assert (caught.value.step, caught.value.saved) == (STOP + 1, STOP + 1)
    assert seen[-1] == STOP
    run(toy_recipe(), tmp_path / "halves", resume=True)
    run(toy_recipe(), tmp_path / "whole")
    assert_same_checkpoint(tmp_path / "whole", tmp_path / "halves")


def test_nothing_is_left_of_a_run_that_did_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(crops: Crops, step: int) -> Batch:
        raise KeyboardInterrupt

    monkeypatch.setattr(Crops, "batch", interrupt)
    with pytest.raises(TrainingInterrupted) as caught:
        run(toy_recipe(), tmp_path / "a" / "b")
    assert (caught.value.step, caught.value.saved) == (0, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        run(toy_recipe(), tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TrainingInterrupted) as caught:
        run(toy_recipe(), tmp_path / "a" / "b", stop_at=2)
    assert (caught.value.step, caught.value.saved) == (2, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["unetmm-4.safetensors", "unetmm-4.md", CURVE_FILE])
def test_finished_weights_are_not_written_over(name: str, resume: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_text("dear")
    with pytest.raises(UsageError, match=f"holds {name} of an earlier run") as caught:
        run(toy_recipe(), tmp_path, resume=resume)
    assert caught.value.hint == "give another --out"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "dear")]


def test_a_finished_run_can_be_resumed_and_says_the_same(tmp_path: Path) -> None:
    first = run(toy_recipe(), tmp_path)
    content = load_file(first.weights)
    first.weights.unlink()
    with safe_open(str(tmp_path / FILE_NAME), framework="pt") as file:
        spent = float(file.metadata()["seconds"])
    second = run(toy_recipe(), tmp_path, resume=True)
    assert second.figures == first.figures
    assert second.seconds > spent > 0
    again = load_file(second.weights)
    assert all(torch.equal(tensor, again[name]) for name, tensor in content.items())


def test_resume_without_a_checkpoint_starts_from_the_beginning(tmp_path: Path) -> None:
    first, second = (run(toy_recipe(), tmp_path / n, resume=n == "a") for n in ("a", "b"))
    assert first.figures == second.figures


def test_a_new_run_does_not_write_over_an_earlier_one(tmp_path: Path) -> None:
    run(toy_recipe(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UsageError, match="holds the checkpoint of an earlier run") as caught:
        run(toy_recipe("unet"), tmp_path)
    assert "--resume" in caught.value.hint
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_last_checkpoint_survives_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes
    writes = 0

    def full_at_the_second(path: Path, data: bytes) -> int:
        nonlocal writes
        writes += 1
        if writes < 2:
            return write(path, data)
        write(path, data[:100])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_at_the_second)
        with pytest.raises(OSError, match="No space left"):
            run(toy_recipe(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE_NAME, CURVE_FILE]
    run(toy_recipe(), tmp_path, resume=True)
    run(toy_recipe(), tmp_path / "whole")
    assert_same_checkpoint(tmp_path, tmp_path / "whole")
    assert curve(tmp_path) == curve(tmp_path / "whole")


def test_batch_norm_keeps_its_statistics_from_where_the_schedule_says(tmp_path: Path) -> None:
    table = msgspec.structs.replace(TABLE, statistics_until=0.5)
    recipe = toy_recipe("unet", table=table)
    seen = {}
    for stop_at in (STOP - 2, STOP, STOP + 2):
        with pytest.raises(KeyboardInterrupt):
            run(recipe, tmp_path / str(stop_at), stop_at=stop_at)
        state = load_file(tmp_path / str(stop_at) / FILE_NAME)
        seen[stop_at] = [state[k] for k in state if k.startswith("network.") and "running" in k]
    before, at, after = (torch.cat(tensors) for tensors in seen.values())
    assert table.steps == 2 * STOP
    assert not torch.equal(before, at)
    assert torch.equal(at, after)


def test_training_learns(tmp_path: Path) -> None:
    table = msgspec.structs.replace(TABLE, steps=120, learning_rate=5e-3, sigma=(40.0, 40.0))
    losses: list[float] = []
    train(
        toy_recipe(table=table),
        toy_samples(),
        tmp_path,
        TrainingOptions(report=lambda progress: losses.append(progress.loss)),
    )
    assert np.mean(losses[-20:]) < 0.85 * np.mean(losses[:5])


def test_without_validation_there_are_no_figures(tmp_path: Path) -> None:
    outcome = train(toy_recipe(), toy_samples([(16, 16), (8, 99)]), tmp_path)
    assert outcome.figures == {}
    assert outcome.images == 1
    assert curve(tmp_path)[-1][2] == ""


def test_a_recipe_without_a_schedule_cannot_be_trained(tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(load_recipe("nafnet"), train=None)
    with pytest.raises(RecipeError, match="recipe 'nafnet' cannot be trained: it has no"):
        train(recipe, toy_samples(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_precision_the_machine_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*, mixed_precision: str) -> None:
        raise ValueError(f"{mixed_precision} mixed precision requires a GPU")

    monkeypatch.setattr(processes, "Accelerator", refuse)
    with pytest.raises(UsageError, match="cannot train in fp16: fp16 mixed precision requires"):
        train(toy_recipe(), toy_samples(), tmp_path, TrainingOptions(mixed_precision="fp16"))


def test_the_average_follows_the_weights() -> None:
    recipe = toy_recipe("unet")
    network = build_network(recipe, seed=1)
    average = copy.deepcopy(network)
    before = {name: tensor.clone() for name, tensor in average.state_dict().items()}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    network.train()(torch.rand(2, 3, 16, 16))
    # At step 90 the average is still short: (90 + 1) / (90 + 10); later it has the full length.
    for step, decay in ((90, 0.91), (100_000, 0.999)):
        given = copy.deepcopy(average)
        update_average(given, network, 0.999, step)
        for name, tensor in given.state_dict().items():
            current = network.state_dict()[name]
            if not tensor.is_floating_point():
                assert torch.equal(tensor, current)
                continue
            wanted = decay * before[name] + (1 - decay) * current
            torch.testing.assert_close(tensor, wanted, atol=1e-6, rtol=1e-5)


def test_what_is_saved_is_the_average(tmp_path: Path) -> None:
    outcome = run(toy_recipe(), tmp_path)
    state, saved = load_file(tmp_path / FILE_NAME), load_file(outcome.weights)
    for name, tensor in saved.items():
        assert torch.equal(tensor, state[f"average.{name}"].half())
    assert any(not torch.equal(t, state[f"network.{n}"].half()) for n, t in saved.items())
