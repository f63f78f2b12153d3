"""Parity where the network's pixels lie between two bytes, which round either way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import edgeunet as api
from edgeunet.contracts import ForeignNetwork
from edgeunet.convert.parity import WHOLE, Sheet, check_parity
from edgeunet.foreign.network_file import NetworkFile
from edgeunet.specs import Precision
from tests.foreign.exported import write_onnx
from tests.foreign.test_double_sums import Told

SIZE = (24, 32)


def _grey() -> nn.Module:
    """Return a network that answers 0.5, which is a pixel of 127.5, to a black frame."""
    torch.manual_seed(0)
    network = nn.Conv2d(3, 3, 3, padding=1)
    assert network.bias is not None
    nn.init.constant_(network.bias, 0.5)
    return network


def test_a_network_that_answers_halves_is_exported(tmp_path: Path) -> None:
    path = write_onnx(_grey(), tmp_path / "grey.onnx", SIZE, dynamo=True, opset=18)
    bundle = api.export(path, out=tmp_path / "grey.bundle")
    values = [entry.value for entry in bundle.manifest.parity if entry.frame == "black"]
    assert values == [None]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> ForeignNetwork:
    path = tmp_path_factory.mktemp("grey") / "grey.onnx"
    return NetworkFile.read(write_onnx(_grey(), path, SIZE, dynamo=False, opset=17)).network(*SIZE)


@pytest.mark.parametrize(
    ("pixel", "byte", "db"),
    [
        (127.5, 127, None),
        (127.5, 128, None),
        (127.499, 128, None),
        (127.5, 129, 48.13),
        (127.5, 126, 42.11),
        (127.45, 128, 48.13),
        (100.0, 101, 48.13),
        (100.0, 100, None),
    ],
)
def test_only_halves_round_either_way(
    network: ForeignNetwork, pixel: float, byte: int, db: float | None
) -> None:
    told = Told(np.full((1, *SIZE, 3), pixel, np.float32))
    given = np.full((1, *SIZE, 3), byte, np.uint8)
    sheet = Sheet(given[0], {"photograph": WHOLE})
    (figure,) = check_parity(told, lambda _: {"image": given}, network, Precision.FP32, [sheet])
    assert figure.value == (None if db is None else pytest.approx(db, abs=0.01))
    assert figure.holds == (db is None)
