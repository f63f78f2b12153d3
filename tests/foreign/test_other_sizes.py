"""A file of fixed size at another one: what is written into operators is made anew, or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from edgeunet.errors import UsageError
from edgeunet.foreign.network_file import NetworkFile
from edgeunet.specs import Array
from tests.foreign.exported import write_onnx
from tests.foreign.zoo import ZOO, Animal

OWN, OTHER = (64, 96), (80, 128)


class PadsToMultiple(nn.Module):
    """As restorers' scripts do: zeros at the right and the bottom up to a multiple of 16."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 8, 2, 2), nn.ConvTranspose2d(8, 3, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        padded = F.pad(x, (0, -width % 16, 0, -height % 16))
        y: Tensor = self.up(torch.relu(self.down(padded)))
        return x + y[:, :, :height, :width]


class Reflects(nn.Module):
    """A border that is a mirror, which is the same at every size, and a crop that is not seen."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.two(torch.relu(self.one(F.pad(x, (3, 3, 3, 3), mode="reflect"))))
        return x[:, :, 1:-1, 2:-2] + y[:, :, 1:-1, 2:-2]


def answer(path: Path, size: tuple[int, int]) -> Array:
    picture = np.random.default_rng(1).random((1, 3, *size), dtype=np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: Array = session.run(None, {"x": picture})[0]
    return found


def at(path: Path, size: tuple[int, int]) -> Path:
    """The file's graph at a size, in a file."""
    target = path.with_name("resized.onnx")
    ir.save(NetworkFile.read(path).canonical(*size), target)
    return target


@pytest.mark.parametrize(
    "name", ["Restormer", "SegFormer", "GroupNorm U-Net", "DeepLabV3+", "BiSeNet", "IMDN"]
)
def test_sizes_are_made_anew(name: str, tmp_path: Path) -> None:
    animal = replace(ZOO[name], dynamo=False, opset=17)
    own = animal.write(tmp_path / "own.onnx", OWN)
    other = animal.write(tmp_path / "other.onnx", OTHER)
    given, wanted = answer(at(own, OTHER), OTHER), answer(other, OTHER)
    assert given.shape == wanted.shape
    assert np.abs(given - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_a_mirror_and_a_crop(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = Reflects()
    own = write_onnx(network, tmp_path / "own.onnx", OWN, dynamo=False, opset=17)
    other = write_onnx(network, tmp_path / "other.onnx", OTHER, dynamo=False, opset=17)
    assert np.array_equal(answer(at(own, OTHER), OTHER), answer(other, OTHER))


@pytest.mark.parametrize(
    ("make", "operator"),
    [
        (ZOO["SwinIR"].make, "Reshape"),
        (ZOO["MPRNet"].make, "Slice"),
        (PadsToMultiple, "Conv"),
    ],
)
def test_what_may_mean_something_else_is_refused_by_name(
    make: type[nn.Module], operator: str, tmp_path: Path
) -> None:
    animal = Animal(make)
    own = animal.write(tmp_path / "own.onnx", (56, 88))
    with pytest.raises(UsageError) as caught:
        NetworkFile.read(own).canonical(72, 96)
    assert f"own.onnx is fixed at 56x88, and its graph is not for 72x96: operator {operator}" in (
        caught.value.message
    )
    assert "leave --size out" in caught.value.hint


def test_a_padding_is_the_same_where_sides_differ_by_its_multiple(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = PadsToMultiple()
    own = write_onnx(network, tmp_path / "own.onnx", (56, 88), dynamo=False, opset=17)
    size = (56 + 64, 88 + 128)
    other = write_onnx(network, tmp_path / "other.onnx", size, dynamo=False, opset=17)
    assert np.array_equal(answer(at(own, size), size), answer(other, size))
