"""The wheel, installed for a device on an emulated ARM64 Debian: nothing of the checkout is there.

Debian's Python, the wheels of what ``pip install "edgeunet[cpu,video]"`` takes, and no torch.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("PIL")

from PIL import Image

from edgeunet import api
from edgeunet.bundle import Bundle
from edgeunet.charts import charts
from edgeunet.images.reader import read_rgb
from edgeunet.run.executor import Executor
from tests.emulated.machines import ROOT, Machine, machine
from tests.emulated.setting_up import install_wheel

pytestmark = pytest.mark.emulated

SIZE = (64, 96)
LONGEST_SECONDS = 600
HEAVY = ("numpy", "onnxruntime", "cv2", "PIL", "av")


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    why = machine("cortex-a76").lacking()
    if why is not None:
        pytest.skip(why)
    out = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT)
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    return install_wheel(wheel, "cpu,video")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("bundle") / "frames.bundle"
    return api.export("unetmm", size=SIZE, precision="fp32", windows=(48, 48), out=path)


def said(device: Machine, folder: Path, *words: object) -> str:
    """Return what a command prints. It runs in a folder where no checkout is."""
    done = device.run("edgeunet", *map(str, words), timeout_seconds=LONGEST_SECONDS, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_loads_no_heavy_package(device: Machine, tmp_path: Path) -> None:
    told = {**device.environment, "PYTHONPROFILEIMPORTTIME": "1"}
    done = replace(device, environment=told).run(
        "edgeunet", "--help", timeout_seconds=LONGEST_SECONDS, folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.split("\n")}
    assert "edgeunet" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_doctor_knows_the_processor_and_the_engine(device: Machine, tmp_path: Path) -> None:
    text = said(device, tmp_path, "doctor")
    for word in ("aarch64", "onnxruntime"):
        assert word in text


def test_memory_is_read_from_the_manifest(device: Machine, bundle: Bundle, tmp_path: Path) -> None:
    text = said(device, tmp_path, "memory", bundle.path)
    assert "ARM64 with FP16 and dot products (this one)" in text
    assert "the frame plan" in text


def test_a_picture_comes_out_as_it_does_here(
    device: Machine, bundle: Bundle, tmp_path: Path
) -> None:
    picture = charts(*SIZE)["colours"]
    Image.fromarray(picture).save(tmp_path / "noisy.png")
    said(device, tmp_path, "run", "noisy.png", "clean.png", "--bundle", bundle.path)
    executor = Executor(bundle, "onnxruntime", threads=1)
    wanted = executor.run(np.ascontiguousarray(picture[..., ::-1]))["denoised"][0, ..., ::-1]
    steps = np.abs(read_rgb(tmp_path / "clean.png").astype(int) - wanted.astype(int))
    assert steps.max() <= 1
    assert np.mean(steps > 0) <= 1e-4
