"""Folding keeps the function: every rule on a small graph, before against after."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgeunet.graph.fold import fold

RNG = np.random.default_rng(0)
Floats = NDArray[Any]


def graph(nodes: list[onnx.NodeProto], weights: dict[str, Floats], channels: int = 4) -> ir.Model:
    """x (1, channels, 8, 10) -> y, with shapes inferred as torch's exporter writes them."""
    proto = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, 8, 10])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(a.astype(np.float32), n) for n, a in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True))


def run(model: ir.Model, channels: int = 4) -> Floats:
    session = ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x = np.random.default_rng(1).standard_normal((1, channels, 8, 10)).astype(np.float32)
    result: Floats = session.run(None, {"x": x})[0]
    return result


def same_after_fold(model: ir.Model) -> list[str]:
    """Fold, compare, and return the operators that are left."""
    expected = run(model)
    fold(model)
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(run(model), expected, rtol=1e-5, atol=2e-6 * max(1.0, scale))
    return [node.op_type for node in model.graph]


def conv(x: str, w: str, y: str, *, bias: str | None = None, **attributes: Any) -> onnx.NodeProto:
    inputs = [x, w] + ([bias] if bias else [])
    return helper.make_node("Conv", inputs, [y], name=f"conv_{y}", **attributes)


def normal(*shape: int) -> Floats:
    return RNG.standard_normal(shape)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("op", ["Mul", "Add"])
@pytest.mark.parametrize("shape", [(1, 6, 1, 1), (6, 1, 1), (), (1,)])
def test_factor_after_a_convolution(bias: bool, op: str, shape: tuple[int, ...]) -> None:
    weights = {"w": normal(6, 4, 3, 3), "s": normal(*shape), "b": normal(6)}
    nodes = [
        conv("x", "w", "c", bias="b" if bias else None, pads=[1, 1, 1, 1]),
        helper.make_node(op, ["c", "s"], ["y"], name="scale"),
    ]
    assert same_after_fold(graph(nodes, weights)) == ["Conv"]


def test_factor_after_grouped_and_transposed_convolutions() -> None:
    weights = {"w": normal(4, 1, 3, 3), "t": normal(4, 3, 2, 2), "s": normal(6, 1, 1)}
    nodes = [
        conv("x", "w", "c", group=4, pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["c", "t"], ["u"], name="up", strides=[2, 2], group=2),
        helper.make_node("Mul", ["u", "s"], ["y"], name="scale"),
    ]
    assert same_after_fold(graph(nodes, weights)) == ["Conv", "ConvTranspose"]


def test_affine_before_a_pointwise_convolution() -> None:
    weights = {"w": normal(6, 4, 1, 1), "s": normal(4, 1, 1), "o": normal(1, 4, 1, 1)}
    nodes = [
        helper.make_node("Mul", ["x", "s"], ["m"], name="scale"),
        helper.make_node("Add", ["m", "o"], ["a"], name="offset"),
        conv("a", "w", "y"),
    ]
    assert same_after_fold(graph(nodes, weights)) == ["Conv"]


def test_an_offset_stays_before_a_padded_convolution() -> None:
    weights = {"w": normal(6, 4, 3, 3), "o": normal(4, 1, 1)}
    nodes = [
        helper.make_node("Add", ["x", "o"], ["a"], name="offset"),
        conv("a", "w", "y", pads=[1, 1, 1, 1]),
    ]
    assert same_after_fold(graph(nodes, weights)) == ["Add", "Conv"]


def test_a_weight_that_two_nodes_share_is_not_changed_for_both() -> None:
    weights = {"w": normal(4, 4, 3, 3), "s": normal(4, 1, 1)}
    nodes = [
        conv("x", "w", "c", pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["c", "s"], ["m"], name="scale"),
        helper.make_node("Relu", ["m"], ["r"], name="relu"),
        conv("r", "w", "y", pads=[1, 1, 1, 1]),
    ]
    assert same_after_fold(graph(nodes, weights)) == ["Conv", "Relu", "Conv"]


def test_a_value_with_two_readers_keeps_its_factor() -> None:
    weights = {"w": normal(4, 4, 1, 1), "s": normal(4, 1, 1)}
    nodes = [
        conv("x", "w", "c"),
        helper.make_node("Mul", ["c", "s"], ["m"], name="scale"),
        helper.make_node("Add", ["c", "m"], ["y"], name="sum"),
    ]
    assert same_after_fold(graph(nodes, weights)) == ["Conv", "Mul", "Add"]


def gated(gate: float, *, also: str = "MaxPool") -> ir.Model:
    """Two levels of an additive U-Net: the skip is gated, the way down reads it too."""
    weights = {
        "e": normal(4, 4, 3, 3),
        "eb": normal(4),
        "d": normal(8, 4, 3, 3),
        "u": normal(8, 4, 2, 2),
        "g": np.array(gate),
    }
    down = {
        "MaxPool": helper.make_node(
            "MaxPool", ["s"], ["p"], name="down", kernel_shape=[2, 2], strides=[2, 2]
        ),
        "Sigmoid": helper.make_node("Sigmoid", ["s"], ["p"], name="down"),
    }[also]
    nodes = [
        conv("x", "e", "c", bias="eb", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["s"], name="relu"),
        down,
        conv("p", "d", "q", pads=[1, 1, 1, 1], strides=[1, 1] if also == "MaxPool" else [2, 2]),
        helper.make_node("ConvTranspose", ["q", "u"], ["v"], name="up", strides=[2, 2]),
        helper.make_node("Mul", ["s", "g"], ["a"], name="gate"),
        helper.make_node("Add", ["v", "a"], ["y"], name="join"),
    ]
    return graph(nodes, weights)


@pytest.mark.parametrize("gate", [0.05, 0.7, 1.0, 8.0])
def test_a_gate_folds_into_the_weights_around_its_skip(gate: float) -> None:
    left = same_after_fold(gated(gate))
    assert left == ["Conv", "Relu", "MaxPool", "Conv", "ConvTranspose", "Add"]


@pytest.mark.parametrize("gate", [0.0, -1.0, 1e-4, 1e4])
def test_a_gate_that_weights_cannot_carry_stays(gate: float) -> None:
    assert "Mul" in same_after_fold(gated(gate))


def test_a_gate_stays_when_a_reader_is_not_homogeneous() -> None:
    assert "Mul" in same_after_fold(gated(0.5, also="Sigmoid"))


def test_two_crops_become_one() -> None:
    weights: dict[str, Floats] = {}
    nodes = [
        helper.make_node("Slice", ["x", "z", "h", "two", "one"], ["a"], name="rows"),
        helper.make_node("Slice", ["a", "z", "k", "three", "one"], ["y"], name="columns"),
    ]
    model = graph_with_ints(
        nodes, weights, {"z": 0, "h": 7, "k": 9, "two": 2, "three": 3, "one": 1}
    )
    assert same_after_fold(model) == ["Slice"]


def graph_with_ints(
    nodes: list[onnx.NodeProto], weights: dict[str, Floats], ints: dict[str, int]
) -> ir.Model:
    proto = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 10])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.array([v], np.int64), n) for n, v in ints.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True))
