"""Torch and bundles get the same pixels and give the same outputs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.errors import WeightsError
from edgeunet.evaluate.backends import BundleBackend
from edgeunet.evaluate.evaluation import Figures, Levels, evaluate
from edgeunet.evaluate.image_folders import open_folder
from edgeunet.evaluate.named_set import open_data
from edgeunet.evaluate.protocol import ADDED, NoiseKind, add_noise
from edgeunet.evaluate.torch_backend import TorchBackend
from edgeunet.evaluate.truth import Fit
from edgeunet.models import build_network
from edgeunet.models.weights import save_weights
from edgeunet.photographs import fill_frame, read_photograph, shipped_photographs
from edgeunet.planning.request import WHOLE_FRAME, PlanRequest
from edgeunet.recipes import Recipe, load_recipe, recipe_path
from edgeunet.specs import Precision
from tests.bundle.tiny import tiny_bundle
from tests.convert.small import small
from tests.evaluate.drawn_sets import brightest, picture, with_noise, write

SIZE = (64, 96)
LEVELS = Levels((NoiseKind.UINT8,), (15.0, 50.0))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for name, photograph in list(shipped_photographs().items())[:2]:
        write(folder / f"{name}.png", fill_frame(photograph, *SIZE))
    return folder


def _shipped() -> tuple[Recipe, Path]:
    recipe = load_recipe("unetmm")
    weights = recipe.trained_weights(recipe_path("unetmm").parent)
    assert weights is not None
    return recipe, weights


def _toy(folder: Path) -> tuple[Recipe, Path]:
    """Return a network of two levels that exports in a second and nearly returns its input."""
    shipped = load_recipe("unetmm")
    table = msgspec.structs.replace(
        shipped.network, width=8, encoder_blocks=(1, 1), decoder_blocks=(1, 1)
    )
    recipe = msgspec.structs.replace(shipped, network=table)
    network = build_network(recipe)
    for name, parameter in network.named_parameters():
        if "head" in name:
            parameter.data.mul_(0.1)
    save_weights(network, recipe, folder / "toy.safetensors")
    return recipe, folder / "toy.safetensors"


def _of_bundle(
    folder: Path,
    images: Path,
    precision: Precision,
    request: PlanRequest,
    network: tuple[Recipe, Path],
) -> tuple[Figures, ...]:
    recipe, weights = network
    order = ExportOrder(recipe, *SIZE, precision, weights, request=request)
    backend = BundleBackend(draft_bundle(order, folder / "made.bundle").path)
    try:
        data = open_data(str(images), backend.heads, frame=backend.frame)
        return evaluate(backend, data, LEVELS).figures
    finally:
        backend.close()


def _psnr_db(figures: tuple[Figures, ...]) -> list[float]:
    return [f.psnr_db.mean for f in figures if f.psnr_db is not None]


def test_bundles_agree_with_torch_whole_in_windows_and_in_half(
    tmp_path: Path, photographs: Path
) -> None:
    network = _toy(tmp_path)
    torch_backend = TorchBackend(*network)
    data = open_data(str(photographs), torch_backend.heads, frame=None)
    wanted = _psnr_db(evaluate(torch_backend, data, LEVELS).figures)
    kinds = (
        (Precision.FP32, WHOLE_FRAME),
        (Precision.FP32, PlanRequest(window=(32, 32))),
        (Precision.FP16, WHOLE_FRAME),
    )
    whole, windowed, half = (
        _psnr_db(_of_bundle(tmp_path / str(i), photographs, *kind, network))
        for i, kind in enumerate(kinds)
    )
    assert len(set(wanted)) == len(LEVELS.sigmas)
    assert min(wanted) > 10
    assert whole == pytest.approx(wanted, abs=0.01)
    assert windowed == pytest.approx(whole, abs=1e-3)
    assert half == pytest.approx(wanted, abs=0.05)


def test_bundles_agree_with_torch_on_real_pairs(tmp_path: Path, photographs: Path) -> None:
    for path in photographs.iterdir():
        clean = read_photograph(path)
        write(tmp_path / "pairs" / "clean" / path.name, clean)
        write(tmp_path / "pairs" / "noisy" / path.name, with_noise(clean))
    network = _toy(tmp_path)
    torch_backend = TorchBackend(*network)
    data = open_data(str(tmp_path / "pairs"), torch_backend.heads, frame=None)
    (wanted,) = evaluate(torch_backend, data, LEVELS).figures
    (found,) = _of_bundle(
        tmp_path / "bundle", tmp_path / "pairs", Precision.FP32, WHOLE_FRAME, network
    )
    assert wanted.gain_db is not None
    assert found.gain_db is not None
    assert found.gain_db.mean == pytest.approx(wanted.gain_db.mean, abs=0.01)
    assert found.psnr_noisy_db == wanted.psnr_noisy_db
    assert found.worst_gain_image == wanted.worst_gain_image


def test_shipped_weights_clean_a_photograph_in_both_protocols(photographs: Path) -> None:
    backend = TorchBackend(*_shipped())
    data = open_data(str(photographs), backend.heads, frame=None)
    levels = Levels(ADDED, (25.0,))
    for figures in evaluate(backend, data, levels).figures:
        assert figures.psnr_db is not None
        assert figures.psnr_noisy_db is not None
        assert figures.psnr_db.mean > figures.psnr_noisy_db.mean + 6


def test_torch_answers_in_the_type_it_is_asked_in() -> None:
    backend = TorchBackend(*_shipped())
    clean = np.ascontiguousarray(picture().transpose(2, 0, 1))
    floats = backend.run(add_noise(clean, NoiseKind.FLOAT, 50.0, seed=0, index=0)).denoised
    assert floats is not None
    assert floats.dtype == np.float32
    assert floats.min() >= 0
    assert floats.max() <= 1
    frame = backend.run(add_noise(clean, NoiseKind.UINT8, 50.0, seed=0, index=0)).denoised
    assert frame is not None
    assert frame.dtype == np.uint8
    assert frame.shape == clean.shape


def test_torch_answers_for_labels_and_classes(tmp_path: Path) -> None:
    clean = np.ascontiguousarray(picture(height=32).transpose(2, 0, 1))
    for name in ("joint", "addunet-joint"):
        recipe = small(name)
        save_weights(build_network(recipe), recipe, tmp_path / "w.safetensors")
        answer = TorchBackend(recipe, tmp_path / "w.safetensors").run(clean)
        if name == "joint":
            assert answer.labels is not None
            assert answer.labels.dtype == np.uint8
            assert answer.labels.shape == clean.shape[1:]
            assert answer.scores is None
        else:
            assert answer.labels is None
            assert answer.scores is not None
            assert answer.scores.shape == (len(recipe.pathways[1].classes),)
            assert answer.scores.sum() == pytest.approx(1.0, abs=1e-5)


def test_weights_whose_answer_is_not_finite_are_refused(tmp_path: Path) -> None:
    recipe = small("unetmm")
    network = build_network(recipe)
    for parameter in network.parameters():
        parameter.data.fill_(6e4)
    save_weights(network, recipe, tmp_path / "mad.safetensors")
    backend = TorchBackend(recipe, tmp_path / "mad.safetensors")
    with pytest.raises(WeightsError) as caught:
        backend.run(np.ascontiguousarray(picture(height=32).transpose(2, 0, 1)))
    assert caught.value.message == "the network's 'denoised' is not finite with mad.safetensors"


def test_a_bundles_frame_is_turned_to_bgr_and_back(tmp_path: Path) -> None:
    backend = BundleBackend(tiny_bundle(tmp_path, 24, 32).path)
    write(tmp_path / "images" / "a.png", picture())
    write(tmp_path / "labels" / "a.png", brightest(picture()))
    data = open_folder(tmp_path / "images", classes=(), segments=(), frame=None, fit=Fit.CROP)
    clean = next(iter(data)).clean
    answer = backend.run(clean)
    second = backend.run(255 - clean)
    assert answer.denoised is not None
    assert answer.labels is not None
    # The tiny network's mean of a ramp is the ramp itself, away from the frame's edge.
    inside = (slice(None), slice(1, -1), slice(1, -1))
    apart = answer.denoised[inside].astype(int) - clean[inside]
    assert np.abs(apart).max() <= 1
    np.testing.assert_array_equal(answer.labels[1:-1, 1:-1], brightest(picture())[1:-1, 1:-1])
    assert second.denoised is not None
    assert not np.shares_memory(answer.denoised, second.denoised)
    backend.close()
