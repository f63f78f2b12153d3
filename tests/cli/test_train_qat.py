"""``edgeunet train --qat`` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")


from edgeunet.cli.qat import QatChoice, read_qat
from edgeunet.models import build_network
from edgeunet.models.weights import load_weights
from edgeunet.recipes import folder, load_recipe
from edgeunet.specs import Engine
from tests.calibration.sets import write_set
from tests.cli.command import contents, edgeunet

pytestmark = pytest.mark.usefixtures("in_tmp_path")


def test_a_fine_tune_for_8_bits_from_weights_to_a_bundle(
    recipe: Path, photographs: Path, trained: Path, tmp_path: Path
) -> None:
    write_set(tmp_path, count=5, side=32)
    given = ("--qat", "--target", "tensorrt", "--calibration", "street.toml")
    words = ("train", recipe, "--data", photographs, "--init", trained, "--out", "runs", *given)
    ran = edgeunet(*words, "--steps", "3", "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["steps"] == 3
    assert list(document["held_out"]) == ["psnr_db", "int8_psnr_db"]
    assert document["held_out_noise"] == "sigma 25 clipped"
    kept = [line for line in ran.err.splitlines() if line.startswith("kept in floats")]
    assert len(kept) == 2, "what reads the frame"
    assert [line for line in ran.err.splitlines()[1:] if line not in kept] == [
        "2 images to train on, 1 held out",
        "measuring ranges on 5 frames of street",
        f"starting from {document['initial']}",
        "reading the graph that is quantized",
    ]
    card = Path(document["card"]).read_text()
    assert "| 8 bits | fine-tuned with those of an export for tensorrt" in card
    assert "--qat --target tensorrt --calibration street.toml --steps 3" in card
    assert not (tmp_path / "calibration").exists(), "ranges are those of other weights"
    network = load_recipe(str(recipe))
    load_weights(build_network(network), Path(document["weights"]))


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("--target", "tensorrt"), "--target is for a fine-tune in 8 bits", "add --qat"),
        (("--calibration", "x"), "--calibration is for a fine-tune in 8 bits", "add --qat"),
        (("--qat", "--target", "tensort"), "there is no target 'tensort'", "did you mean 'tenso"),
        (
            ("--qat", "--mixed-precision", "bf16"),
            "--qat computes in FP32: bf16 is coarser than the 8 bits it imitates",
            "leave --mixed-precision out",
        ),
        (
            ("--qat",),
            "there are no shipped weights for mine at width 4, and --qat fine-tunes a trained "
            "network",
            "give its weights with --init",
        ),
    ],
)
def test_what_cannot_be_fine_tuned(
    words: tuple[str, ...], error: str, hint: str, recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    before = contents(tmp_path)
    ran = edgeunet("train", recipe, "--data", photographs, "--out", "runs", *words)
    assert ran.code == 2
    assert ran.failure[0] == error
    assert hint in ran.failure[1]
    assert ran.notes == [], "refused before the images are read"
    assert contents(tmp_path) == before


def asked(
    recipe: Path | str, *, qat: bool = True, init: Path | None = None, going_on: bool = False
) -> QatChoice | None:
    return read_qat(
        load_recipe(str(recipe)),
        str(recipe),
        qat=qat,
        target=None,
        calibration=None,
        init=init,
        mixed_precision="no",
        going_on=going_on,
    )


def test_the_shipped_weights_are_fine_tuned_unless_given() -> None:
    choice = asked("unetmm")
    assert choice is not None
    assert choice.init == folder("export") / "weights" / "unetmm-16.safetensors"
    assert choice.int8.engine is Engine.ONNXRUNTIME
    going_on = asked("unetmm", going_on=True)
    assert going_on is not None
    assert going_on.init is None, "the checkpoint knows"
    assert asked("unetmm", qat=False) is None


def test_a_recipe_may_ask_for_8_bits_itself(recipe: Path, photographs: Path, trained: Path) -> None:
    recipe.write_text(recipe.read_text() + 'quantized_for = "tensorrt"\n')
    choice = asked(recipe, qat=False, init=trained)
    assert choice is not None
    assert choice.int8.engine is Engine.TENSORRT
    ran = edgeunet("train", recipe, "--data", photographs, "--out", "runs")
    assert ran.code == 2
    assert "no shipped weights for mine at width 4" in ran.failure[0]
