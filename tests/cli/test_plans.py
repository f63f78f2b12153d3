"""--budget, --tile and --board of ``edgeunet memory`` and ``export``: plans and refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

pytest.importorskip("torch")

from edgeunet.boards import board_ids, find_board
from edgeunet.bundle import open_bundle
from edgeunet.cli.choices import read_plan_request
from edgeunet.convert import network_graph
from edgeunet.convert.frame_module import FrameModule
from edgeunet.errors import UsageError
from edgeunet.planning.request import WHOLE_FRAME, PlanRequest
from edgeunet.recipes import Recipe, folder
from edgeunet.run.executor import Executor
from edgeunet.units import MIB
from tests.cli.command import Ran, contents, edgeunet

SIZE = ("--size", "120x190")
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
VERBS = ["memory", "export"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that plans are made of in a moment: two levels, few channels."""
    text = (folder("export") / "unetmm.toml").read_text()
    lines = [line for line in text.splitlines() if not _of_weights(line)]
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text("\n".join(_small(line) for line in lines))
    return path


def _of_weights(line: str) -> bool:
    """Whether a line heads [weights] or names the file of a width."""
    return line.startswith("[weights]") or line.partition(" ")[0].isdecimal()


def _small(line: str) -> str:
    blocks = {"encoder_blocks": "[1, 1]", "middle_blocks": "1", "decoder_blocks": "[1, 1]"}
    key = line.partition(" ")[0]
    if key == "name":
        return 'name = "tiny"'
    return f"{key} = {blocks[key]}" if key in blocks else line


@pytest.fixture(scope="module", autouse=True)
def _exported_once() -> Iterator[None]:
    """Torch's exporter takes a second or two: every graph that is planned is made once."""
    make = network_graph._exported
    known: dict[tuple[object, ...], ir.Model] = {}

    def make_once(
        module: FrameModule, recipe: Recipe, height: int, width: int, inputs: tuple[str, ...]
    ) -> ir.Model:
        key = (recipe.name, recipe.network.width, height, width, inputs)
        if key not in known:
            known[key] = make(module, recipe, height, width, inputs)
        return known[key].clone()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_graph, "_exported", make_once)
        yield


def words(verb: str, recipe: Path) -> list[object]:
    target = [recipe] if verb == "memory" else ["--model", recipe, "--random-weights"]
    return [verb, *target, *SIZE, "--width", "4"]


@pytest.fixture(scope="module")
def windowed(recipe: Path) -> dict[str, Any]:
    """What ``memory`` says of a plan in fixed windows."""
    ran = edgeunet(*words("memory", recipe), "--tile", "64x96", "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert isinstance(document, dict)
    return document


@pytest.fixture(scope="module")
def exported(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    path = tmp_path_factory.mktemp("export") / "windowed.bundle"
    return path, edgeunet(*words("export", recipe), "--tile", "64x96", "--out", path)


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


WRONG = {
    "two limits": (
        ("--budget", "1GiB", "--board", "nano-4gb"),
        "a budget and a board both give a byte limit",
        "leave one of them out",
    ),
    "no memory": (("--budget", "0"), "a budget of 0 bytes is no memory at all", "128MiB"),
    "not even a byte": (("--budget", "0.2"), "a budget of 0 bytes is no memory at all", "128MiB"),
    "less than nothing": (("--budget=-5MiB",), "'-5MiB' is not a size in bytes", "128MiB"),
    "no bytes": (("--budget", "12 parsecs"), "'12 parsecs' is not a size in bytes", "128MiB"),
    "decimal units": (("--budget", "128MB"), "'128MB' is not a size in bytes", "128MiB"),
    "more than there is": (
        ("--budget", "9" * 400 + "GiB"),
        "9... is more memory than there is",
        "128MiB",
    ),
    "no board": (("--board", "orin-nano"), "there is no board 'orin-nano'", "orin-nano-4gb"),
    "no tile": (("--tile", "wide"), "--tile 'wide' is no tile size", "256x256, or auto, or none"),
    "half a tile": (("--tile", "256"), "--tile '256' is no tile size", "auto, or none"),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("options", "error", "hint"), WRONG.values(), ids=WRONG)
def test_a_wrong_option(
    verb: str, options: tuple[str, ...], error: str, hint: str, recipe: Path, there: Path
) -> None:
    ran = edgeunet(*words(verb, recipe), *options)
    assert ran.code == 2
    assert error in ran.failure[0]
    assert hint in ran.failure[1]
    assert ran.notes == [], "nothing was begun"
    assert contents(there) == {}


def test_an_unknown_board_lists_them_all() -> None:
    ran = edgeunet("memory", "unetmm", "--board", "raspberry")
    assert ran.code == 2
    assert all(board in ran.failure[1] for board in board_ids())


REFUSED = {
    "too small a window": (
        ("--tile", "8x8"),
        2,
        "windows of 8x8 are too small, so tiny cannot run in them",
        r"use {window} or more, in multiples of 8",
    ),
    "no multiple": (
        ("--tile", "101x101"),
        2,
        "windows of 101x101 are no multiples of 8, so tiny cannot run in them",
        r"use {window} or more, in multiples of 8",
    ),
    "too small a budget": (
        ("--budget", "200KiB"),
        1,
        "200.0 KiB is too little for tiny at 120x190",
        r"the smallest budget that fits is {mib}",
    ),
    "too small a budget for windows": (
        ("--budget", "200KiB", "--tile", "64x64"),
        1,
        "200.0 KiB is too little for tiny at 120x190 in windows of 64x64",
        r"the smallest budget that fits is {mib}",
    ),
    "too small a budget for the whole": (
        ("--budget", "1MiB", "--tile", "none"),
        1,
        "whole frames are predicted to take",
        r"a budget of {mib} fits them; without --tile none, windows may fit this one",
    ),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("options", "code", "error", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_no_plan_can_do(
    verb: str,
    options: tuple[str, ...],
    code: int,
    error: str,
    hint: str,
    recipe: Path,
    there: Path,
) -> None:
    """Two lines, no bundle, nothing left in the folder it would have been in."""
    ran = edgeunet(*words(verb, recipe), *options)
    assert ran.code == code
    said, helps = ran.failure
    assert said.startswith(error)
    before, _, after = hint.partition("{")
    assert helps.startswith(before)
    assert helps.endswith(after.partition("}")[2])
    assert contents(there) == {}
    if verb == "memory" and after:
        works = helps.removeprefix(before).split()[0]
        option = "--tile" if after.startswith("window") else "--budget"
        window = options[2:] if option == "--budget" else ()
        again = edgeunet(*words(verb, recipe), option, works, *window, "--json")
        assert again.code == 0, again.err


@pytest.mark.parametrize("options", [("--budget", "1GiB"), ("--tile", "auto")])
def test_a_bundle_is_planned_already(options: tuple[str, ...], exported: tuple[Path, Ran]) -> None:
    ran = edgeunet("memory", exported[0], *options)
    assert ran.code == 2
    assert "a budget, windows or processors cannot change windowed.bundle" in ran.failure[0]


@pytest.mark.parametrize(
    ("budget", "window", "board", "wanted"),
    [
        (None, None, None, WHOLE_FRAME),
        ("64MiB", None, None, PlanRequest(budget_bytes=64 * MIB)),
        ("64MiB", "auto", None, PlanRequest(budget_bytes=64 * MIB, auto=True)),
        (None, "auto", None, PlanRequest(auto=True)),
        (None, "none", None, WHOLE_FRAME),
        ("64MiB", "none", None, PlanRequest(budget_bytes=64 * MIB, whole=True)),
        (None, "96x128", None, PlanRequest(window=(96, 128))),
        ("64MiB", "96x128", None, PlanRequest(budget_bytes=64 * MIB, window=(96, 128))),
    ],
)
def test_what_the_options_ask_for(
    budget: str | None, window: str | None, board: str | None, wanted: PlanRequest
) -> None:
    assert read_plan_request(budget, window, board) == wanted


def test_a_board_is_a_budget_with_weights() -> None:
    usable = find_board("orin-nano-4gb").usable_bytes
    for window, wanted in (
        (None, PlanRequest(usable, weights_included=True)),
        ("auto", PlanRequest(usable, auto=True, weights_included=True)),
        ("none", PlanRequest(usable, whole=True, weights_included=True)),
        ("64x96", PlanRequest(usable, window=(64, 96), weights_included=True)),
    ):
        assert read_plan_request(None, window, "orin-nano-4gb") == wanted
    with pytest.raises(UsageError):
        read_plan_request("1GiB", "auto", "orin-nano-4gb")


@pytest.mark.parametrize(
    ("options", "error", "hint"),
    [
        (("--tile", "64x96"), "tuning chooses the windows", "leave one of them out"),
        (("--tile", "none"), "tuning chooses the windows", "leave one of them out"),
        (("--fp16",), "--tune times onnxruntime on this machine", "export --fp32"),
    ],
)
def test_tuning_what_cannot_be_tuned(
    options: tuple[str, ...], error: str, hint: str, recipe: Path, there: Path
) -> None:
    ran = edgeunet(*words("export", recipe), "--tune", *options)
    assert ran.code == 2
    assert error in ran.failure[0]
    assert hint in ran.failure[1]
    assert contents(there) == {}


def test_a_tuned_export_of_whole_frames_says_that_they_are_the_fastest(
    recipe: Path, there: Path
) -> None:
    ran = edgeunet(*words("export", recipe), "--size", "16x16", "--tune")
    assert ran.code == 0, ran.err
    whole = "frames of 16x16 run whole: of what was timed that is the fastest" in ran.err
    assert whole == (open_bundle(next(there.iterdir())).manifest.plan is None)


def test_a_tuned_export_keeps_its_budget(recipe: Path, there: Path) -> None:

    ran = edgeunet(*words("export", recipe), "--tune", "--budget", "3MiB", "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["plan"]["predicted_bytes"] <= document["plan"]["budget_bytes"] == 3 * MIB
    refused = edgeunet(*words("export", recipe), "--tune", "--budget", "1.5MiB")
    assert refused.code == 1
    assert "is too little for" in refused.failure[0]
