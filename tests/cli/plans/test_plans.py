"""Plans of ``edgeunet memory`` and ``export``: what is said of them, and that they hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeunet.boards import find_board
from edgeunet.bundle import open_bundle
from edgeunet.run.executor import Executor
from edgeunet.units import MIB
from tests.cli.command import Ran, edgeunet
from tests.cli.plans.tiny_recipe import words

STAGE_KEYS = [
    "name",
    "tile",
    "halo",
    "windows",
    "held_bytes",
    "window_bytes",
    "live_bytes",
    "runs_once",
]


def test_memory_says_what_a_plan_is(windowed: dict[str, Any]) -> None:
    assert (windowed["model"], windowed["size"], windowed["tile"]) == ("tiny", "120x190", "64x96")
    assert windowed["halo"] > 0
    assert 0 < windowed["held_bytes"] < windowed["arena_bytes"]
    assert windowed["recompute_ratio"] > 1
    assert windowed["predicted_bytes"] > windowed["peak_live_bytes"]
    stages = windowed["stages"]
    assert [stage["name"] for stage in stages] == ["encode", "core", "decode"]
    assert [stage["tile"] for stage in stages] == ["64x96", None, "64x96"]
    assert all(list(stage) == STAGE_KEYS for stage in stages)
    assert all(stage["windows"] > 1 for stage in stages[::2])
    assert stages[1]["windows"] == 1
    assert windowed["live_at_peak"]
    assert {entry["role"] for entry in windowed["live_at_peak"]} & {"held", "window"}


def test_memory_within_a_budget_and_without_one(recipe: Path) -> None:
    found = {}
    for options in ((), ("--budget", "2MiB", "--cpu", "avx512"), ("--budget", "1GiB")):
        ran = edgeunet(*words("memory", recipe), *options, "--json")
        assert ran.code == 0, ran.err
        found[options[-1:]] = json.loads(ran.out)
    plain, small, large = found.values()
    assert small["predicted_bytes"] <= 2 * MIB < large["predicted_bytes"]
    assert small["recompute_ratio"] > large["recompute_ratio"] == 1
    assert (large["tile"], large["stages"]) == (None, [])
    assert plain["predicted_bytes"] is None
    # A whole frame is a whole frame, whether a budget allowed it or nobody asked.
    assert {**large, "predicted_bytes": None, "gains": []} == plain


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--budget", "1GiB"), "frames of 120x190 run whole: they are within the budget"),
        (
            ("--size", "16x16", "--tile", "auto"),
            "frames of 16x16 run whole: "
            "windows would take as much, or do a quarter of the arithmetic twice",
        ),
    ],
)
def test_a_frame_that_runs_whole_after_all_says_why(
    options: tuple[str, ...], reason: str, recipe: Path
) -> None:
    ran = edgeunet(*words("memory", recipe), *options)
    assert ran.code == 0, ran.err
    assert reason in ran.err
    assert reason not in edgeunet(*words("memory", recipe), "--tile", "none").err


def test_the_tables_name_the_stages(recipe: Path, windowed: dict[str, Any]) -> None:
    ran = edgeunet(*words("memory", recipe), "--tile", "64x96")
    assert ran.code == 0, ran.err
    twice = 100 * (windowed["recompute_ratio"] - 1)
    assert f"the frame plan: {twice:.1f} % of the arithmetic is done twice" in ran.out
    for stage in windowed["stages"]:
        row = next(line for line in ran.out.splitlines() if stage["name"] in line.split())
        assert (stage["tile"] or "once") in row
    for gain in windowed["gains"]:
        assert gain["measure"] in ran.out
    for word in ("held", "predicted", "what onnxruntime will take", "window buffers", "halo"):
        assert word in ran.out


def test_memory_of_a_bundle_says_the_same(
    windowed: dict[str, Any], exported: tuple[Path, Ran]
) -> None:
    ran = edgeunet("memory", exported[0], "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document.pop("model") == "windowed"
    processors = document.pop("processors")
    assert max(processors["predicted_bytes"].values()) == document["predicted_bytes"]
    # What else could have been exported is not in a bundle.
    expected = {key: value for key, value in windowed.items() if key != "model"}
    assert document == {**expected, "gains": []}


def test_an_exported_plan_runs_and_names_its_stages(exported: tuple[Path, Ran]) -> None:
    path, ran = exported
    assert ran.code == 0, ran.err
    manifest = open_bundle(path).manifest
    assert [stage.graph for stage in manifest.stages] == [
        "encode.onnx",
        "core.onnx",
        "decode.onnx",
    ]
    assert manifest.plan is not None
    assert manifest.plan.budget_bytes is None
    assert len(manifest.parity) == 9, "parity is checked on the windows"
    for word in ("planning", "encode", "core", "decode", "predicted on onnxruntime: "):
        assert word in ran.out + ran.err
    executor = Executor(open_bundle(path), threads=1)
    answer = executor.run(np.full((120, 190, 3), 100, np.uint8))["denoised"]
    executor.close()
    assert answer.shape == (1, 120, 190, 3)
    assert answer.dtype == np.uint8


def test_the_document_of_an_export_has_its_plan(recipe: Path, there: Path) -> None:
    options = ("--budget", "2MiB", "--cpu", "avx512", "--tile", "auto", "--json")
    ran = edgeunet(*words("export", recipe), *options)
    assert ran.code == 0, ran.err
    plan = json.loads(ran.out)["plan"]
    assert plan["budget_bytes"] == 2 * MIB >= plan["predicted_bytes"]
    assert plan["recompute_ratio"] >= 1
    assert plan["engine"] == "onnxruntime"
    parts = [stage["name"].partition("-")[0] for stage in plan["stages"]]
    assert list(dict.fromkeys(parts)) == ["encode", "core", "decode"]
    assert [path.name for path in there.iterdir()] == [json.loads(ran.out)["bundle"]]


def test_the_weights_are_in_the_budget_of_a_board(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = find_board("nano-4gb")
    ran = edgeunet(*words("memory", recipe), "--board", board.id, "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["predicted_bytes"] + document["weight_bytes"] <= board.usable_bytes
    assert document["tile"] is None, "there is room for the whole frame"
