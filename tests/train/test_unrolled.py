"""Training on clips: first the recurrence alone, then all, and resumable."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch

from edgeunet.models.network import build_network
from edgeunet.models.weights import read_tensors
from edgeunet.recipes import Recipe
from edgeunet.schedules import ClipsTable
from edgeunet.train.initial import load_matching
from edgeunet.train.loop import train
from edgeunet.train.run_records import Outcome, Progress, TrainingOptions
from edgeunet.train.unrolled import Unrolled
from tests.train.test_clip_crops import clips
from tests.train.toys import TABLE, toy_recipe, toy_samples

GATE_STEPS = 3


def recipe_of_clips(steps: int = 6) -> Recipe:
    recipe = toy_recipe(
        table=msgspec.structs.replace(
            TABLE, steps=steps, clips=ClipsTable(frames=(2, 3), gate_steps=GATE_STEPS)
        )
    )
    network = msgspec.structs.replace(
        recipe.network, encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1), temporal="fuse"
    )
    return msgspec.structs.replace(recipe, network=network)


def run(recipe: Recipe, out: Path, *, resume: bool = False, stop_at: int | None = None) -> Outcome:
    def report(progress: Progress) -> None:
        if progress.step == stop_at:
            raise KeyboardInterrupt

    options = TrainingOptions(
        clips=clips(),
        held_out_clips=clips(1),
        validation=toy_samples([(20, 28)]),
        resume=resume,
        save_every=2,
        report=report,
    )
    return train(recipe, [], out, options)


def test_the_recurrence_learns_first_and_alone(tmp_path: Path) -> None:
    recipe = recipe_of_clips()
    first = {name: t.clone() for name, t in build_network(recipe, seed=3).state_dict().items()}
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path, stop_at=2)
    early = read_tensors(tmp_path / "checkpoint.safetensors")[0]
    for name, tensor in first.items():
        same = torch.equal(early[f"network.{name}"], tensor)
        if not name.startswith("recurrence."):
            assert same, name
    assert not torch.equal(early["network.recurrence.gate.4.bias"], first["recurrence.gate.4.bias"])
    outcome = run(recipe, tmp_path, resume=True)
    late = read_tensors(tmp_path / "checkpoint.safetensors")[0]
    assert not torch.equal(late["network.stem.weight"], first["stem.weight"])
    assert outcome.clips == 3
    assert list(outcome.figures) == ["psnr_db", "psnr_db_clips"]


def test_a_resumed_run_is_the_same_run(tmp_path: Path) -> None:
    recipe = recipe_of_clips()
    whole = run(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "parts", stop_at=4)
    parts = run(recipe, tmp_path / "parts", resume=True)
    one, other = read_tensors(whole.weights)[0], read_tensors(parts.weights)[0]
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert whole.figures == parts.figures


def test_flicker_is_part_of_the_loss(tmp_path: Path) -> None:
    recipe, losses = recipe_of_clips(1), []
    for weight in (0.0, 1.0):
        table = recipe.train
        assert table is not None
        assert table.clips is not None
        plan = msgspec.structs.replace(table.clips, flicker_weight=weight)
        table = msgspec.structs.replace(table, clips=plan)
        options = TrainingOptions(
            clips=clips(), report=lambda progress: losses.append(progress.loss)
        )
        train(msgspec.structs.replace(recipe, train=table), [], tmp_path / str(weight), options)
    assert losses[1] > 1.1 * losses[0]


def test_answers_lie_as_the_frames_do() -> None:
    network = build_network(recipe_of_clips()).eval()
    unrolled = Unrolled(network)
    unrolled.frames = 3
    images = torch.rand(6, 3, 16, 24)
    with torch.no_grad():
        together = unrolled(images)["denoised"]
        memory = None
        for index in (3, 4, 5):
            outputs, memory = network.step(images[index : index + 1], memory)
            assert torch.allclose(together[index], outputs["denoised"][0], atol=1e-5)


def test_weights_of_single_frames_are_taken_for_the_image(tmp_path: Path) -> None:
    recipe = recipe_of_clips(steps=4)
    single = msgspec.structs.replace(
        recipe,
        network=msgspec.structs.replace(recipe.network, temporal="none"),
        train=msgspec.structs.replace(TABLE, steps=2),
    )
    outcome = train(single, toy_samples([(24, 32)]), tmp_path, TrainingOptions())
    network = build_network(recipe)
    found = load_matching(network, outcome.weights)
    assert found.tensors - found.matched == 15  # the two judges, and three of the trust
    given = read_tensors(outcome.weights)[0]["stem.weight"].float()
    assert torch.equal(network.stem.weight[:, :3], given)  # type: ignore[union-attr]
    assert not network.stem.weight[:, 3:].any()  # type: ignore[union-attr]
