"""Fine-tuning for 8 bits as the loop sees it; what the 8 bits are is tests/convert's matter."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from edgeunet.errors import WeightsError
from edgeunet.models import Network, build_network
from edgeunet.models.weights import load_weights, save_weights
from edgeunet.noise_models import as_handed_over
from edgeunet.recipes import Recipe
from edgeunet.specs import Engine
from edgeunet.train.card import Given, write_card
from edgeunet.train.checkpoint import FILE_NAME
from edgeunet.train.fake_quantization import Quantization, with_quantization
from edgeunet.train.interruption import TrainingInterrupted
from edgeunet.train.loop import train
from edgeunet.train.run_checks import recipe_digest
from edgeunet.train.run_records import Outcome, Progress, TrainingOptions
from edgeunet.train.validation import validation_noise
from edgeunet.train.views import all_figures
from tests.train.toys import TABLE, toy_recipe, toy_samples

TABLE_8 = msgspec.structs.replace(TABLE, quantized_for="onnxruntime")


class Coarse(nn.Module):
    """A network whose answer is rounded to few steps."""

    def __init__(self, network: Network, step: float) -> None:
        super().__init__()
        self.network, self.step = network, step

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {
            name: torch.fake_quantize_per_tensor_affine(answer, self.step, 0, -255, 255)
            for name, answer in self.network(image).items()
        }


class CoarseBits:
    """Bits that take no export. The first convolution stays as it is."""

    def __init__(self, step: float) -> None:
        self.step = step

    def begin(self, network: Network) -> Quantization:
        return Quantization(Engine.ONNXRUNTIME, (1.5,), ((0.0, self.step),))

    def form(self, network: Network, quantization: Quantization) -> Callable[[Network], nn.Module]:
        def acting(some: Network) -> nn.Module:
            next(some.parameters()).requires_grad_(False)
            return Coarse(some, quantization.intervals[0][1])

        return acting


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    path = tmp_path / "begun.safetensors"
    save_weights(build_network(toy_recipe(), seed=5), toy_recipe(), path)
    return path


def run(
    out: Path,
    init: Path | None,
    *,
    resume: bool = False,
    stop_at: int | None = None,
    step: float = 0.02,
    recipe: Recipe | None = None,
) -> Outcome:
    def report(progress: Progress) -> None:
        if progress.step == stop_at:
            raise KeyboardInterrupt

    return train(
        recipe or toy_recipe(table=TABLE_8),
        toy_samples(),
        out,
        TrainingOptions(
            validation=toy_samples([(20, 28)]),
            resume=resume,
            init=init,
            fake_quantization=CoarseBits(step),
            save_every=6,
            report=report,
        ),
    )


def test_a_resumed_run_has_the_same_bits_and_is_the_same(begun: Path, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", begun)
    with pytest.raises(TrainingInterrupted):
        run(tmp_path / "halves", begun, stop_at=7)
    # Measured anew they would be others; what the run began with is known.
    halves = run(tmp_path / "halves", None, resume=True, step=0.3)
    first, second = (load_file(tmp_path / name / FILE_NAME) for name in ("whole", "halves"))
    assert first.keys() == second.keys()
    assert [key for key in first if not torch.equal(first[key], second[key])] == []
    assert halves.figures == whole.figures
    assert str(halves.initial) == str(whole.initial) == "begun.safetensors: 46 of 46 tensors"


def test_ordinary_weights_come_out_and_both_figures(begun: Path, tmp_path: Path) -> None:
    outcome = run(tmp_path / "runs", begun)
    network, before = (build_network(toy_recipe(), seed=s) for s in (1, 5))
    load_weights(network, outcome.weights)
    changed = {
        name
        for name, tensor in network.state_dict().items()
        if not torch.equal(tensor, before.state_dict()[name].half().float())
    }
    first, *others = dict(network.named_parameters())
    assert first not in changed
    assert set(others) <= changed
    with (tmp_path / "runs" / "curve.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["step", "loss", "psnr_db", "int8_psnr_db"]
    assert float(rows[-1]["psnr_db"]) == pytest.approx(outcome.figures["psnr_db"], abs=1e-3)
    assert outcome.figures["int8_psnr_db"] != outcome.figures["psnr_db"]
    assert {figure.noise for figure in outcome.measured} == {"sigma 25 clipped"}


def test_only_a_whole_network_is_fine_tuned(begun: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        run(tmp_path / "runs", None)
    assert caught.value.message == (
        "a network is fine-tuned for 8 bits whole, not from random weights"
    )
    joint = toy_recipe("joint", table=TABLE_8)
    with pytest.raises(WeightsError) as caught:
        run(tmp_path / "runs", begun, recipe=joint)
    assert caught.value.message.endswith("whole, not from begun.safetensors: 46 of 67 tensors")
    assert "weights of this very network" in caught.value.hint
    assert not (tmp_path / "runs").exists()


def test_bits_without_a_schedule_for_them_are_a_bug(begun: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="quantized_for"):
        run(tmp_path / "runs", begun, recipe=toy_recipe())


def test_a_checkpoint_of_other_bits_is_another_run() -> None:
    plain = toy_recipe()
    digests = {
        recipe_digest(msgspec.structs.replace(plain, train=table))
        for table in (
            TABLE,
            TABLE_8,
            msgspec.structs.replace(TABLE, quantized_for="tensorrt"),
        )
    }
    assert len(digests) == 3


def test_a_short_schedule_from_a_lower_rate_in_bytes() -> None:
    table = msgspec.structs.replace(TABLE, steps=100)
    recipe = toy_recipe(table=table)
    tuned = with_quantization(recipe, Engine.TENSORRT, None).train
    assert tuned == msgspec.structs.replace(
        table,
        steps=5,
        learning_rate=pytest.approx(2e-4),
        in_bytes=1.0,
        quantized_for="tensorrt",
    )
    given = with_quantization(recipe, Engine.ONNXRUNTIME, 7).train
    assert given is not None
    assert (given.steps, given.quantized_for) == (7, "onnxruntime")
    own = with_quantization(toy_recipe(table=TABLE_8), Engine.TENSORRT, None).train
    assert own == msgspec.structs.replace(TABLE_8, quantized_for="tensorrt")


def test_what_is_held_out_is_noisy_in_bytes() -> None:
    clean = np.linspace(0, 1, 3 * 8 * 8, dtype=np.float32).reshape(1, 3, 8, 8)
    plain, clipped = (
        validation_noise(table)[1](clean, np.random.default_rng(1)) for table in (TABLE, TABLE_8)
    )
    assert np.array_equal(clipped, as_handed_over(plain))
    assert not np.array_equal(clipped, plain)


def test_the_card_says_what_is_in_the_file(tmp_path: Path) -> None:
    outcome = Outcome(
        weights=tmp_path / "unetmm-4.safetensors",
        images=3,
        steps=12,
        seconds=1.0,
        skipped_steps=0,
        mixed_precision="no",
        figures={"psnr_db": 29.0, "int8_psnr_db": 28.5},
        measured=all_figures(toy_recipe(table=TABLE_8), []),
    )
    given = Given("unetmm", [tmp_path], qat=True, calibration="street")
    text = write_card(outcome, toy_recipe(table=TABLE_8), given).read_text()
    for fact in (
        "| 8 bits | fine-tuned with those of an export for onnxruntime",
        "the weights are floats, for any precision |",
        "| PSNR on the held-out images, sigma 25 clipped | 29.00 dB |",
        "| PSNR in 8 bits on the held-out images, sigma 25 clipped | 28.50 dB |",
        "--qat --target onnxruntime --calibration street --steps 12",
    ):
        assert fact in text
    assert "batch norm" not in text
    double = toy_recipe("unet", table=TABLE_8)
    assert "batch norm kept as it was" in write_card(replace(outcome), double, given).read_text()
