"""Two processes train together on processors, as on two GPUs or hosts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import io

from edgeunet.errors import UsageError
from edgeunet.models import build_network
from edgeunet.recipes import load_recipe
from edgeunet.train.crops import Crops
from edgeunet.train.processes import is_main_process, left_alone
from edgeunet.train.samples import Sample
from tests.house.source import ROOT
from tests.train.toys import toy_photographs

RECIPE = """
schema = 1
name = "two"
title = "Two processes"
source = "tests"
[network]
block = "residual"
skip = "aggregate"
width = 4
encoder_blocks = [1]
middle_blocks = 1
decoder_blocks = [1]
down = "conv"
up = "shuffle"
[[pathways]]
output = "denoised"
head = "denoise"
[train]
steps = 1
batch = 2
crop = 16
"""


def loss_of_first_step(recipe_path: Path, samples: list[Sample], process: int) -> float:
    recipe = load_recipe(str(recipe_path))
    assert recipe.train is not None
    batch = Crops(samples, recipe.train, process=process).batch(0)
    with torch.no_grad():
        denoised = build_network(recipe, seed=recipe.train.seed)(torch.from_numpy(batch.noisy))
    return float((denoised["denoised"] - torch.from_numpy(batch.clean)).abs().mean())


def test_two_processes_have_batches_of_their_own_and_one_writes(tmp_path: Path) -> None:
    recipe = tmp_path / "two.toml"
    recipe.write_text(RECIPE)
    (tmp_path / "photographs").mkdir()
    pictures = toy_photographs([(24, 32), (40, 20), (30, 30)])
    for index, picture in enumerate(pictures):
        path = tmp_path / "photographs" / f"{index}.png"
        io.imsave(path, picture, check_contrast=False)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    words = ("edgeunet", "train", "two.toml", "--data", "photographs", "--out", "runs/a")
    ran = subprocess.run(
        [sys.executable, *launcher, *words],
        cwd=tmp_path,
        env={**os.environ, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"}
        | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("2 images to train on, 1 held out") == 1
    assert ran.stdout.count("model card") == 1
    written = sorted(path.name for path in (tmp_path / "runs" / "a").iterdir())
    assert written == ["checkpoint.safetensors", "curve.csv", "two-4.md", "two-4.safetensors"]
    assert ", 2 processes, " in (tmp_path / "runs" / "a" / "two-4.md").read_text()
    row = (tmp_path / "runs" / "a" / "curve.csv").read_text().splitlines()[1].split(",")
    samples = [Sample(picture) for picture in pictures[1:]]
    losses = [loss_of_first_step(recipe, samples, process) for process in (0, 1)]
    assert abs(losses[0] - losses[1]) > 1e-4
    assert float(row[1]) == pytest.approx(np.mean(losses), abs=2e-6)


def test_processes_that_do_not_see_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_main_process()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="2 processes were launched, and this one sees 1") as e:
        is_main_process()
    assert "ACCELERATE_USE_CPU=1" in e.value.hint


def test_a_process_that_is_left_alone_says_so() -> None:
    error = left_alone(RuntimeError("[gloo/pair.cc:553] Connection closed by peer [127.0.0.1]"))
    assert error is not None
    assert error.message == "another process of this run has ended"
    assert "--resume" in error.hint
    assert left_alone(RuntimeError("out of memory")) is None
