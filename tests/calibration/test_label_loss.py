"""What a label map loses in 8 bits is measured beside the denoised frame's dB, and kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from edgeunet.bundle import open_bundle
from edgeunet.calibration import load_calibration_set
from edgeunet.calibration.ranges import held_back
from edgeunet.calibration.set_frames import pairs
from edgeunet.convert.network_graph import graphs_of_recipe
from edgeunet.graph.summary import write_model
from edgeunet.models import build_network
from edgeunet.models.weights import save_weights
from edgeunet.ort.frame_runner import runner_of
from edgeunet.recipes import load_recipe
from edgeunet.run.executor import Executor
from edgeunet.specs import Array, Precision
from tests.calibration.sets import SIDE, write_set
from tests.cli.command import Ran, edgeunet
from tests.recipe_files import DENOISE, SEGMENT, recipe_text

# Weights that nobody trained have no quality to lose.
TOLERANCE = """
[tolerance]
int8_db = 15.0
int8_label_share = 1.0
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """A network with two answers, and an INT8 bundle of it with its ranking."""
    folder = tmp_path_factory.mktemp("labels")
    text = recipe_text(DENOISE + SEGMENT + TOLERANCE, name="tiny", width=4)
    (folder / "tiny.toml").write_text(text)
    recipe = load_recipe(str(folder / "tiny.toml"))
    save_weights(build_network(recipe, seed=1), recipe, folder / "tiny.safetensors")
    write_set(folder)
    ran = edgeunet(
        *("export", "--model", folder / "tiny.toml", "--weights", folder / "tiny.safetensors"),
        *("--int8", "--calibration", folder / "street.toml", "--size", f"{SIDE}x{SIDE}"),
        *("--sensitivity", folder / "losses.json", "--out", folder / "tiny.bundle"),
    )
    assert ran.code == 0, ran.err
    return folder, ran


def mean_iou(given: list[Array], wanted: list[Array]) -> float:
    """Over classes that either has, without the library's own confusion matrix."""
    some, others = np.stack(given), np.stack(wanted)
    shares = [
        np.sum((some == label) & (others == label)) / np.sum((some == label) | (others == label))
        for label in np.union1d(some, others)
    ]
    return float(np.mean(shares))


def test_points_of_miou_are_to_the_float_labels(place: tuple[Path, Ran]) -> None:
    folder, ran = place
    recipe = load_recipe(str(folder / "tiny.toml"))
    graphs = graphs_of_recipe(recipe, folder / "tiny.safetensors")
    write_model(graphs.at(SIDE, SIDE, Precision.FP32), folder / "float.onnx")
    in_floats = runner_of(folder / "float.onnx", ["labels"])
    calibration = load_calibration_set(str(folder / "street.toml"))
    _, held = held_back(calibration)
    noisy = [n for n in held if calibration.members[n].sigma > 0]
    shown = [frame for _, frame in pairs(calibration, noisy)]
    executor = Executor(open_bundle(folder / "tiny.bundle"))
    try:
        given = [executor.run(frame)["labels"][0].copy() for frame in shown]
    finally:
        executor.close()
    wanted = [in_floats(frame)[0][0] for frame in shown]
    points = 100 * (1 - mean_iou(given, wanted))
    document = json.loads((folder / "losses.json").read_text())
    assert points > 0
    assert document["miou_points"] == pytest.approx(points, abs=1e-6)
    assert f"{points:.2f} points of mIoU to the float labels" in ran.err


def test_every_convolution_has_its_points(place: tuple[Path, Ran]) -> None:
    folder, ran = place
    layers = json.loads((folder / "losses.json").read_text())["convolutions"]
    points = {layer["name"]: layer["miou_points"] for layer in layers}
    assert all(0 <= value <= 100 for value in points.values())
    # The one that makes the labels changes nothing in the image.
    last = next(layer for layer in layers if "pathways.1.head" in layer["name"])
    assert last["loss_db"] == 0
    assert last["miou_points"] > 0
    assert "points of mIoU" in ran.out
