"""Normalisations over the frame, divided: the same numbers, and one tensor held in place of two."""

from __future__ import annotations

import numpy as np

from edgeunet.graph.divided_norms import with_divided_norms
from edgeunet.graph.stages import FrameGraph
from tests.graph.foreign import Net, dncnn, frame_of, normalized
from tests.graph.plain_windows import run_whole


def test_a_divided_normalisation_gives_the_same() -> None:
    net = Net(90, 70)
    x = net.conv(net.image(), 6)
    # Far from zero, where sums of squares lose digits.
    x = net.op("Add", x, net.const(net.generator.uniform(-4, 4, (1, 6, 1, 1))))
    scale, bias = (net.const(net.generator.uniform(0.5, 2, 6)) for _ in range(2))
    y = net.op("InstanceNormalization", x, scale, bias, epsilon=1e-3)
    model = net.done(net.op("Relu", y), y)
    divided = with_divided_norms(model)
    assert "InstanceNormalization" not in [node.op_type for node in divided.graph]
    frame = frame_of(90, 70)
    whole, given = run_whole(model, frame), run_whole(divided, frame)
    assert list(whole) == list(given)
    for name, answer in whole.items():
        np.testing.assert_allclose(given[name], answer, rtol=1e-4, atol=3e-5)


def test_what_runs_once_makes_only_vectors() -> None:
    stages = FrameGraph(normalized(Net(64, 96))).cut(1)
    once = [stage for stage in stages if not stage.windowed]
    assert any("mean" in stage.name for stage in once)
    for stage in once:
        if "mean" in stage.name:
            assert all(border.axes is None for border in stage.outputs)


def test_a_graph_without_them_is_left_alone() -> None:
    model = dncnn(Net(32, 32))
    assert with_divided_norms(model) is model
