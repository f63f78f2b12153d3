"""Normalisations over the frame, divided: the same numbers, and one tensor held in place of two."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgeunet.graph.divided_norms import with_divided_norms
from edgeunet.graph.stages import FrameGraph
from tests.graph.foreign import Net, dncnn, frame_of
from tests.graph.plain_windows import run_stages, run_whole
from tests.graph.test_foreign_windows import smallest_windows

SIZE = (90, 70)


def instance(net: Net, x: str) -> str:
    scale, bias = (net.const(net.generator.uniform(0.5, 2, 6)) for _ in range(2))
    return str(net.op("InstanceNormalization", x, scale, bias, epsilon=1e-3))


def group(net: Net, x: str) -> str:
    """As torch writes it: channels are joined, normalised, and scaled one by one."""
    joined = net.op("Reshape", x, net.ints(1, 2, -1))
    y = net.op("InstanceNormalization", joined, net.const(np.ones(2)), net.const(np.zeros(2)))
    y = net.op("Reshape", y, net.ints(1, 6, *net.size), channels=6)
    y = net.op("Mul", y, net.const(net.generator.uniform(0.5, 2, (6, 1, 1))))
    return str(net.op("Add", y, net.const(net.generator.uniform(-1, 1, (6, 1, 1)))))


def normalized(norm: object, size: tuple[int, int] = SIZE, shift: float = 4) -> ir.Model:
    net = Net(*size)
    x = net.conv(net.image(), 6)
    # Far from zero, where the difference of two squares would lose digits.
    x = net.op("Add", x, net.const(net.generator.uniform(-shift, shift, (1, 6, 1, 1))))
    y = instance(net, x) if norm is instance else group(net, x)
    return net.done(net.conv(net.op("Relu", y), 3), y)


@pytest.mark.parametrize("norm", [instance, group])
@pytest.mark.parametrize("size", [SIZE, (192, 160), (191, 161)])
def test_a_divided_normalisation_gives_the_same(norm: object, size: tuple[int, int]) -> None:
    model = normalized(norm, size)
    divided = with_divided_norms(model)
    assert "InstanceNormalization" not in [node.op_type for node in divided.graph]
    frame = frame_of(*size)
    whole, given = run_whole(model, frame), run_whole(divided, frame)
    assert list(whole) == list(given)
    for name, answer in whole.items():
        assert np.abs(given[name] - answer).max() <= 1e-5 * np.abs(answer).max()


def test_what_differs_little_from_a_large_mean_keeps_its_digits() -> None:
    model = normalized(instance, shift=400)
    divided = with_divided_norms(model)
    frame = frame_of(*SIZE)
    for name, answer in run_whole(model, frame).items():
        given = run_whole(divided, frame)[name]
        assert np.abs(given - answer).max() <= 1e-4 * np.abs(answer).max()


@pytest.mark.parametrize("norm", [instance, group])
def test_what_runs_once_makes_only_vectors(norm: object) -> None:
    model = normalized(norm)
    stages = FrameGraph(model).cut(1)
    once = [stage for stage in stages if not stage.windowed]
    assert once
    for stage in once:
        assert all(border.axes is None for border in stage.outputs), stage.name
    frame = frame_of(*SIZE)
    given = run_stages(stages, frame, smallest_windows(stages, SIZE))
    for name, answer in run_whole(model, frame).items():
        assert np.abs(given[name] - answer).max() <= 1e-5 * np.abs(answer).max()


def test_a_graph_without_them_is_left_alone() -> None:
    model = dncnn(Net(32, 32))
    assert with_divided_norms(model) is model
