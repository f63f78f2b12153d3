"""Means over the frame in two steps: nearer to the truth, and windows take the first step."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgeunet.graph.divided_means import divide_means
from edgeunet.graph.stages import FrameGraph
from edgeunet.graph.values import Floats
from tests.graph.foreign import Net, dncnn, frame_of
from tests.graph.plain_windows import run_whole


def averaged(net: Net, kind: str) -> ir.Model:
    """A mean over the frame, and the tensor that it is of."""
    x = net.op("Softplus", net.conv(net.image(), 4))
    attributes: dict[str, Any] = {"axes": [3, 2], "keepdims": 0} if kind == "ReduceMean" else {}
    return net.done(x, net.op(kind, x, **attributes))


def mean_and_truth(model: ir.Model, frame: Floats) -> tuple[Floats, Floats]:
    x, mean = run_whole(model, frame).values()
    return mean.reshape(-1), x.astype(np.float64).mean(axis=(2, 3)).reshape(-1)


@pytest.mark.parametrize("kind", ["GlobalAveragePool", "ReduceMean"])
@pytest.mark.parametrize("size", [(368, 400), (365, 403)])
def test_a_divided_mean_loses_fewer_digits(kind: str, size: tuple[int, int]) -> None:
    model = averaged(Net(*size), kind)
    # Bright, so that float32 loses digits while it sums.
    frame = np.maximum(frame_of(*size), 200)
    plain, truth = mean_and_truth(model, frame)
    assert divide_means(model) == 1
    given, _ = mean_and_truth(model, frame)
    assert given.shape == plain.shape
    error = np.abs(given / truth - 1).max()
    assert error < 6e-7
    assert error < np.abs(plain / truth - 1).max()


def test_windows_make_the_squares_and_the_mean_reads_little() -> None:
    model = averaged(Net(368, 400), "GlobalAveragePool")
    divide_means(model)
    (once,) = [stage for stage in FrameGraph(model).cut(1) if not stage.windowed]
    assert [border.shape for border in once.inputs] == [(1, 4, 46, 50)]


def test_small_means_and_other_operators_stay() -> None:
    assert divide_means(averaged(Net(96, 120), "GlobalAveragePool")) == 0
    assert divide_means(averaged(Net(368, 400), "GlobalMaxPool")) == 0
    assert divide_means(dncnn(Net(32, 32))) == 0
