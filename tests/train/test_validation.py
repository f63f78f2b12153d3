"""What is measured on held-out images."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch

from edgeunet.metrics import psnr_db
from edgeunet.noise_models import add_gaussian
from edgeunet.recipes import PathwayTable, load_recipe
from edgeunet.specs import Task
from edgeunet.train.samples import Sample
from edgeunet.train.validation import figure_names, validate, validation_noise
from tests.train.toys import TABLE, toy_samples

DENOISED = PathwayTable(output="denoised", head=Task.DENOISE)
CLASSES = load_recipe("joint").pathways[1].classes[:3]
LABELS = PathwayTable(output="labels", head=Task.SEGMENT, classes=CLASSES)
SCORES = PathwayTable(output="scores", head=Task.CLASSIFY, classes=CLASSES)


class Fixed(torch.nn.Module):
    """Denoises nothing, and says class 1 everywhere; a parameter tells its device."""

    def __init__(self) -> None:
        super().__init__()
        self.parameter = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        assert not self.training
        one = torch.tensor([0.0, 1.0, 0.0])
        labels = one.reshape(1, 3, 1, 1).expand(1, 3, *image.shape[-2:])
        return {"denoised": image, "labels": labels, "scores": one[None]}


def test_psnr_of_the_clipped_output_with_fixed_noise() -> None:
    samples = toy_samples()
    network = Fixed()
    name, add_noise = validation_noise(TABLE)
    assert name == "sigma 25"
    given = validate(network, [DENOISED], samples, add_noise)
    assert given == validate(network, [DENOISED], samples, add_noise)
    figures = []
    for index, sample in enumerate(samples):
        clean = (sample.image / np.float32(255)).transpose(2, 0, 1)[None]
        noisy = add_gaussian(clean, 25.0, np.random.default_rng([2024, index]))
        figures.append(psnr_db(noisy.clip(0, 1), clean))
    assert given == {"psnr_db": pytest.approx(np.mean(figures), abs=1e-4)}
    assert network.training
    assert network.parameter.grad is None


def test_labels_are_counted_over_all_images() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    first = np.array([[1, 1, 0, 0], [9, 9, 9, 9]], np.uint8)
    second = np.array([[1, 1, 1, 1], [1, 1, 255, 3]], np.uint8)
    samples = [Sample(image, first, number=1), Sample(image, second, number=0), Sample(image)]
    _, add_noise = validation_noise(TABLE)
    given = validate(Fixed(), [LABELS, SCORES], samples, add_noise)
    # Class 1: 8 of 10 counted pixels are right; class 0: none of 2; class 2 does not occur.
    assert given == {"mean_iou": pytest.approx((8 / 10 + 0) / 2), "accuracy": 0.5}


def test_what_has_no_labels_has_no_figure() -> None:
    _, add_noise = validation_noise(TABLE)
    given = validate(Fixed(), [DENOISED, LABELS, SCORES], toy_samples(), add_noise)
    assert list(given) == ["psnr_db"]
    assert validate(Fixed(), [DENOISED, LABELS], [], add_noise) == {}


def test_figures_are_told_apart_by_their_output() -> None:
    other = msgspec.structs.replace(DENOISED, output="again")
    assert figure_names([DENOISED, LABELS, SCORES]) == ["psnr_db", "mean_iou", "accuracy"]
    assert figure_names([DENOISED, LABELS, other]) == [
        "psnr_db_denoised",
        "mean_iou",
        "psnr_db_again",
    ]


def test_the_noise_is_one_that_is_trained_for() -> None:
    clean = np.full((3, 200, 200), 0.5, np.float32)

    def spread(**changes: object) -> tuple[str, float]:
        name, add_noise = validation_noise(msgspec.structs.replace(TABLE, **changes))
        return name, float((add_noise(clean, np.random.default_rng(0)) - clean).std())

    for sigma, middle in (((0.0, 60.0), 25), ((40.0, 60.0), 50), ((0.0, 0.0), 0)):
        name, deviation = spread(sigma=sigma)
        assert name == f"sigma {middle}"
        assert deviation == pytest.approx(middle / 255, rel=0.02)
    name, deviation = spread(noise="camera", gain=(1e-4, 1e-2))
    assert name == "camera noise of gain 0.001"
    # Half of the gain, and the read noise that goes with it: e^(2.18 ln 1e-3 + 1.2) = 9.6e-7.
    assert deviation == pytest.approx(0.0005**0.5, rel=0.02)
