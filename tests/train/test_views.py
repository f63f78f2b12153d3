"""Held-out images are measured in the noise that is trained for."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgeunet.metrics import psnr_db
from edgeunet.recipes import Recipe, load_recipe
from edgeunet.schedules import CameraTable
from edgeunet.train.loop import train
from edgeunet.train.run_records import TrainingOptions
from edgeunet.train.samples import Sample, hold_out
from edgeunet.train.views import all_figures, make_views, measure, through_camera
from tests.train.toys import TABLE, labelled_samples, toy_recipe, toy_samples

CAMERA = CameraTable(gain=(5e-3, 5e-3), demosaic=("bilinear", "malvar"), h264_share=0)
WITH_CAMERA = msgspec.structs.replace(TABLE, camera=CAMERA)


class Unchanged(torch.nn.Module):
    """Denoises nothing; a parameter tells its device."""

    def __init__(self) -> None:
        super().__init__()
        self.parameter = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"denoised": image}


def pairs(count: int = 2) -> list[Sample]:
    """Images whose noisy ones are brighter by 16 steps everywhere."""
    pictures = [np.full((20, 24, 3), 50 + index, np.uint8) for index in range(count)]
    return [Sample(picture, noisy=picture + np.uint8(16)) for picture in pictures]


def names(recipe: Recipe, samples: list[Sample]) -> list[str]:
    return [figure.name for figure in all_figures(recipe, samples)]


def test_a_plain_recipe_has_the_figures_it_always_had() -> None:
    recipe = toy_recipe()
    (figure,) = all_figures(recipe, toy_samples())
    assert (figure.name, figure.label, figure.noise) == ("psnr_db", "PSNR", "sigma 25")
    assert names(recipe, []) == ["psnr_db"]


def test_every_kind_of_noise_has_figures_of_its_own() -> None:
    joint = load_recipe("joint")
    joint = msgspec.structs.replace(joint, train=WITH_CAMERA)
    assert names(joint, [*toy_samples(), *pairs()]) == [
        *("psnr_db", "mean_iou", "psnr_db_camera", "mean_iou_camera", "psnr_db_pairs"),
    ]
    assert names(toy_recipe(table=WITH_CAMERA), pairs()) == ["psnr_db_pairs"]
    bits = msgspec.structs.replace(WITH_CAMERA, quantized_for="onnxruntime")
    assert names(toy_recipe(table=bits), toy_samples()) == [
        *("psnr_db", "psnr_db_camera", "int8_psnr_db", "int8_psnr_db_camera"),
    ]


def test_each_image_has_one_fixed_shot() -> None:
    (sample,) = toy_samples([(40, 33)])
    first, again, other = (through_camera(sample, CAMERA, index) for index in (3, 3, 4))
    assert first.noisy is not None
    assert again.noisy is not None
    assert other.noisy is not None
    assert first.image.shape == first.noisy.shape == (32, 32, 3)
    assert np.array_equal(first.noisy, again.noisy)
    assert not np.array_equal(first.noisy, other.noisy)
    assert 15 < psnr_db(first.noisy / np.float32(255), first.image / np.float32(255)) < 45


@pytest.mark.parametrize("size", [(48, 48), (61, 80)])
def test_labels_stay_at_their_pixels(size: tuple[int, int]) -> None:
    labels = np.zeros(size, np.uint8)
    labels[20:36, 24:40] = 1
    image = np.where(labels[..., None] > 0, 230, 30).repeat(3, axis=2).astype(np.uint8)
    table = msgspec.structs.replace(CAMERA, resize_share=1.0)
    for index in range(4):
        seen = through_camera(Sample(image, labels, number=3), table, index)
        assert seen.labels is not None
        assert seen.number == 3
        assert seen.image.shape[:2] == seen.labels.shape
        assert seen.labels.sum() == 256
        bright = seen.image.mean(axis=2) - np.median(seen.image)
        assert centre(np.where(bright > 20, bright, 0)) == pytest.approx(
            centre(seen.labels), abs=0.25
        )


def centre(weights: NDArray[Any]) -> tuple[float, float]:
    """Return the row and the column of the centre of gravity."""
    rows, columns = np.mgrid[0 : weights.shape[0], 0 : weights.shape[1]]
    return float(np.average(rows, weights=weights)), float(np.average(columns, weights=weights))


def test_real_pairs_keep_their_own_noise() -> None:
    recipe = toy_recipe(table=WITH_CAMERA)
    held_out = [*toy_samples([(24, 24)]), *pairs()]
    views = make_views(WITH_CAMERA, held_out)
    assert [view.suffix for view in views] == ["", "_camera", "_pairs"]
    found = measure(Unchanged(), recipe, views)
    assert list(found) == ["psnr_db", "psnr_db_camera", "psnr_db_pairs"]
    assert found["psnr_db_pairs"] == pytest.approx(20 * np.log10(255 / 16), abs=1e-3)
    plain = measure(Unchanged(), recipe, make_views(TABLE, toy_samples([(24, 24)])))
    assert found["psnr_db"] == plain["psnr_db"]
    assert found["psnr_db_camera"] != plain["psnr_db"]


def test_of_real_pairs_every_twelfth_is_held_out() -> None:
    training, held = hold_out([*pairs(13), *toy_samples([(20, 20)] * 40)])
    assert sum(sample.noisy is not None for sample in held) == 2
    assert sum(sample.noisy is None for sample in held) == 2
    assert len(training) == 49


def test_the_curve_has_every_figure(tmp_path: Path) -> None:
    recipe = toy_recipe(table=msgspec.structs.replace(WITH_CAMERA, steps=2, pairs_share=0.5))
    held_out = [*labelled_samples([(20, 24)]), *pairs(1)]
    outcome = train(
        recipe, [*toy_samples(), *pairs()], tmp_path, TrainingOptions(validation=held_out)
    )
    with (tmp_path / "curve.csv").open() as stream:
        (row,) = list(csv.DictReader(stream))
    wanted = ["psnr_db", "psnr_db_camera", "psnr_db_pairs"]
    assert list(row) == ["step", "loss", *wanted]
    for name in wanted:
        assert float(row[name]) == pytest.approx(outcome.figures[name], abs=1e-3)
    assert [figure.noise for figure in outcome.measured] == [
        *("sigma 25", "through a camera", "noise of real shots"),
    ]
