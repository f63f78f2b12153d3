"""``edgeunet export --int8`` from end to end, on a network of two levels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")

from edgeunet.bundle import open_bundle
from edgeunet.calibration import load_calibration_set
from edgeunet.calibration.ranges import Ranges, write_ranges
from edgeunet.calibration.set_frames import frames
from edgeunet.charts import CHARTS
from edgeunet.convert import recalled_inputs
from edgeunet.convert.network_graph import graphs_of_recipe
from edgeunet.convert.sensitivity import select_floats
from edgeunet.graph.int8_placement import Points
from edgeunet.graph.summary import write_model
from edgeunet.models import build_network
from edgeunet.models.weights import save_weights
from edgeunet.ort.frame_runner import runner_of
from edgeunet.recipes import load_recipe
from edgeunet.run.executor import Executor
from edgeunet.specs import Engine, Precision
from tests.calibration.sets import write_set
from tests.cli.command import Ran, contents, edgeunet
from tests.recipe_files import DENOISE, recipe_text

# Weights that nobody trained have no quality to lose.
TOLERANCE = """
[tolerance]
int8_db = 20.0
"""

KEPT = "tiny-8-street.json"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, weights, a set, its ranges, and a bundle made with them."""
    folder = tmp_path_factory.mktemp("int8")
    (folder / "tiny.toml").write_text(recipe_text(DENOISE + TOLERANCE, name="tiny", width=8))
    recipe = load_recipe(str(folder / "tiny.toml"))
    for seed in (1, 2):
        save_weights(build_network(recipe, seed=seed), recipe, folder / f"{seed}.safetensors")
    write_set(folder)
    ran = export(folder, "--size", "64x96", "--out", folder / "whole.bundle")
    assert ran.code == 0, ran.err
    (folder / "notes").write_text(ran.err)
    return folder


@pytest.fixture
def copy(place: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    shutil.copytree(place, tmp_path / "copy")
    return tmp_path / "copy"


def export(folder: Path, *words: object, seed: int = 1, calibration: str = "street") -> Ran:
    return edgeunet(
        *("export", "--model", folder / "tiny.toml", "--weights", folder / f"{seed}.safetensors"),
        *("--int8", "--calibration", folder / f"{calibration}.toml", *words),
    )


def test_the_bundle_says_how_it_was_quantized(place: Path) -> None:
    manifest = open_bundle(place / "whole.bundle").manifest
    assert (str(manifest.precision), manifest.calibration) == ("int8", "street")
    found = manifest.quantization
    assert found is not None
    assert found.target == "onnxruntime"
    assert 0.97 < found.macs_share < 1.0
    assert found.convolutions[0] == found.convolutions[1] - 1 > 20
    (kept,) = found.kept
    reason = "makes the image, whose own steps are finer than 8 bits of its noise"
    assert f"kept in floats: {kept} {reason}" in (place / "notes").read_text()
    limits = {entry.frame: entry.limit for entry in manifest.parity}
    assert limits.keys() > set(CHARTS)
    assert {name: limit for name, limit in limits.items() if limit is None} == dict.fromkeys(CHARTS)
    *against_torch, kernels = manifest.parity
    for entry in against_torch:
        assert entry.value is None or entry.limit is None or entry.value > entry.limit == 20
    assert (kernels.frame, kernels.metric, kernels.limit) == ("fields", "kernels_db", 45)
    # Rounding differs; without any difference the floats would not have been floats.
    assert kernels.value is not None
    assert 45 < kernels.value < 100
    assert manifest.tools["onnxruntime"]


def test_ranges_are_kept_with_the_set(place: Path) -> None:
    ranges = json.loads((place / "ranges" / KEPT).read_text())
    assert ranges["frames"] == [4, 2]
    fidelity = ranges["fidelity_db"]["onnxruntime"]
    assert set(fidelity) == {"minmax", "percentile", "entropy", "mse"}
    found = open_bundle(place / "whole.bundle").manifest.quantization
    assert found is not None
    assert found.calibrator == max(fidelity, key=lambda name: fidelity[name])
    assert "measuring ranges on 6 frames of street" in (place / "notes").read_text()


@pytest.mark.parametrize("target", ["onnxruntime", "tensorrt"])
def test_windows_give_what_the_whole_frame_gives(
    copy: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*arguments: object) -> None:
        raise AssertionError("the frames are not needed any more")

    monkeypatch.setattr(recalled_inputs, "pairs", nobody)
    words = ("--target", target, "--size", "64x96", "--out")
    whole = export(copy, *words, copy / "whole.bundle")
    windowed = export(copy, *words, copy / "windowed.bundle", "--tile", "32x32")
    assert (whole.code, windowed.code) == (0, 0), whole.err + windowed.err
    assert "measuring" not in whole.err + windowed.err
    plan = open_bundle(copy / "windowed.bundle").manifest.plan
    assert plan is not None
    assert plan.engine == target
    held = {t.name: t.dtype for t in plan.tensors if t.name not in ("frame", "denoised")}
    assert set(held.values()) == {"uint8" if target == "onnxruntime" else "int8"}
    frame = np.random.default_rng(3).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    answers = []
    for name in ("whole", "windowed"):
        executor = Executor(open_bundle(copy / f"{name}.bundle"))
        answers.append(executor.run(frame)["denoised"].copy())
        executor.close()
    assert np.array_equal(*answers)
    assert answers[0].std() > 1


def edited(folder: Path) -> None:
    path = folder / "ranges" / KEPT
    path.write_text(
        path.read_text()
        .replace('"minmax": [\n', '"minmax": [\n ', 1)
        .replace('"frames": [\n  4', '"frames": [\n  5')
    )


def cut_off(folder: Path) -> None:
    path = folder / "ranges" / KEPT
    path.write_bytes(path.read_bytes()[:500])


def other_frames(folder: Path) -> None:
    write_set(folder, shift=1)


def other_network(folder: Path) -> None:
    text = (folder / "tiny.toml").read_text()
    deeper = text.replace("middle_blocks = 1", "middle_blocks = 2")
    (folder / "tiny.toml").write_text(deeper)
    recipe = load_recipe(str(folder / "tiny.toml"))
    save_weights(build_network(recipe, seed=1), recipe, folder / "1.safetensors")


def other_weights(folder: Path) -> None:
    shutil.copy(folder / "2.safetensors", folder / "1.safetensors")


def other_width(folder: Path) -> None:
    kept = json.loads((folder / "ranges" / KEPT).read_text())
    kept["key"]["width"] = 16
    seal(folder, kept)


def other_set(folder: Path) -> None:
    kept = json.loads((folder / "ranges" / KEPT).read_text())
    kept["key"]["calibration"] = "avenue"
    seal(folder, kept)


def older(folder: Path) -> None:
    path = folder / "ranges" / KEPT
    path.write_text(path.read_text().replace('"schema": 3', '"schema": 2'))


def seal(folder: Path, kept: dict[str, object]) -> None:
    """Write ranges as another export would have: nobody edited them."""
    ranges = msgspec.convert(kept, Ranges)
    write_ranges(folder / "ranges" / KEPT, ranges)


STALE: dict[str, tuple[Callable[[Path], None], str]] = {
    "edited": (edited, "it was changed after it was written (its digest differs)"),
    "cut off": (cut_off, "it cannot be read"),
    "other frames": (other_frames, "it was measured on other frames: the calibration set has"),
    "other set": (other_set, "it was measured on another calibration set, 'avenue'"),
    "other network": (other_network, "for another network: the operators of tiny have changed"),
    "other width": (other_width, "it was measured for another network, tiny at width 16"),
    "older": (older, "its schema is 2, this version reads 3"),
    "other weights": (other_weights, "it was measured with other weights"),
}


@pytest.mark.parametrize(("change", "reason"), STALE.values(), ids=STALE)
def test_ranges_that_do_not_fit(copy: Path, change: Callable[[Path], None], reason: str) -> None:
    change(copy)
    before = contents(copy)
    message, hint = export(copy, "--out", copy / "new.bundle").failure
    assert message.startswith(f"the ranges in {str(copy / 'ranges' / KEPT)!r} cannot be used: ")
    assert reason in message
    assert hint == "delete the file, and the next export measures anew"
    assert contents(copy) == before


def one_frame(folder: Path) -> None:
    write_set(folder, name="few", count=1)


def no_frames(folder: Path) -> None:
    write_set(folder, name="few", count=0)


def all_black(folder: Path) -> None:
    from imageio.v3 import imwrite

    imwrite(folder / "black.png", np.zeros((64, 64, 3), np.uint8))
    write_set(folder, name="few", file="black.png")


def gone(folder: Path) -> None:
    all_black(folder)
    (folder / "black.png").unlink()


def too_small(folder: Path) -> None:
    write_set(folder, name="few", side=2)


BAD_SETS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "no frames": (no_frames, "few.toml is not a valid calibration set", "calibration/README.md"),
    "one frame": (one_frame, "calibration set 'few' has 1 frame: ranges of so few", "at least 5"),
    "all black": (all_black, "every frame of calibration set 'few' is black", "like those"),
    "gone": (gone, "is gone: there is no file", "make the set anew: edgeunet calibrate"),
    "too small": (too_small, "a frame of 2x2 pixels is too small for tiny", "at least 4"),
}


@pytest.mark.parametrize(("make", "error", "hint"), BAD_SETS.values(), ids=BAD_SETS)
def test_a_set_nothing_can_be_measured_on(
    copy: Path, make: Callable[[Path], None], error: str, hint: str
) -> None:
    make(copy)
    before = contents(copy)
    ran = export(copy, "--out", copy / "new.bundle", calibration="few")
    assert error in ran.failure[0]
    assert hint in ran.failure[1]
    assert contents(copy) == before


def test_the_fewest_layers_stay_in_floats_for_a_loss(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that nobody trained can gain by rounding: here the float answer is the truth."""
    recipe = load_recipe(str(copy / "tiny.toml"))
    model = graphs_of_recipe(recipe, copy / "1.safetensors").at(64, 64, Precision.FP32)
    write_model(model, copy / "float.onnx")
    run = runner_of(copy / "float.onnx", ["denoised"])
    calibration = load_calibration_set(str(copy / "street.toml"))
    found = [(run(noisy)[0][0], noisy) for noisy in frames(calibration)]
    monkeypatch.setattr(
        recalled_inputs, "pairs", lambda calibration, numbers: (found[n] for n in numbers)
    )
    stored = json.loads((copy / "ranges" / KEPT).read_text())["tensors"]
    intervals = [tuple(tensor["intervals"]["onnxruntime"]["minmax"]) for tensor in stored]
    order = recipe, calibration, intervals, Engine.ONNXRUNTIME
    everything = select_floats(model, *order, 99.0)
    assert everything.kept == ()
    some = select_floats(model, *order, everything.loss_db / 2)
    assert 0 < len(some.kept) < len(Points(model, Engine.ONNXRUNTIME).convolutions)
    assert some.loss_db <= everything.loss_db / 2
    losses = [layer.loss_db for layer in some.kept]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > 0


def test_a_set_without_noise_has_no_loss_to_measure(copy: Path) -> None:
    from imageio.v3 import imwrite

    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    imwrite(copy / "clean.png", image)
    write_set(copy, name="clean", file="clean.png")
    words = ("--max-drop", "0.1dB", "--out", copy / "new.bundle")
    message, hint = export(copy, *words, calibration="clean").failure
    assert message == "calibration set 'clean' has no noisy frame to measure a loss on"
    assert hint == "give some members a sigma, or leave --max-drop and --sensitivity out"


def test_ranges_of_random_weights_are_not_kept(copy: Path) -> None:
    before = contents(copy / "ranges")
    ran = edgeunet(
        *("export", "--model", copy / "tiny.toml", "--random-weights", "--int8", "--size", "64x64"),
        *("--calibration", copy / "street.toml", "--out", copy / "new.bundle", "--json"),
    )
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["quantization"]["target"] == "onnxruntime"
    assert contents(copy / "ranges") == before


def test_what_every_convolution_loses_is_written_and_drawn(copy: Path) -> None:
    picture = copy / "losses.svg"
    ran = export(copy, "--sensitivity", picture, "--out", copy / "new.bundle")
    assert ran.code == 0, ran.err
    document = json.loads((copy / "losses.json").read_text())
    assert document["kept"] == []
    layers = document["convolutions"]
    found = open_bundle(copy / "new.bundle").manifest.quantization
    assert found is not None
    assert len(layers) == found.convolutions[0]
    losses = [layer["loss_db"] for layer in layers]
    assert losses == sorted(losses, reverse=True)
    assert sum(layer["macs_share"] for layer in layers) == pytest.approx(found.macs_share, abs=1e-3)
    assert {layer["miou_points"] for layer in layers} == {None}
    assert picture.read_text().count("<path") > len(layers)
    assert layers[0]["name"] in ran.out


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            ("--int8", "--sensitivity", "losses.pdf"),
            "--sensitivity 'losses.pdf': its ending says no known format",
            "end the name in .json, or for a picture in .png or .svg",
        ),
        (
            ("--sensitivity", "losses.json"),
            "--sensitivity is for INT8, and the export is fp32",
            "add --int8, or leave --sensitivity out",
        ),
    ],
)
def test_a_ranking_that_cannot_be_written(words: tuple[str, ...], message: str, hint: str) -> None:
    assert edgeunet("export", "--model", "unetmm", *words).failure == (message, hint)
