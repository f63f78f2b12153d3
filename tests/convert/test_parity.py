"""The parity check passes what is equal, and nothing that is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import numpy as np
import onnx_ir as ir
import pytest
import torch

from edgeunet.charts import CHARTS, charts
from edgeunet.convert.frame_module import FrameModule, TorchReference
from edgeunet.convert.network_graph import NetworkGraphs, frame_module
from edgeunet.convert.parity import (
    WHOLE,
    Frame,
    ParityFigure,
    Sheet,
    check_parity,
    packed_sheet,
    parity_frames,
    parity_sheets,
    require_parity,
    shortfalls,
)
from edgeunet.engine import open_session
from edgeunet.errors import ParityError
from edgeunet.models import build_network
from edgeunet.photographs import shipped_photographs
from edgeunet.recipes import Recipe, load_recipe
from edgeunet.specs import FRAME, Array, Precision, Task
from tests.convert.small import small

SIZE = (32, 48)

PHOTOGRAPHS, FLAT = ["astronaut", "coffee"], ["black", "white"]
FRAMES = [*PHOTOGRAPHS, *FLAT, "noise", "text", "texture", "colours", "stars"]


Run = Callable[[Frame], Mapping[str, Array]]


class Says:
    """Gives the network's own answers, but for what is in ``altered``."""

    def __init__(self, module: FrameModule, recipe: Recipe) -> None:
        self._module = module
        self._names = [pathway.output for pathway in recipe.pathways]
        self.altered: dict[str, Array] = {}

    def __call__(self, frame: Frame) -> Mapping[str, Array]:
        with torch.inference_mode():
            answers = self._module(torch.from_numpy(frame[None]))
        own = {n: a.numpy() for n, a in zip(self._names, answers, strict=True)}
        return own | self.altered


def every_task() -> Recipe:
    """Denoise and segment of ``joint``, classify of ``addunet-joint``."""
    recipe = small("joint")
    classify = load_recipe("addunet-joint").pathways[-1]
    assert classify.head is Task.CLASSIFY
    return msgspec.structs.replace(recipe, pathways=(*recipe.pathways, classify))


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return every_task()


@pytest.fixture(scope="module")
def module(recipe: Recipe) -> FrameModule:
    return frame_module(build_network(recipe).eval(), recipe)


def figures(
    module: FrameModule, run: Run, recipe: Recipe, precision: Precision = Precision.FP32
) -> list[ParityFigure]:
    return check_parity(
        TorchReference(module, recipe), run, recipe, precision, parity_sheets(*SIZE)
    )


def runs(graph: Path) -> Run:
    session = open_session(graph, threads=1)
    return lambda frame: session.run({FRAME: frame[None]})


def test_frames_are_real_and_extreme() -> None:
    frames = parity_frames(*SIZE)
    assert list(frames) == FRAMES
    for frame in frames.values():
        assert frame.shape == (*SIZE, 3)
        assert frame.dtype == np.uint8
        assert frame.flags["C_CONTIGUOUS"]
    assert not frames["black"].any()
    assert (frames["white"] == 255).all()
    assert abs(float(frames["noise"].mean()) - 127.5) < 3
    assert len(np.unique(frames["noise"])) > 200
    assert np.array_equal(frames["noise"], parity_frames(*SIZE)["noise"])


@pytest.mark.parametrize("size", [SIZE, (17, 31), (16, 16)])
def test_sheets_show_every_frame_and_leave_no_gap(size: tuple[int, int]) -> None:
    others = packed_sheet(*size)
    assert list(others.fields) == FRAMES
    assert others.name == "fields"
    seen = np.zeros(size, int)
    for name, field in others.fields.items():
        seen[field] += 1
        part = others.image[field]
        assert np.array_equal(part, parity_frames(*part.shape[:2])[name])
    assert (seen == 1).all()


def test_only_large_frames_have_fields() -> None:
    small, large = parity_sheets(383, 400), parity_sheets(384, 400)
    assert [sheet.name for sheet in small] == FRAMES
    assert [sheet.name for sheet in large] == ["fields"]
    assert np.array_equal(small[0].image, parity_frames(383, 400)[FRAMES[0]])


def test_a_fault_in_one_field_is_the_fault_of_that_field(
    module: FrameModule, recipe: Recipe
) -> None:
    says = Says(module, recipe)
    sheet = packed_sheet(*SIZE)
    for output in ("denoised", "labels"):
        own = says(sheet.image)[output].copy()
        rows, columns = sheet.fields["stars"]
        part = own[:, rows, columns]
        part[...] = np.where(part == 0, 1, 0)
        says.altered = {output: own}
        found = check_parity(TorchReference(module, recipe), says, recipe, Precision.FP32, [sheet])
        assert {(f.frame, f.output) for f in found if not f.holds} == {("stars", output)}


def test_frames_are_bgr() -> None:
    astronaut = shipped_photographs()["astronaut"]
    height, width = astronaut.shape[:2]
    frames = parity_frames(height, width)
    assert np.array_equal(frames["astronaut"][..., ::-1], astronaut)
    assert np.array_equal(frames["colours"][..., ::-1], charts(height, width)["colours"])


def test_equal_answers_have_no_distance(module: FrameModule, recipe: Recipe) -> None:
    found = figures(module, Says(module, recipe), recipe)
    assert len(found) == len(FRAMES) * 3
    assert {(f.output, f.metric, f.value) for f in found} == {
        ("denoised", "psnr_db", None),
        ("labels", "label_share", 0.0),
        ("scores", "probability", 0.0),
    }
    assert all(f.holds for f in found)
    require_parity(found)


@pytest.mark.parametrize(("precision", "limit"), [(Precision.FP32, 80.0), (Precision.FP16, 55.0)])
def test_one_level_everywhere_is_48_db(
    module: FrameModule, recipe: Recipe, precision: Precision, limit: float
) -> None:
    says = Says(module, recipe)
    name = recipe.pathways[0].output
    sheets = [Sheet(np.full((*SIZE, 3), 128, np.uint8), {"grey": WHOLE})]
    own = says(sheets[0].image)[name]
    says.altered[name] = np.where(own < 255, own + 1, own - 1).astype(np.uint8)
    figure = check_parity(TorchReference(module, recipe), says, recipe, precision, sheets)[0]
    # Of the network's pixels one in 500 lies at a half, where the next byte is right as well.
    assert figure.value == pytest.approx(20 * np.log10(255), abs=0.03)
    assert figure.limit == limit
    assert not figure.holds


def test_a_damaged_weight_is_found_and_named(tmp_path: Path) -> None:
    recipe = small("unetmm")
    module = frame_module(build_network(recipe).eval(), recipe)
    model = NetworkGraphs(module, recipe).at(*SIZE, Precision.FP32)
    ir.save(model, tmp_path / "whole.onnx")
    require_parity(figures(module, runs(tmp_path / "whole.onnx"), recipe))
    heads = {
        name: value.const_value.numpy()
        for name, value in model.graph.initializers.items()
        if value.const_value is not None and list(value.const_value.shape) == [3, 8, 3, 3]
    }
    assert len(heads) == 1
    name = next(iter(heads))
    damaged = heads[name].copy()
    damaged[0, 0, 1, 1] += 0.5
    model.graph.initializers[name].const_value = ir.tensor(damaged, name=name)
    ir.save(model, tmp_path / "damaged.onnx")
    found = figures(module, runs(tmp_path / "damaged.onnx"), recipe)
    with pytest.raises(ParityError) as caught:
        require_parity(found)
    missed = [figure for figure in found if not figure.holds]
    assert missed
    assert caught.value.message == (
        f"the exported graph differs from torch FP32: denoised on the {missed[0].frame} frame "
        f"has psnr_db {missed[0].value:.4g}, the limit is 80 "
        f"({len(missed)} of {len(FRAMES)} checks missed)"
    )
    assert "fp32_ops" in caught.value.hint


def test_nan_probabilities_of_the_graph_do_not_pass(module: FrameModule, recipe: Recipe) -> None:
    says = Says(module, recipe)
    pathway = recipe.pathways[-1]
    says.altered[pathway.output] = np.full((1, len(pathway.classes)), np.nan, np.float32)
    with pytest.raises(ParityError, match=f"{pathway.output} on the astronaut frame has .* inf"):
        require_parity(figures(module, says, recipe))


def test_a_network_that_says_nan_does_not_pass_even_if_the_graph_agrees(recipe: Recipe) -> None:
    """As bytes NaN is a black frame, in torch and in the graph alike: they would be equal."""
    network = build_network(recipe).eval()
    with torch.no_grad():
        next(iter(network.pathways)).head.bias.fill_(float("nan"))  # type: ignore[union-attr,operator]
    module = frame_module(network, recipe)
    name = recipe.pathways[0].output
    with pytest.raises(ParityError, match=f"own '{name}' is not finite on the astronaut frame"):
        figures(module, Says(module, recipe), recipe)


def test_one_wrong_class_in_a_hundred_pixels_does_not_pass(
    module: FrameModule, recipe: Recipe
) -> None:
    says = Says(module, recipe)
    sheets = [Sheet(np.zeros((*SIZE, 3), np.uint8), {"black": WHOLE})]
    labels = says(sheets[0].image)["labels"].copy()
    wrong = labels.reshape(-1)[: labels.size // 100]
    wrong[:] = (wrong + 1) % 11
    says.altered["labels"] = labels
    figure = check_parity(TorchReference(module, recipe), says, recipe, Precision.FP32, sheets)[1]
    assert figure.value == pytest.approx(0.01, rel=0.05)
    assert not figure.holds


def test_in_8_bits_labels_count_where_the_network_is_decided(
    module: FrameModule, recipe: Recipe
) -> None:
    """The same other labels everywhere: all of them count for FP32, for INT8 some."""
    frame = parity_frames(*SIZE)["coffee"]
    with torch.inference_mode():
        answers = {n: y for n, y, _ in module.answers(torch.from_numpy(frame[None]))}
    likely = torch.softmax(answers["labels"].float(), dim=1)
    (best, second), places = likely.topk(2, dim=1).values[0], likely.topk(2, dim=1).indices[0]
    limit = float((best - second).median())
    wanted = float((best - second > limit).float().mean())
    assert 0 < wanted < 1
    says = Says(module, recipe)
    says.altered = {"labels": places[1].numpy().astype(np.uint8)[None]}
    tolerance = msgspec.structs.replace(recipe.tolerance, int8_probability=limit)
    strict = msgspec.structs.replace(recipe, tolerance=tolerance)
    for precision, share in ((Precision.FP32, 1.0), (Precision.INT8, wanted)):
        found = check_parity(
            TorchReference(module, strict),
            says,
            strict,
            precision,
            [Sheet(frame, {"coffee": WHOLE})],
        )
        (labels,) = [figure for figure in found if figure.output == "labels"]
        assert labels.value == pytest.approx(share, abs=2e-3)


def test_charts_are_measured_in_8_bits_and_not_demanded(
    module: FrameModule, recipe: Recipe
) -> None:
    says = Says(module, recipe)
    name = recipe.pathways[0].output
    says.altered[name] = np.full((1, *SIZE, 3), 128, np.uint8)
    for precision in Precision:
        found = [f for f in figures(module, says, recipe, precision) if f.output == name]
        charted = [f for f in found if f.frame in CHARTS]
        others = [f for f in found if f.frame not in CHARTS]
        assert len(charted) == 4
        assert all(f.value is not None and f.value < 25 for f in charted)
        assert all(f.limit is not None and not f.holds for f in others)
        free = precision is Precision.INT8
        assert all((f.limit is None) is f.holds is free for f in charted)
        said = shortfalls(found, recipe)
        assert len(said) == (4 if free else 0)
        if free:
            figure = charted[0]
            assert said[0] == (
                f"8 bits harm the text chart: {name} has {figure.value:.4g} dB to the network "
                f"itself, the frames that must keep the limit have "
                f"{recipe.tolerance.int8_db:.4g} or more"
            )
