"""Every processor class gives the answers that AVX-512 with VNNI gives."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import onnx

from edgeunet import api
from edgeunet.convert.parity import parity_frames
from edgeunet.processors import CPUINFO
from edgeunet.specs import Array, Precision
from tests.emulated.answers import Answers, run_bundle, run_graph
from tests.emulated.machines import MACHINES, Machine, machine

pytestmark = pytest.mark.emulated

SIZE = (192, 256)
FRAMES = ("astronaut", "coffee")
OTHERS = [one for one in MACHINES if one.name != "here"]
BUNDLES = [
    (model, precision, windows)
    for model in ("unetmm", "joint")
    for precision in (Precision.FP32, Precision.INT8)
    for windows in (None, (64, 64))
]
# FP32 sums in another order: another rounding. Nothing was seen beyond 0.0033 % of the bytes.
FLOAT_SHARE = 1e-4
# Sums of two tensors round halves otherwise: 12 % of `joint` was seen on ARM64, by one step.
INT8_SHARE = 0.15
LARGEST, WEIGHT, CHANNELS = 255, 127, 16


def ready(one: Machine) -> Machine:
    why = one.lacking()
    if why is not None:
        pytest.skip(f"{one.name}: {why}")
    return one


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One 1x1 convolution whose sums of two products do not fit 16 bits."""
    helper, types = onnx.helper, onnx.TensorProto
    constants = {
        "one": np.float32(1),
        "zero": np.uint8(0),
        "signed_zero": np.int8(0),
        "weights": np.full((CHANNELS, CHANNELS, 1, 1), WEIGHT, np.int8),
        "scale": np.float32(LARGEST * WEIGHT * CHANNELS / 100),
    }
    inputs = ["x", "one", "zero", "weights", "one", "signed_zero", "scale", "zero"]
    shape = [1, CHANNELS, 4, 4]
    graph = helper.make_graph(
        [helper.make_node("QLinearConv", inputs, ["y"])],
        "sums",
        [helper.make_tensor_value_info("x", types.UINT8, shape)],
        [helper.make_tensor_value_info("y", types.UINT8, shape)],
        [onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    path = tmp_path_factory.mktemp("sums") / "sums.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


@pytest.mark.parametrize("one", MACHINES, ids=lambda one: one.name)
def test_its_class_is_found_and_sums_are_exact(one: Machine, sums: Path, tmp_path: Path) -> None:
    feeds = {"x": np.full((1, CHANNELS, 4, 4), LARGEST, np.uint8)}
    found = run_graph(ready(one), sums, feeds, tmp_path)
    assert found.processor == one.kind.name
    assert np.unique(found.arrays["y"]).tolist() == [100]


@pytest.mark.parametrize("one", [m for m in OTHERS if m.cpuinfo], ids=lambda one: one.name)
def test_fast_sums_saturate_where_the_class_says_so(
    one: Machine, sums: Path, tmp_path: Path
) -> None:
    """Taken for a processor with VNNI, it is not asked for exact sums."""
    feeds = {"x": np.full((1, CHANNELS, 4, 4), LARGEST, np.uint8)}
    vnni = ready(machine("here"))
    found = run_graph(ready(one), sums, feeds, tmp_path, cpuinfo=CPUINFO.read_text())
    assert found.processor == vnni.kind.name
    saturated = int(np.unique(found.arrays["y"])[0]) < 100
    assert saturated == one.kind.sums_saturate


def test_an_export_is_refused_whose_kernels_saturate(tmp_path: Path) -> None:
    """It takes itself for a processor with VNNI: this computer's."""
    ready(machine("here"))
    target = tmp_path / "wrong.bundle"
    words = ("export", "--model", "unetmm", "--int8", "--size", "128x160", "--out", str(target))
    done = ready(machine("avx2")).run("edgeunet", *words, timeout_seconds=600)
    assert done.returncode == 1, done.stderr
    assert "error: the integer kernels compute something else" in done.stderr
    assert "kernels_db" in done.stderr
    assert not target.exists()


@functools.cache
def frames() -> dict[str, Array]:
    every = parity_frames(*SIZE)
    return {name: every[name] for name in FRAMES}


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda case: "-".join(map(str, case)))
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Precision, Answers]:
    """A bundle, its precision, and what it answers here."""
    model, precision, windows = request.param
    folder = tmp_path_factory.mktemp("bundle")
    bundle = api.export(
        model, size=SIZE, precision=precision, windows=windows, out=folder / "frames.bundle"
    )
    return bundle.path, precision, run_bundle(ready(machine("here")), bundle.path, frames(), folder)


@pytest.mark.parametrize("one", OTHERS, ids=lambda one: one.name)
def test_a_bundle_answers_as_it_does_here(
    one: Machine, exported: tuple[Path, Precision, Answers], tmp_path: Path
) -> None:
    bundle, precision, here = exported
    there = run_bundle(ready(one), bundle, frames(), tmp_path)
    assert set(there.arrays) == set(here.arrays)
    saturating = precision is Precision.INT8 and one.kind.sums_saturate
    assert any("saturate" in note for note in there.notes) == saturating
    for name, wanted in here.arrays.items():
        given = there.arrays[name]
        steps = np.abs(given.astype(int) - wanted.astype(int))
        share = float(np.mean(steps > 0))
        largest = FLOAT_SHARE if precision is Precision.FP32 else INT8_SHARE
        assert share <= largest, f"{name}: {share:.3%} of the values differ"
        assert steps.max() <= 1 or name.endswith("labels"), f"{name} differs by {steps.max()}"
