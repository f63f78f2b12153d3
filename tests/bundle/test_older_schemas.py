"""Bundles of schema 2, which called windows tiles and halos rows and columns, open and run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgeunet.bundle import Bundle, open_bundle
from edgeunet.bundle.manifest import SCHEMA_VERSION, WindowEntry
from edgeunet.errors import BundleError
from edgeunet.files import sha256_of
from tests.bundle.tiny import windowed_bundle, windowed_files, windowed_manifest

SIZE, WINDOW = (20, 30), (16, 24)


def tensor(name: str) -> dict[str, Any]:
    return {"name": name, "shape": [1, *WINDOW, 3], "dtype": "uint8"}


def stage(name: str, source: str, target: str) -> dict[str, Any]:
    return {
        "name": name,
        "graph": f"{name}.onnx",
        "inputs": [tensor(source)],
        "outputs": [tensor(target)],
        "tile": {"height": 16, "width": 24, "align": 1, "rows": [1, 1], "columns": [1, 1]},
    }


def held(name: str) -> dict[str, Any]:
    return {"name": name, "shape": [1, 24, 32, 3], "dtype": "uint8", "stride": 1, "axes": [1, 2]}


OLD: dict[str, Any] = {
    "schema_version": 2,
    "name": "tiny",
    "recipe": {
        "schema": 1,
        "name": "tiny",
        "title": "two blurs",
        "source": "a test",
        "network": {
            "block": "residual",
            "skip": "add",
            "width": 8,
            "encoder_blocks": [1],
            "middle_blocks": 1,
            "decoder_blocks": [1],
            "down": "conv",
            "up": "shuffle",
        },
        "pathways": [{"output": "denoised", "head": "denoise"}],
    },
    "weights": "none",
    "weights_sha256": "0" * 64,
    "height": SIZE[0],
    "width": SIZE[1],
    "precision": "fp32",
    "stages": [stage("once", "frame", "soft"), stage("twice", "soft", "denoised")],
    "outputs": [{"name": "denoised", "task": "denoise", "classes": []}],
    "parity": [],
    "memory": {
        "skip_bytes": 0,
        "peak_live_bytes": 0,
        "arena_bytes": 0,
        "io_bytes": 0,
        "weight_bytes": 0,
        "held_bytes": 0,
        "region_bytes": 0,
    },
    "tools": {},
    "frame_type": "uint8",
    "calibration": None,
    "quantization": None,
    "plan": {
        "height": 24,
        "width": 32,
        "level": 1,
        "recompute": 0,
        "tensors": [held("frame"), held("soft"), held("denoised")],
        "recompute_ratio": 1.5,
        "engine": "onnxruntime",
        "predicted_bytes": 0,
        "budget_bytes": None,
    },
}


def write_old(folder: Path, document: dict[str, Any] = OLD) -> Path:
    """Write a bundle as a version with schema 2 did; its digest is worked out by json alone."""
    path = folder / "old.bundle"
    path.mkdir(parents=True)
    for name, content in windowed_files(windowed_manifest(*SIZE, WINDOW)).items():
        assert isinstance(content, bytes)
        (path / name).write_bytes(content)
    files = {file.name: sha256_of(file) for file in sorted(path.iterdir())}
    whole = {**document, "files": files, "digest": ""}
    compact = json.dumps(whole, separators=(",", ":"))
    whole["digest"] = hashlib.sha256(compact.encode()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(whole, indent=2))
    return path


@pytest.fixture
def old(tmp_path: Path) -> Bundle:
    return open_bundle(write_old(tmp_path))


def test_an_older_bundle_opens_in_the_words_of_today(old: Bundle) -> None:
    manifest = old.manifest
    assert manifest.schema_version == SCHEMA_VERSION == 4
    window = WindowEntry(height=16, width=24, align=1, halo_rows=(1, 1), halo_columns=(1, 1))
    assert [entry.window for entry in manifest.stages] == [window, window]


def test_its_digest_stays_that_of_the_file(old: Bundle) -> None:
    """TensorRT plans that were built for it are known by it."""
    written = json.loads((old.path / "manifest.json").read_text())
    assert old.manifest.digest == written["digest"]


def test_an_older_bundle_runs(old: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from edgeunet.run.executor import Executor

    frame = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), np.uint8)
    new = windowed_bundle(tmp_path, *SIZE, WINDOW)
    answers = []
    for bundle in (old, new):
        executor = Executor(bundle, "onnxruntime")
        answers.append(executor.run(frame)["denoised"].copy())
        executor.close()
    assert answers[0].any()
    assert np.array_equal(*answers)


def test_an_older_manifest_that_was_changed_is_found(tmp_path: Path) -> None:
    path = write_old(tmp_path) / "manifest.json"
    path.write_text(path.read_text().replace('"rows"', '"columns "', 1))
    with pytest.raises(BundleError, match="broken|changed after the export"):
        open_bundle(path.parent)
    path.write_text(json.dumps({**OLD, "height": 19, "files": {}, "digest": "0" * 64}))
    with pytest.raises(BundleError, match="changed after the export"):
        open_bundle(path.parent)


@pytest.mark.parametrize("stages", [None, 3, [3], [{"name": "once", "tile": 3}], [[]]])
def test_nonsense_in_older_words_is_refused(tmp_path: Path, stages: object) -> None:
    with pytest.raises(BundleError, match="the manifest of old.bundle is broken"):
        open_bundle(write_old(tmp_path, {**OLD, "stages": stages}))


def test_schema_3_opens(tmp_path: Path) -> None:
    windows = {"height": 16, "width": 24, "align": 1, "halo_rows": [1, 1], "halo_columns": [1, 1]}
    stages = [
        {
            "window" if key == "tile" else key: windows if key == "tile" else value
            for key, value in stage.items()
        }
        for stage in OLD["stages"]
    ]
    manifest = open_bundle(
        write_old(tmp_path, {**OLD, "schema_version": 3, "stages": stages})
    ).manifest
    assert manifest.schema_version == SCHEMA_VERSION
    assert manifest.network.name == "tiny"


def test_words_of_schema_2_are_unknown_to_later_ones(tmp_path: Path) -> None:
    for version in (3, 4):
        with pytest.raises(BundleError, match="unknown field `tile`"):
            open_bundle(write_old(tmp_path / str(version), {**OLD, "schema_version": version}))


def test_what_is_written_is_of_this_schema(old: Bundle) -> None:
    document = msgspec.json.decode(old.manifest.to_json())
    assert document["schema_version"] == 4
    assert "tile" not in document["stages"][0]
