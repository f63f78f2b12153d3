"""``edgeunet run`` and ``eval`` on a simulated GPU: what a person sees of the engine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("onnxruntime")

from edgeunet.bundle import open_bundle
from edgeunet.evaluate.backends import BundleBackend
from tests.bundle.tiny import windowed_bundle
from tests.cli.command import edgeunet
from tests.engine.simulated_gpu import Gpu
from tests.engine.simulated_jetson import jetson

SOURCE = "test://?size=48x64"


def test_auto_says_that_it_takes_the_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = machine.build(windowed_bundle(tmp_path))
    ran = edgeunet("run", SOURCE, "--bundle", bundle.path, "--frames", 3, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["engine"] == "tensorrt"
    assert ran.notes == [
        "engine: tensorrt, the bundle has plans for it (TensorRT 10.3.0 on Orin, cuda-python)"
    ]
    machine.gpu.finish()


def test_auto_says_why_it_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = machine.build(windowed_bundle(tmp_path))
    jetson(monkeypatch, gpu=Gpu(name="Thor", compute_capability=(11, 0)))
    ran = edgeunet("run", SOURCE, "--bundle", bundle.path, "--frames", 2, "--json")
    assert json.loads(ran.out)["engine"] == "onnxruntime"
    (note,) = ran.notes
    assert note == (
        "engine: onnxruntime, because the plan of stage 'once' was built on Orin, and this GPU is "
        "Thor"
    )


def test_nothing_is_said_where_nobody_could_expect_a_gpu(tmp_path: Path) -> None:
    ran = edgeunet("run", SOURCE, "--bundle", windowed_bundle(tmp_path).path, "--frames", 2)
    assert ran.code == 0, ran.err
    assert ran.notes == []


def test_both_engines_write_the_same_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = jetson(monkeypatch)
    bundle = machine.build(windowed_bundle(tmp_path))
    for engine in ("tensorrt", "onnxruntime"):
        ran = edgeunet(
            "run", SOURCE, f"{tmp_path / engine}/", "--bundle", bundle.path, "--frames", 2,
            "--engine", engine,
        )  # fmt: skip
        assert ran.code == 0, ran.err
    folders = [sorted((tmp_path / engine).iterdir()) for engine in ("tensorrt", "onnxruntime")]
    assert len(folders[0]) == 2
    for one, other in zip(*folders, strict=True):
        assert one.read_bytes() == other.read_bytes()
    machine.gpu.finish()


def test_evaluation_runs_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = machine.build(windowed_bundle(tmp_path))
    image = np.random.default_rng(0).integers(0, 256, (3, 48, 64), dtype=np.uint8)
    found = []
    for engine in ("tensorrt", "onnxruntime"):
        backend = BundleBackend(bundle.path, engine)
        assert backend.engine == engine
        denoised = backend.run(image).denoised
        assert denoised is not None
        found.append(denoised)
        backend.close()
    assert np.array_equal(found[0], found[1])
    assert open_bundle(bundle.path).manifest.digest == bundle.manifest.digest
    machine.gpu.finish()
