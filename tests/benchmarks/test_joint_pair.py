"""The pair that a joint network is held against: as large, one task each, trained alike."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from benchmarks.joint_pair import compare, pair_recipes
from edgeunet.models import build_network
from edgeunet.models.counts import count
from edgeunet.models.weights import save_weights
from edgeunet.recipes import load_recipe
from edgeunet.specs import Task
from tests.train.toys import toy_recipe


def test_the_pair_is_as_large_and_trained_alike() -> None:
    joint = load_recipe("joint")
    denoiser, labeller = pair_recipes(joint)
    assert denoiser.tasks == (Task.DENOISE,)
    assert labeller.tasks == (Task.SEGMENT,)
    both = count(denoiser).params + count(labeller).params
    assert both == pytest.approx(count(joint).params, rel=0.05)
    for half in (denoiser, labeller):
        assert joint.train is not None
        assert half.train is not None
        assert 2 * half.train.steps == joint.train.steps
        like = {"weights": joint.train.weights, "steps": joint.train.steps}
        assert msgspec.structs.replace(half.train, **like) == joint.train
        output = half.pathways[0].output
        assert half.train.weights == {output: joint.train.weights[output]}


def test_each_figure_comes_from_the_network_of_its_task(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for kind, shape in (("images", (32, 32, 3)), ("labels", (32, 32))):
        (tmp_path / "val" / kind).mkdir(parents=True)
        for index in range(2):
            pixels = generator.integers(0, 11, shape).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "val" / kind / f"{index}.png")
    joint = toy_recipe("joint")
    networks = []
    for seed, recipe in enumerate((joint, *pair_recipes(joint))):
        path = tmp_path / f"{recipe.name}.safetensors"
        save_weights(build_network(recipe, seed=seed), recipe, path)
        networks.append((recipe, path))
    rows = compare(networks, tmp_path / "val", None)
    assert [(row["noise"], row["sigma"]) for row in rows] == [
        (noise, sigma) for noise in ("float", "uint8") for sigma in ("15", "30", "45", "60")
    ]
    for row in rows:
        gain = float(str(row["joint_psnr_db"])) - float(str(row["pair_psnr_db"]))
        assert float(str(row["psnr_gain_db"])) == pytest.approx(gain, abs=2e-3)
        assert row["joint_miou_percent"] != row["pair_miou_percent"]
    again = compare([networks[0], networks[0], networks[0]], tmp_path / "val", 1)
    assert {row["psnr_gain_db"] for row in again} == {0.0}
    assert all(row["joint_miou_percent"] == row["pair_miou_percent"] for row in again)
