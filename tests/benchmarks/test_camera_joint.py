"""Labels and images of a joint network through the simulated camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("colour_demosaicing")
pytest.importorskip("av")

from benchmarks import camera_joint
from benchmarks.camera_joint import compare, streets, through_camera
from edgeunet.camera.chain import MARGIN
from edgeunet.evaluate.evaluation import Levels, evaluate
from edgeunet.evaluate.image_folders import open_folder
from edgeunet.evaluate.protocol import NoiseKind
from edgeunet.evaluate.torch_backend import TorchBackend
from edgeunet.evaluate.truth import Fit, Sample
from edgeunet.models import build_network
from edgeunet.models.weights import save_weights
from edgeunet.specs import Task
from tests.train.toys import toy_recipe


@pytest.fixture(autouse=True)
def _small_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_joint, "SCENE", 64)


def _write_streets(folder: Path, count: int) -> Path:
    generator = np.random.default_rng(0)
    for kind, shape in (("images", (72, 80, 3)), ("labels", (72, 80))):
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            pixels = generator.integers(0, 11, shape).astype(np.uint8)
            Image.fromarray(pixels * (20 if kind == "images" else 1)).save(
                folder / kind / f"{number}.png"
            )
    return folder


def test_frames_are_spread_over_the_folder(tmp_path: Path) -> None:
    folder = _write_streets(tmp_path / "val", 5)
    recipe = toy_recipe("joint")
    assert [sample.index for sample in streets(recipe, folder, 2)] == [0, 2]
    assert [sample.index for sample in streets(recipe, folder, None)] == [0, 1, 2, 3, 4]
    assert len(streets(recipe, folder, 9)) == 5
    with pytest.raises(SystemExit, match="it needs images/ and labels/"):
        streets(recipe, folder / "images", None)


def test_labels_belong_to_the_pixels_that_the_camera_sees() -> None:
    labels = np.zeros((72, 80), np.uint8)
    labels[30:, 44:] = 1
    clean = np.repeat(np.where(labels == 1, 200, 40).astype(np.uint8)[None], 3, axis=0)
    view = through_camera(Sample("a", 3, clean, labels), 1e-4)
    side = 64 - 2 * MARGIN
    assert view.noisy.dtype == np.uint8
    assert view.noisy.shape == view.clean.shape == (3, side, side)
    bright = view.clean.mean(axis=0) > (view.clean.min() + view.clean.max()) / 2
    agree = bright == (view.labels == 1)
    assert 0.1 < bright.mean() < 0.9
    assert agree.mean() > 0.97
    # More light is lost with more gain of shot noise, and a frame always gets the same camera.
    noisier = through_camera(Sample("a", 3, clean, labels), 2e-2)
    errors = [np.abs(v.noisy / 255 - v.clean).mean() for v in (view, noisier)]
    assert errors[1] > 3 * errors[0]
    again = through_camera(Sample("a", 3, clean, labels), 1e-4)
    assert np.array_equal(again.noisy, view.noisy)


def test_files_are_compared_on_the_same_pixels(tmp_path: Path) -> None:
    folder = _write_streets(tmp_path / "val", 2)
    recipe = toy_recipe("joint")
    paths = [tmp_path / f"{seed}.safetensors" for seed in (1, 2)]
    for seed, path in enumerate(paths, 1):
        save_weights(build_network(recipe, seed=seed), recipe, path)
    rows = compare(recipe, [paths[0], paths[1], paths[0]], streets(recipe, folder, None))
    assert len(rows) == 3 * 7
    assert [row["gain"] for row in rows[::3]] == ["0.002", "0.008", "0.02", "", "", "", ""]
    assert [row["sigma"] for row in rows[::3]] == ["", "", "", "15", "30", "45", "60"]
    for first, other, same in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        assert first == same
        assert first["psnr_gain_db"] == 0
        assert other["psnr_noisy_db"] == first["psnr_noisy_db"]
        gain = float(str(other["psnr_db"])) - float(str(first["psnr_db"]))
        assert float(str(other["psnr_gain_db"])) == pytest.approx(gain, abs=2e-3)
        points = float(str(other["miou_percent"])) - float(str(first["miou_percent"]))
        assert float(str(other["miou_gain_points"])) == pytest.approx(points, abs=0.02)
    # White noise is what ``edgeunet evaluate`` measures.
    labels = next(p.labels for p in recipe.pathways if p.head is Task.SEGMENT)
    data = open_folder(folder, classes=(), segments=labels, frame=None, fit=Fit.CROP)
    levels = Levels((NoiseKind.FLOAT,), camera_joint.SIGMAS)
    figures = evaluate(TorchBackend(recipe, paths[0]), data, levels).figures
    for row, wanted in zip(rows[9::3], figures, strict=True):
        assert wanted.psnr_db is not None
        assert wanted.labels is not None
        assert row["psnr_db"] == round(wanted.psnr_db.mean, 3)
        assert row["miou_percent"] == round(100 * wanted.labels.mean_iou, 2)
