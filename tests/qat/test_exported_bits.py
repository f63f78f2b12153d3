"""What is trained for 8 bits is the export's own graph, with the network's own weights."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import onnx_ir as ir
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from edgeunet.calibration import read_set
from edgeunet.convert.int8_order import Int8Order
from edgeunet.convert.quantizing import Quantizer
from edgeunet.errors import GraphError, RecipeError
from edgeunet.graph.int8_placement import Placement, show_points
from edgeunet.graph.quantized import quantize
from edgeunet.graph.summary import write_model
from edgeunet.models import Network, build_network
from edgeunet.models.blocks import LayerNorm2d
from edgeunet.ort.frame_runner import runner_of
from edgeunet.qat import bound_weights, exported_bits
from edgeunet.qat.bound_weights import bind, trained_names
from edgeunet.qat.exported_bits import ExportedBits, absorb_offsets, graph_for_replay
from edgeunet.qat.replay import Replay
from edgeunet.recipes import Recipe
from edgeunet.specs import Calibrator, Engine
from edgeunet.train.fake_quantization import Quantization
from tests.calibration.sets import write_set
from tests.convert.conftest import scattered
from tests.train.toys import toy_recipe

# Of the graphs, which are made for four windows of two levels.
SIDE = 16


def image_of(height: int, width: int) -> torch.Tensor:
    """Two smooth images in bytes, 0..1."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [rows * 9 % 200, columns * 7 % 150 + 60, (rows + columns) * 5 % 255]
    image = np.stack([planes, planes[::-1]]).astype(np.float32) / 255
    return torch.from_numpy(image)


@dataclass(frozen=True)
class Bound:
    """A network, its graph, and how they hang together; whoever changes one copies it first."""

    recipe: Recipe
    network: Network
    model: ir.Model
    bindings: tuple[bound_weights.Binding, ...]

    def replay(self, network: Network, model: ir.Model | None = None) -> Replay:
        return Replay(model or self.model, self.bindings, network, self.recipe)


@functools.cache
def bound(name: str) -> Bound:
    recipe = toy_recipe(name)
    if name == "unetmm-naf":
        # Its export takes long, and more levels have nothing that one has not.
        table = msgspec.structs.replace(recipe.network, encoder_blocks=(1,), decoder_blocks=(1,))
        recipe = msgspec.structs.replace(recipe, network=table)
    network = scattered(recipe)
    absorb_offsets(network)
    model = graph_for_replay(copy.deepcopy(network), recipe)
    bindings = bind(network, lambda some: graph_for_replay(some, recipe), model)
    return Bound(recipe, network, model, bindings)


@pytest.fixture(autouse=True)
def _small_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    # Some networks have more numbers than this, and take another mark.
    monkeypatch.setattr(bound_weights, "_DIGIT", 1 << 11)


# Between them: all blocks, aggregated and gated skips, all heads, transposed convolutions.
@pytest.mark.parametrize("name", ["unetmm", "addunet-joint", "unetmm-naf"])
def test_without_8_bits_it_is_the_network_whatever_is_learned(name: str) -> None:
    there = bound(name)
    image, network = image_of(21, 37), copy.deepcopy(there.network)
    learned = trained_names(network, there.bindings)
    assert learned >= {
        f"{name}.weight"
        for name, layer in network.named_modules()
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
    }
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if key in learned:
                parameter.mul_(0.5 + torch.rand(parameter.shape, generator=generator))
    found = []
    for module in (network, there.replay(network)):
        network.zero_grad()
        answers = module(image)
        loss = torch.stack([answer.square().mean() for answer in answers.values()]).sum()
        torch.autograd.backward(loss)
        gradients = {k: p.grad for k, p in network.named_parameters() if p.grad is not None}
        found.append({k: t.detach().clone() for k, t in (answers | gradients).items()})
    assert found[1].keys() >= learned
    for key, tensor in found[1].items():
        torch.testing.assert_close(tensor, found[0][key], atol=1e-5, rtol=1e-3, msg=key)


def test_what_norms_add_is_absorbed() -> None:
    recipe, image = toy_recipe("unetmm-naf"), image_of(16, 16)
    network = scattered(recipe)
    before = network(image)["denoised"]
    absorb_offsets(network)
    norms = [m.bias for m in network.modules() if isinstance(m, LayerNorm2d)]
    assert norms
    assert not any(bias.any() for bias in norms)
    torch.testing.assert_close(network(image)["denoised"], before, atol=1e-5, rtol=1e-5)


def in_bytes(image: torch.Tensor) -> np.ndarray:
    """(N, 3, H, W) RGB, 0..1, to the first as (H, W, 3) uint8 BGR."""
    planes = image.detach()[0].numpy()[::-1].transpose(1, 2, 0)
    return np.ascontiguousarray((planes * 255).clip(0, 255).round().astype(np.uint8))


def intervals_of(model: ir.Model, frame: np.ndarray, folder: Path) -> list[tuple[float, float]]:
    shown = model.clone()
    names = show_points(shown)
    write_model(shown, folder / "shown.onnx")
    found = runner_of(folder / "shown.onnx", names)(frame)
    return [(float(array.min()), float(array.max())) for array in found]


@pytest.mark.parametrize("engine", list(Engine))
def test_in_8_bits_it_gives_what_the_exported_graph_gives(engine: Engine, tmp_path: Path) -> None:
    there = bound("unetmm")
    image = image_of(SIDE, SIDE)[:1]
    frame = in_bytes(image)
    quantized = there.model.clone()
    quantize(quantized, intervals_of(there.model, frame, tmp_path), engine)
    write_model(quantized, tmp_path / "quantized.onnx")
    (wanted,) = runner_of(tmp_path / "quantized.onnx", ["denoised"])(frame)
    with torch.no_grad():
        in_bits, in_floats = (
            in_bytes(there.replay(there.network, model)(image)["denoised"]).astype(float)
            for model in (quantized, there.model)
        )
    apart = np.abs(in_bits - wanted[0])
    assert np.mean(apart <= 1) > 0.99
    assert np.mean(apart > 0) < 0.1
    assert np.mean(in_floats != wanted[0]) > 0.3, "8 bits are seen at all"


def test_gradients_pass_the_rounding(tmp_path: Path) -> None:
    there = bound("unetmm")
    network = copy.deepcopy(there.network)
    quantized = there.model.clone()
    frame = in_bytes(image_of(SIDE, SIDE))
    quantize(quantized, intervals_of(there.model, frame, tmp_path), Engine.ONNXRUNTIME)
    replay = there.replay(network, quantized)
    replay(image_of(SIDE, SIDE))["denoised"].square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key


def test_an_operator_without_gradients_is_named() -> None:
    there = bound("unetmm")
    strange = there.model.clone()
    next(node for node in strange.graph if node.op_type == "Relu").op_type = "Erf"
    with pytest.raises(GraphError, match="operator Erf .* cannot be computed with gradients") as it:
        there.replay(there.network, strange)
    assert "qat/replay.py" in it.value.hint


def test_a_graph_of_other_weights_is_a_bug() -> None:
    there = bound("unetmm")
    with pytest.raises(RuntimeError, match="not as exported"):
        bind(there.network, lambda _: there.model, there.model)


def test_a_network_with_nothing_in_8_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*given: object) -> Quantizer:
        placement = Placement((0, 3), (0, 99), ("a", "b", "c"))
        return Quantizer((), (), Engine.TENSORRT, Calibrator.MSE, {}, placement)

    monkeypatch.setattr(exported_bits, "make_quantizer", nothing)
    recipe = toy_recipe()
    order = Int8Order(read_set(write_set(tmp_path)), None, Engine.TENSORRT)
    with pytest.raises(RecipeError) as caught:
        ExportedBits(recipe, order).begin(build_network(recipe))
    assert caught.value.message == (
        "recipe 'unetmm' has no convolution that tensorrt would compute in 8 bits"
    )
    assert caught.value.hint == "train it without --qat"


def test_what_nothing_is_learned_for_is_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = bound("addunet-joint")
    monkeypatch.setattr(exported_bits, "graph_for_replay", lambda *_: there.model.clone())
    monkeypatch.setattr(exported_bits, "bind", lambda *_: there.bindings)
    for name in ("prepare", "quantize"):
        monkeypatch.setattr(exported_bits, name, lambda *_: None)
    network = copy.deepcopy(there.network)
    order = Int8Order(read_set(write_set(tmp_path)), None, Engine.ONNXRUNTIME)
    acting = ExportedBits(there.recipe, order).form(
        network, Quantization(Engine.ONNXRUNTIME, (), ())
    )(network)
    assert isinstance(acting, Replay)
    learned = {key for key, parameter in network.named_parameters() if parameter.requires_grad}
    assert learned == trained_names(network, there.bindings)
    assert "encoder.0.0.1.weight" not in learned, "batch norm"
