"""Networks that remember, exported: graphs, windows, memory between frames, and parity."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
import torch

from edgeunet.bundle import Bundle
from edgeunet.bundle.figures import report_of_bundle
from edgeunet.calibration import CalibrationSet, read_set
from edgeunet.convert.exporting import ExportOrder, draft_bundle, export_bundle
from edgeunet.convert.int8_order import Int8Order
from edgeunet.convert.network_graph import NetworkGraphs, graphs_of_recipe
from edgeunet.convert.network_plan import report_of_frame
from edgeunet.errors import EngineError, UsageError
from edgeunet.metrics import psnr_db
from edgeunet.models.network import build_network
from edgeunet.models.weights import save_weights
from edgeunet.planning.request import WHOLE_FRAME, PlanRequest
from edgeunet.recipes import Recipe, TemporalKind, folder, load_recipe
from edgeunet.run.executor import Executor
from edgeunet.run.loaded_network import Network
from edgeunet.run.measured import measure
from edgeunet.specs import Engine, FrameType, Image, Precision
from tests.bundle.tiny import tiny_bundle
from tests.calibration.sets import write_set
from tests.cli.command import edgeunet
from tests.convert.compiling import compiled, parsed

HEIGHT, WIDTH = 90, 168

LOADED_BY_FRAMES = """
import pathlib, sys
import numpy as np
from edgeunet.bundle import open_bundle
from edgeunet.run.executor import Executor
executor = Executor(open_bundle(pathlib.Path(sys.argv[1])))
before = set(sys.modules)
for level in (50, 60, 200):
    executor.run(np.full((executor.height, executor.width, 3), level, np.uint8))
print(*sorted(set(sys.modules) - before))
"""


class Made(NamedTuple):
    recipe: Recipe
    weights: Path
    graphs: NetworkGraphs


def remembering(kind: TemporalKind) -> Recipe:
    """Return a recipe of three levels and width 4."""
    recipe = load_recipe("unetmm")
    network = msgspec.structs.replace(
        recipe.network,
        width=4,
        encoder_blocks=(1, 1, 1),
        decoder_blocks=(1, 1, 1),
        temporal=kind,
    )
    return msgspec.structs.replace(recipe, network=network, train=None)


def make(kind: TemporalKind, folder: Path) -> Made:
    """Return a network that trusts here and there."""
    recipe = remembering(kind)
    network = build_network(recipe, seed=1)
    assert network.recurrence is not None
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        network.recurrence.trust.strength.fill_(1.0)
        for judge in (network.recurrence.trust.doubt, network.recurrence.gate):
            for parameter in judge.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    weights = folder / "mine.safetensors"
    save_weights(network, recipe, weights)
    return Made(recipe, weights, graphs_of_recipe(recipe, weights))


@pytest.fixture(scope="module")
def fuse(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make("fuse", tmp_path_factory.mktemp("fuse"))


def drafted(
    made: Made,
    folder: Path,
    request: PlanRequest = WHOLE_FRAME,
    precision: Precision = Precision.FP32,
    int8: Int8Order | None = None,
    cpu: str = "avx2",
) -> Bundle:
    """Return a bundle. cpu: one class of processors, which is planned for in less time."""
    order = ExportOrder(made.recipe, HEIGHT, WIDTH, precision, made.weights, request)
    order = replace(order, int8=int8, cpu=cpu if int8 is None else None)
    return draft_bundle(order, folder / "it.bundle", graphs=made.graphs)


def frames(number: int) -> list[Image]:
    """Return noisy frames of a scene that moves."""
    generator = np.random.default_rng(4)
    scene = np.repeat(np.repeat(generator.integers(0, 256, (16, 24, 3)), 8, 0), 8, 1)
    found = []
    for index in range(number):
        moved = np.roll(scene, (index, 2 * index), (0, 1))[:HEIGHT, :WIDTH]
        noisy = moved + generator.normal(0, 15, moved.shape)
        found.append(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    return found


@pytest.fixture(scope="module")
def whole(fuse: Made, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return drafted(fuse, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def windowed(fuse: Made, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return drafted(fuse, tmp_path_factory.mktemp("windowed"), PlanRequest(window=(96, 152)))


def test_windows_say_what_whole_frames_say_over_many_frames(
    whole: Bundle, windowed: Bundle
) -> None:
    assert [stage.name for stage in whole.manifest.stages] == ["align", "fuse", "whole"]
    names = [stage.name for stage in windowed.manifest.stages if stage.window is not None]
    assert {"fuse-encode", "fuse-decode", "encode", "decode"} <= set(names)
    one, other = (Executor(bundle, "onnxruntime", threads=1) for bundle in (whole, windowed))
    answers = []
    for image in frames(30):
        # A byte that is rounded otherwise would move blocks in the frames after it.
        given, wanted = other.run(image)["denoised"], one.run(image)["denoised"]
        assert np.array_equal(given, wanted)
        answers.append(wanted.copy())
    assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(answers))


def test_a_memory_is_right_wherever_the_answers_go(whole: Bundle, windowed: Bundle) -> None:
    """What is kept is copied from the output, which two arrays of the caller hold in turn."""
    for bundle in (whole, windowed):
        one, other = (Executor(bundle, "onnxruntime", threads=1) for _ in range(2))
        arrays = [np.zeros((1, HEIGHT, WIDTH, 3), np.uint8) for _ in range(2)]
        for number, image in enumerate(frames(5)):
            array = arrays[number % 2]
            given = one.run(image, {"denoised": array})["denoised"]
            assert given is array
            assert np.array_equal(given, other.run(image)["denoised"])
            memories = zip(one.memory().items(), other.memory().items(), strict=True)
            assert all(a == b and np.array_equal(x, y) for (a, x), (b, y) in memories)


def test_frames_take_what_is_predicted_and_load_nothing(fuse: Made, tmp_path: Path) -> None:
    """Looking for cuts once loaded a part of numpy with the second frame, of more than 1 MiB."""
    bundle = drafted(fuse, tmp_path, cpu="here")
    words = [sys.executable, "-c", LOADED_BY_FRAMES, str(bundle.path)]
    ran = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    assert ran.stdout.split() == []
    found = measure(bundle.path, threads=2)
    assert found.predicted_bytes is not None
    assert found.measured_bytes <= found.predicted_bytes


def test_a_memory_is_forgotten_copied_and_given_back(whole: Bundle) -> None:
    executor = Executor(whole, "onnxruntime", threads=1)
    first, second, third = frames(3)
    assert executor.remembers
    fresh = executor.run(first)["denoised"].copy()
    executor.run(second)
    kept = executor.memory()
    assert sorted(kept) == ["count", "fused", "previous", "scene"]
    after = executor.run(third)["denoised"].copy()
    executor.restart()
    assert np.array_equal(executor.run(first)["denoised"], fresh)
    executor.remember(kept)
    assert np.array_equal(executor.run(third)["denoised"], after)
    with Network(whole, engine="onnxruntime", threads=1) as network:
        network.run(third)
        network.remember(kept)
        assert network.memory().keys() == kept.keys()
        assert np.array_equal(network.run(third)["denoised"], after[0])
    executor.restart()
    alone = executor.run(third)["denoised"].copy()
    assert not np.array_equal(alone, after)
    with pytest.raises(EngineError, match="not one of it.bundle") as caught:
        executor.remember({"previous": kept["previous"]})
    assert "memory()" in caught.value.hint


def test_a_first_frame_is_that_of_the_network_without_memory(fuse: Made, whole: Bundle) -> None:
    executor = Executor(whole, "onnxruntime", threads=1)
    (image,) = frames(1)
    network = build_network(fuse.recipe).eval()
    from edgeunet.models.weights import load_weights

    load_weights(network, fuse.weights)
    planes = np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1), np.float32) / 255
    with torch.no_grad():
        output = network(torch.from_numpy(planes)[None])["denoised"][0].clamp(0, 1)
    wanted = (output * 255).round().numpy()[::-1].transpose(1, 2, 0)
    assert np.abs(executor.run(image)["denoised"][0] - wanted).max() <= 1


def test_the_memory_report_counts_the_state(fuse: Made, whole: Bundle, windowed: Bundle) -> None:
    size = 2 * 96 * 168 * 3 + 48 * 84
    for report in (
        report_of_bundle(whole),
        report_of_bundle(windowed),
        report_of_frame(fuse.graphs, HEIGHT, WIDTH, Precision.FP32),
    ):
        assert report.state_bytes == size
        assert report.document()["state_bytes"] == size
        assert ("state", size) in [(name, bytes_) for name, _, bytes_ in report.figures()]
        roles = [tensor.name for tensor in report.live_at_peak if str(tensor.role) == "state"]
        assert sorted(roles) == ["count", "fused", "previous"]
        assert report.predicted_bytes is not None
        assert report.predicted_bytes > report.peak_live_bytes > size
    executor = Executor(whole, "onnxruntime", threads=1)
    assert sum(array.nbytes for array in executor.memory().values()) == size


@pytest.mark.parametrize(
    ("kind", "precision"), [("blend", Precision.FP32), ("fuse", Precision.FP16)]
)
def test_an_export_compares_clips_with_torch(
    kind: TemporalKind, precision: Precision, fuse: Made, tmp_path: Path
) -> None:
    made = fuse if kind == "fuse" else make(kind, tmp_path)
    order = ExportOrder(made.recipe, HEIGHT, WIDTH, precision, made.weights)
    exported = export_bundle(
        order, tmp_path / "it.bundle", open_runner=Executor, graphs=made.graphs
    )
    names = {figure.frame for figure in exported.parity}
    assert {"black", "black, third frame", "noise, third frame"} <= names
    assert all(figure.holds for figure in exported.parity)
    states = [(state.name, state.made_by) for state in exported.bundle.manifest.states]
    assert states == [
        ("previous", "denoised"),
        ("count", "count_next"),
        *([("fused", "fused_next")] if kind == "fuse" else []),
    ]


def test_the_shipped_weights_are_exported_with_parity(tmp_path: Path) -> None:
    recipe = load_recipe("unetmm-video").with_width(8)
    weights = recipe.trained_weights(folder("export"))
    assert weights is not None
    order = ExportOrder(recipe, 48, 64, Precision.FP16, weights)
    exported = export_bundle(order, tmp_path / "it.bundle", open_runner=Executor)
    assert {"black, third frame", "noise, third frame"} <= {one.frame for one in exported.parity}
    assert all(figure.holds for figure in exported.parity)


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> CalibrationSet:
    return read_set(write_set(tmp_path_factory.mktemp("set")))


@pytest.mark.parametrize(
    "request_",
    [WHOLE_FRAME, pytest.param(PlanRequest(window=(96, 152)), marks=pytest.mark.slow)],
)
def test_int8_follows_the_network_over_a_clip(
    fuse: Made, whole: Bundle, calibration: CalibrationSet, request_: PlanRequest, tmp_path: Path
) -> None:
    int8 = Int8Order(calibration, tmp_path, Engine.ONNXRUNTIME)
    order = ExportOrder(fuse.recipe, HEIGHT, WIDTH, Precision.INT8, fuse.weights, request_, None)
    order = replace(order, int8=int8, cpu="avx2")
    said: list[str] = []
    exported = export_bundle(
        order,
        tmp_path / "it.bundle",
        open_runner=Executor,
        graphs=fuse.graphs,
        report=said.append,
    )
    bundle = exported.bundle
    assert all(figure.holds for figure in exported.parity)
    assert {"noise, third frame", "fields"} <= {figure.frame for figure in exported.parity}
    reason = "handles images and the memory of frames"
    kept = [text for text in said if text.endswith(reason)]
    assert [text.split(".")[-3] for text in kept if "gate" in text] == ["gate"] * 3
    assert any(".stem.weight" in text for text in kept)
    assert any(".head.weight" in text for text in kept)
    assert bundle.manifest.quantization is not None
    assert bundle.manifest.quantization.macs_share > 0.5
    one, other = (Executor(b, "onnxruntime", threads=1) for b in (bundle, whole))
    for image in frames(10):
        given, wanted = one.run(image)["denoised"], other.run(image)["denoised"]
        difference = psnr_db(given, wanted, peak=255)
        assert 38 < difference < 70


@pytest.mark.slow
@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("request_", [WHOLE_FRAME, PlanRequest(window=(96, 152))])
def test_tensorrt_compiles_every_stage(
    fuse: Made,
    calibration: CalibrationSet,
    precision: Precision,
    request_: PlanRequest,
    tmp_path: Path,
) -> None:
    ir = pytest.importorskip("onnx_ir")
    int8 = None
    if precision is Precision.INT8:
        int8 = Int8Order(calibration, None, Engine.TENSORRT)
    bundle = drafted(fuse, tmp_path, request_, precision, int8)
    for stage in bundle.manifest.stages:
        compiled(parsed(ir.load(bundle.file(stage.graph))))


def test_what_does_not_work_is_refused(fuse: Made) -> None:
    with pytest.raises(UsageError, match="remembers frames in bytes") as caught:
        graphs_of_recipe(fuse.recipe, fuse.weights, FrameType.FLOAT32)
    assert caught.value.hint == "export without --frame float"


def test_a_run_remembers_unless_it_is_told_not_to(whole: Bundle, tmp_path: Path) -> None:
    source = f"test://?size={HEIGHT}x{WIDTH}&frames=3"
    words = ("run", source, "--bundle", whole.path, "--noise", "20", "--frames", "3", "--json")
    figures = []
    for temporal in ("on", "off"):
        ran = edgeunet(*words, "--temporal", temporal, "--threads", "1")
        assert ran.code == 0, ran.err
        figures.append(json.loads(ran.out)["psnr_db"]["after"])
    assert figures[0] != figures[1]
    refused = edgeunet(*words, "--temporal", "maybe")
    assert refused.code == 2
    assert "--temporal 'maybe' is not known" in refused.err


def test_a_network_without_memory_has_none_to_switch_off(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path)
    ran = edgeunet("run", "test://?frames=1", "--bundle", bundle.path, "--temporal", "off")
    assert ran.code == 2
    assert "remembers no frames" in ran.err
    assert "leave --temporal out" in ran.err


def test_after_a_cut_the_first_frame_is_taken_alone(whole: Bundle) -> None:
    executor = Executor(whole, "onnxruntime", threads=1)
    bright = np.tile(np.linspace(0, 255, WIDTH, dtype=np.uint8)[None, :, None], (HEIGHT, 1, 3))
    dark = bright[:, ::-1].copy()
    alone = executor.run(dark)["denoised"].copy()
    executor.restart()
    for _ in range(3):
        executor.run(bright)
    assert np.array_equal(executor.run(dark)["denoised"], alone)
    assert not np.array_equal(executor.run(dark)["denoised"], alone)
