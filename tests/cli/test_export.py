"""``edgeunet export`` as a person meets it: a bundle that runs, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from edgeunet.bundle import open_bundle
from edgeunet.engine import open_session
from edgeunet.recipes import folder
from tests.cli.command import RANDOM, SMALL, Ran, contents, edgeunet


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    path = tmp_path_factory.mktemp("export") / "mine.bundle"
    return path, edgeunet(*RANDOM, "--fp16", "--out", path)


def test_a_bundle_that_runs(exported: tuple[Path, Ran]) -> None:
    path, ran = exported
    assert ran.code == 0, ran.err
    bundle = open_bundle(path)
    manifest = bundle.manifest
    assert (manifest.name, manifest.network.name) == ("mine", "unetmm")
    assert (manifest.height, manifest.width, manifest.precision) == (32, 48, "fp16")
    assert (manifest.weights, manifest.weights_sha256) == ("random", "")
    assert manifest.network.width == 8
    assert manifest.memory.skip_bytes > 0
    assert manifest.memory.peak_live_bytes <= manifest.memory.arena_bytes
    assert {"edgeunet", "torch", "onnxruntime"} <= set(manifest.tools)
    with open_session(bundle.file(manifest.stages[0].graph), threads=1) as session:
        assert session.inputs == tuple(t.spec() for t in manifest.stages[0].inputs)
        assert session.outputs == tuple(t.spec() for t in manifest.stages[0].outputs)
        frame = np.full((1, 32, 48, 3), 100, np.uint8)
        denoised = session.run({"frame": frame})["denoised"]
    assert denoised.shape == frame.shape
    assert denoised.dtype == np.uint8


def test_parity_is_printed_and_stored(exported: tuple[Path, Ran]) -> None:
    path, ran = exported
    stored = open_bundle(path).manifest.parity
    frames = ["astronaut", "coffee", "black", "white", "noise"]
    frames += ["text", "texture", "colours", "stars"]
    assert [entry.frame for entry in stored] == frames
    assert {(e.output, e.metric, e.limit) for e in stored} == {("denoised", "psnr_db", 55.0)}
    assert "parity of unetmm fp16 with torch FP32" in ran.out
    rows = [line for line in ran.out.splitlines() if "PSNR dB" in line]
    assert len(rows) == len(stored)
    for row, entry in zip(rows, stored, strict=True):
        assert entry.frame in row
        assert ("equal" if entry.value is None else f"{entry.value:.4g}") in row
    for word in ("skip bytes", "peak live bytes", "arena bytes", "I/O bytes", "weight bytes"):
        assert word in ran.out
    assert ran.err.splitlines()[-1] == f"wrote {path}"


def test_json_is_one_document_and_the_name_says_what_it_is(there: Path, weights: Path) -> None:
    ran = edgeunet("export", "--model", "unetmm", *SMALL, "--weights", weights, "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert list(document) == [
        "bundle", "model", "size", "precision", "frame_type", "weights", "parity",
        "calibration", "contract", "quantization", "memory", "plan", "processors",
    ]  # fmt: skip
    assert document["plan"] is None
    assert document["bundle"] == "unetmm-w8-32x48-fp32.bundle"
    assert (document["model"], document["size"], document["precision"]) == (
        "unetmm",
        "32x48",
        "fp32",
    )
    assert document["weights"] == "mine.safetensors"
    assert len(document["parity"]) == 9
    assert document["memory"]["skip_bytes"] == 8 * 32 * 48 // 8 * 4
    assert set(document["parity"][0]) == {"frame", "output", "psnr_db", "limit"}
    assert [path.name for path in there.iterdir()] == [document["bundle"]]
    assert open_bundle(there / document["bundle"]).manifest.weights == "mine.safetensors"


def test_an_older_bundle_is_replaced(exported: tuple[Path, Ran], there: Path) -> None:
    import shutil

    target = there / "mine.bundle"
    shutil.copytree(exported[0], target)
    (target / "whole.onnx").write_bytes(b"damaged")
    (target / "engines").mkdir()
    (target / "engines" / "whole.engine").write_bytes(b"of the old graph")
    assert edgeunet(*RANDOM, "--out", target).code == 0
    assert open_bundle(target).manifest.precision == "fp32"
    assert sorted(contents(there)) == [
        "mine.bundle",
        "mine.bundle/manifest.json",
        "mine.bundle/whole.onnx",
    ]


def test_every_task_and_a_recipe_of_ones_own(there: Path) -> None:
    text = (folder("export") / "joint.toml").read_text()
    (there / "own.toml").write_text(text.replace('name = "joint"', 'name = "own"', 1))
    ran = edgeunet("export", "--model", "./own.toml", *SMALL, "--random-weights", "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["bundle"] == "own-w8-32x48-fp32.bundle"
    assert {entry["output"] for entry in document["parity"]} == {"denoised", "labels"}
    assert [o.task for o in open_bundle(there / document["bundle"]).manifest.outputs] == [
        "denoise",
        "segment",
    ]


def test_float_frames_are_said_in_the_name_and_the_manifest(there: Path) -> None:
    ran = edgeunet(*RANDOM, "--fp16", "--frame", "float", "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["frame_type"] == "float32"
    assert document["bundle"] == "unetmm-w8-32x48-fp16-float.bundle"
    manifest = open_bundle(there / document["bundle"]).manifest
    assert manifest.frame_type == "float32"
    assert min(entry.value or 99 for entry in manifest.parity) > 55
    (stage,) = manifest.stages
    assert {entry.dtype for entry in (*stage.inputs, *stage.outputs)} == {"float32"}
