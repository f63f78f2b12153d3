"""Factors per channel leave the float network as it is, and bring channels to one reach."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from numpy.typing import NDArray

from edgeunet.graph.equalize import factors_of, prepare, sum_small_terms_first
from edgeunet.graph.int8_placement import Points, show_points
from edgeunet.specs import Engine, Precision
from tests.convert.small import graph

NAMES = ("unetmm", "unet", "unetmm-naf", "addunet-joint")
Arrays = list[NDArray[np.float32]]


def run(model: ir.Model, names: tuple[str, ...] | None = None) -> Arrays:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    data = ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (frame,) = session.get_inputs()
    pixels = np.random.default_rng(0).integers(0, 256, frame.shape, dtype=np.uint8)
    found: Arrays = session.run(names, {frame.name: pixels})
    return found


def summed(name: str) -> ir.Model:
    model = graph(name, Precision.FP32).clone()
    sum_small_terms_first(model)
    return model


def shown(model: ir.Model) -> Arrays:
    """Return what every tensor holds that 8 bits would store."""
    copy = model.clone()
    return run(copy, show_points(copy))


def reaches_of(model: ir.Model) -> Arrays:
    return [np.abs(array[0]).max(axis=(1, 2)) for array in shown(model)]


def factors(name: str) -> tuple[float, ...]:
    model = summed(name)
    return factors_of(model, Points(model, Engine.ONNXRUNTIME).values, reaches_of(model))


@pytest.mark.parametrize("name", NAMES)
def test_the_float_network_stays_the_same(name: str) -> None:
    model = graph(name, Precision.FP32).clone()
    # Any factors must do, not only those that are found.
    count = len(factors(name))
    assert count > 8
    prepare(model, tuple(np.random.default_rng(1).uniform(0.25, 4.0, count)))
    for given, wanted in zip(run(model), run(graph(name, Precision.FP32)), strict=True):
        if wanted.dtype == np.uint8:
            apart = np.abs(given.astype(np.int16) - wanted)
            assert np.count_nonzero(apart) < 0.01 * apart.size
        else:
            np.testing.assert_allclose(given, wanted, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_channels_of_a_hidden_tensor_reach_as_far(name: str) -> None:
    model = graph(name, Precision.FP32).clone()
    prepare(model, factors(name))
    before, after = (
        [float(np.mean(reach / reach.max())) for reach in reaches_of(one) if reach.max() > 0]
        for one in (summed(name), model)
    )
    assert np.mean(after) > np.mean(before) + 0.02
    values = Points(model, Engine.ONNXRUNTIME).values
    alone = [
        reach
        for value, reach in zip(values, reaches_of(model), strict=True)
        if (maker := value.producer()) is not None
        and maker.op_type == "Relu"
        and {use.node.op_type for use in value.uses()} == {"Conv"}
    ]
    for reach in alone:
        # Weights that nobody trained leave channels dead behind a ReLU.
        living = reach[reach > reach.max() / 10]
        assert np.median(living) == pytest.approx(reach.max(), rel=0.01)


def test_the_sum_of_small_terms_comes_first() -> None:
    model = summed("unetmm")
    nodes = list(model.graph)
    sums = [node for node in nodes if node.op_type == "Add"]
    inner = [
        node
        for node in sums
        if all(v is not None and (m := v.producer()) and m.op_type == "Conv" for v in node.inputs)
    ]
    before = [node for node in graph("unetmm", Precision.FP32).graph if node.op_type == "Add"]
    assert len(sums) == len(before)
    last = next(
        node
        for node in sums
        if node.inputs[0] is not None
        and (maker := node.inputs[0].producer()) is not None
        and maker.op_type == "DepthToSpace"
        and any(v is one.outputs[0] for one in inner for v in node.inputs)
    )
    # What it is added to is made right before: nothing large waits meanwhile.
    assert [n.op_type for n in nodes[nodes.index(last) - 2 : nodes.index(last)]] == [
        "Conv",
        "DepthToSpace",
    ]
    for given, wanted in zip(run(model), run(graph("unetmm", Precision.FP32)), strict=True):
        assert np.abs(given.astype(np.int16) - wanted).max() <= 1


def test_a_channel_that_is_always_zero_keeps_finite_weights() -> None:
    model = summed("unetmm")
    values = Points(model, Engine.ONNXRUNTIME).values
    reaches = [np.zeros_like(reach) for reach in reaches_of(model)]
    assert set(factors_of(model, values, reaches)) == {1.0}
    reaches[0] = np.eye(1, len(reaches[0]))[0]
    assert max(factors_of(model, values, reaches)) == 256.0


def test_factors_of_another_network_are_a_bug() -> None:
    with pytest.raises(ValueError, match=r"3 factors for \d+ channels"):
        prepare(graph("unetmm", Precision.FP32).clone(), (1.0, 1.0, 1.0))
