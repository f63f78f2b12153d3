"""``edgeunet memory BUNDLE`` on a device, which cannot read graphs: the manifest says it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edgeunet.bundle import open_bundle
from edgeunet.processors import PROCESSOR_CLASSES, this_processor
from edgeunet.run.promises import promise_of
from tests.cli.command import RANDOM, edgeunet

GRAPH_PACKAGES = ("onnx_ir", "onnx", "onnxscript", "torch")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("memory") / "planned.bundle"
    ran = edgeunet(*RANDOM, "--tile", "auto", "--out", path)
    assert ran.code == 0, ran.err
    return path


def test_a_device_without_onnx_says_the_same_figures(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_graphs = json.loads(edgeunet("memory", bundle, "--json").out)
    for package in GRAPH_PACKAGES:
        monkeypatch.setitem(sys.modules, package, None)

    ran = edgeunet("memory", bundle, "--json")

    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    same = ("size", "precision", "peak_live_bytes", "arena_bytes", "io_bytes", "weight_bytes")
    assert {key: document[key] for key in same} == {key: with_graphs[key] for key in same}
    assert document["processors"] == with_graphs["processors"]
    promised = document["processors"]["predicted_bytes"]
    assert set(promised) == {one.name for one in PROCESSOR_CLASSES}
    # Promised for four threads; predicted for those of this machine.
    predicted = promise_of(open_bundle(bundle).manifest).predicted_bytes
    assert document["predicted_bytes"] == predicted
    assert document["predicted_bytes"] <= promised[this_processor().name]


def test_the_tables_name_the_processor_and_what_is_missing(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in GRAPH_PACKAGES:
        monkeypatch.setitem(sys.modules, package, None)

    ran = edgeunet("memory", bundle)

    assert ran.code == 0, ran.err
    assert f"{this_processor().title} (this one)" in ran.out
    assert "pip install 'edgeunet[memory]'" in " ".join(ran.notes)


def test_a_budget_contradicts_a_bundle_there_too(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx_ir", None)

    ran = edgeunet("memory", bundle, "--budget", "5MiB")

    assert ran.code == 2
    assert ran.failure[0] == (
        "a budget, windows or processors cannot change planned.bundle: it is planned already"
    )
