"""Sums over the frame in float64 say by how much a file itself is off, and parity listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgeunet.contracts import ForeignNetwork
from edgeunet.convert.parity import DOUBLES, WHOLE, Reference, Sheet, check_parity, require_parity
from edgeunet.errors import ParityError
from edgeunet.foreign.network_file import NetworkFile
from edgeunet.specs import Array, Precision
from tests.foreign.exported import write_onnx
from tests.foreign.plain_networks import DnCNN
from tests.graph.plain_windows import session

SIZE = (320, 320)


class Reduced(nn.Module):
    """One reduction over rows and columns."""

    def __init__(self, reduce: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.reduce = reduce

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.reduce(3.0 + x) * 1e-6)


REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda x: x.mean((2, 3), keepdim=True),
    "pool": lambda x: nn.functional.adaptive_avg_pool2d(x, 1),
    "sum": lambda x: x.sum((2, 3), keepdim=True),
    "norm": lambda x: torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True),
    "instance": lambda x: nn.functional.instance_norm(x),
    "group": lambda x: nn.functional.group_norm(x, 3),
}


@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_only_the_sums_change(name: str, opset: int, tmp_path: Path) -> None:
    network = Reduced(REDUCTIONS[name])
    path = write_onnx(network, tmp_path / "n.onnx", SIZE, dynamo=False, opset=opset)
    model = NetworkFile.read(path).in_doubles(*SIZE)
    assert model is not None
    assert sum(node.op_type == "Cast" for node in model.graph) >= 2
    picture = np.random.default_rng(0).random((1, 3, *SIZE), dtype=np.float32)
    given = session(model).run(None, {"x": picture})[0]
    with torch.no_grad():
        wanted = network.double()(torch.from_numpy(picture.astype(np.float64))).numpy()
    assert np.abs(given - wanted).max() < 1e-6


def test_a_network_without_sums_has_no_such_form(tmp_path: Path) -> None:
    path = write_onnx(DnCNN(), tmp_path / "n.onnx", (32, 32), dynamo=False, opset=17)
    assert NetworkFile.read(path).in_doubles(32, 32) is None


@dataclass
class Told:
    """A reference that gives an image, and another one in doubles."""

    image: Array
    doubles: Array | None = None
    title: str = "a file"

    def answers(self, image: Array) -> Iterator[tuple[str, Array | None, Array]]:
        yield "image", None, self.image

    def in_doubles(self) -> Reference | None:
        return None if self.doubles is None else Told(self.doubles)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> ForeignNetwork:
    folder = tmp_path_factory.mktemp("n")
    path = write_onnx(DnCNN(), folder / "n.onnx", (64, 64), dynamo=False, opset=17)
    return NetworkFile.read(path).network(64, 64)


def check(network: ForeignNetwork, reference: Told, given: Array) -> list[str]:
    def run(image: Array) -> Mapping[str, Array]:
        return {"image": given}

    sheet = Sheet(given[0], {"photograph": WHOLE})
    figures = check_parity(reference, run, network, Precision.FP32, [sheet])
    require_parity(figures)
    return [figure.frame for figure in figures]


def test_parity_with_the_file_or_with_its_sums_in_doubles(network: ForeignNetwork) -> None:
    exact = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8)
    off = exact + (np.random.default_rng(1).random(exact.shape) < 0.01).astype(np.uint8)
    wrong = exact + (np.random.default_rng(2).random(exact.shape) < 0.01).astype(np.uint8)
    # The file lost digits: what is nearer to the truth passes, and so does what the file says.
    assert check(network, Told(off, exact), exact) == [f"photograph, {DOUBLES}"]
    assert check(network, Told(off, exact), off) == ["photograph"]
    with pytest.raises(ParityError):
        check(network, Told(off, exact), wrong)
    with pytest.raises(ParityError):
        check(network, Told(off), exact)
