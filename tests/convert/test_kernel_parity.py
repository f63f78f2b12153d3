"""Integer kernels that compute something else than the graph says are refused."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from edgeunet.convert import kernel_parity
from edgeunet.convert.kernel_parity import check_kernels, require_kernels
from edgeunet.convert.parity import ParityFigure, packed_sheet
from edgeunet.errors import ParityError
from edgeunet.processors import AVX2
from edgeunet.recipes import Recipe, load_recipe
from edgeunet.specs import Array

SIZE = (64, 96)
OUTPUTS: dict[str, Array] = {
    "denoised": np.full((1, *SIZE, 3), 100, np.uint8),
    "labels": np.zeros((1, *SIZE), np.uint8),
    "scores": np.array([[0.5, 0.3, 0.2]], np.float32),
}


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """Every kind of head."""
    joint = load_recipe("joint")
    (denoise, segment), classify = joint.pathways, load_recipe("addunet-joint").pathways[-1]
    return msgspec.structs.replace(
        joint,
        pathways=(
            msgspec.structs.replace(denoise, output="denoised"),
            msgspec.structs.replace(segment, output="labels"),
            msgspec.structs.replace(classify, output="scores"),
        ),
    )


def figures(recipe: Recipe, **altered: Array) -> dict[str, ParityFigure]:
    def run(image: Array) -> Mapping[str, Array]:
        return {**OUTPUTS, **altered}

    found = check_kernels(run, lambda image: OUTPUTS, recipe, packed_sheet(*SIZE))
    return {figure.output: figure for figure in found}


def test_equal_answers_pass(recipe: Recipe) -> None:
    found = figures(recipe)
    assert [f.metric for f in found.values()] == [
        "kernels_db",
        "kernels_label_share",
        "kernels_probability",
    ]
    assert found["denoised"].value is None
    assert found["labels"].value == found["scores"].value == 0
    assert all(f.frame == "fields" for f in found.values())
    require_kernels(list(found.values()))


def test_a_step_here_and_there_is_rounding(recipe: Recipe) -> None:
    rounded = OUTPUTS["denoised"].copy()
    rounded[:, ::2] += 1
    found = figures(recipe, denoised=rounded)["denoised"]
    assert found.value == pytest.approx(10 * np.log10(255**2 * 2))
    assert found.holds


@pytest.mark.parametrize(
    ("output", "wrong", "measure"),
    [
        ("denoised", OUTPUTS["denoised"] + 2, "kernels_db 42.11, the limit is 45"),
        ("labels", OUTPUTS["labels"] + 1, "kernels_label_share 1, the limit is 0.1"),
        ("scores", OUTPUTS["scores"] * 2, "kernels_probability 0.5, the limit is 0.1"),
        ("scores", OUTPUTS["scores"] * np.nan, "kernels_probability inf"),
    ],
)
def test_more_than_rounding_is_refused_and_the_processor_named(
    recipe: Recipe, output: str, wrong: Array, measure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_parity, "this_processor", lambda: AVX2)
    found = list(figures(recipe, **{output: wrong}).values())
    with pytest.raises(ParityError, match=measure) as raised:
        require_kernels(found)
    assert f"{output} on the fields frame" in raised.value.message
    assert "(x86-64 with AVX2, without VNNI)" in raised.value.hint
