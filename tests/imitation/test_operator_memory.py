"""What each operator overwrites and takes beside its result is what onnxruntime does here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_node, np_dtype_to_tensor_dtype

from tests.imitation.asked import SHAPE, Asking, asking, needs_this_version

__all__ = ["asking"]

pytestmark = needs_this_version

OF_ONE = (
    *("Abs", "Ceil", "Celu", "Clip", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish"),
    *("Identity", "LeakyRelu", "Log", "LpNormalization", "Neg", "Reciprocal", "Relu", "Round"),
    *("Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Tanh"),
    *("ThresholdedRelu", "Trilu", "GlobalAveragePool", "GlobalMaxPool"),
)
OF_TWO = ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "PRelu", "Sum", "Mean")
REDUCTIONS = ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceLogSumExp", "ReduceProd")


def check(asking: Asking, *nodes: Any, **constants: Any) -> None:
    seen, predicted = asking.seen_and_predicted(nodes, constants)
    assert seen in predicted


@pytest.mark.parametrize("operator", OF_ONE)
def test_of_one_operand(asking: Asking, operator: str) -> None:
    check(asking, make_node(operator, ["a"], ["b"]))


@pytest.mark.parametrize("operator", OF_ONE)
def test_nothing_is_overwritten_that_is_read_later(asking: Asking, operator: str) -> None:
    nodes = [make_node(operator, ["a"], ["b"]), make_node("CumSum", ["b", "along"], ["c"])]
    check(asking, *nodes, make_node("Sub", ["a", "c"], ["e"]))


@pytest.mark.parametrize("operator", OF_TWO)
def test_of_two_operands(asking: Asking, operator: str) -> None:
    check(asking, make_node(operator, ["a", "d"], ["b"]))
    check(asking, make_node(operator, ["a", "k"], ["b"]), k=np.float32(0.37))


@pytest.mark.parametrize("operator", ["Sum", "Max", "Min", "Mean"])
def test_of_three_operands(asking: Asking, operator: str) -> None:
    twice = make_node("CumSum", ["d", "along"], ["e"])
    check(asking, twice, make_node(operator, ["a", "d", "e"], ["b"]))


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("axis", [-1, 1, 2, 3])
def test_along_an_axis(asking: Asking, operator: str, axis: int) -> None:
    check(asking, make_node(operator, ["a"], ["b"], axis=axis))


@pytest.mark.parametrize("operator", REDUCTIONS)
@pytest.mark.parametrize("axes", [[1], [2], [1, 3]])
def test_over_axes(asking: Asking, operator: str, axes: list[int]) -> None:
    check(asking, make_node(operator, ["a"], ["b"], axes=axes))


def test_a_choice_takes_both_operands(asking: Asking) -> None:
    chosen = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 2 == 0
    check(asking, make_node("Where", ["k", "a", "d"], ["b"]), k=chosen)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_other_sizes(asking: Asking, mode: str, factor: float) -> None:
    scales = np.array([1, 1, factor, factor], np.float32)
    check(asking, make_node("Resize", ["a", "", "k"], ["b"], mode=mode), k=scales)


@pytest.mark.parametrize("kind", ["int32", "uint8", "int64"])
def test_numbers_of_another_kind(asking: Asking, kind: str) -> None:
    there = make_node("Cast", ["a"], ["c"], to=np_dtype_to_tensor_dtype(np.dtype(kind)))
    # Two casts in a row would be one.
    between = make_node("Max", ["c", "k"], ["m"])
    back = make_node("Cast", ["m"], ["b"], to=TensorProto.FLOAT)
    check(asking, there, between, back, k=np.array(2, kind))


@pytest.mark.parametrize("taps", [3, 5])
@pytest.mark.parametrize("groups", [2, 4])
def test_convolutions_of_few_channels_in_groups(asking: Asking, taps: int, groups: int) -> None:
    weights = np.ones((6 if groups == 2 else 4, 4 // groups, taps, taps), np.float32)
    pads = [taps // 2] * 4
    check(asking, make_node("Conv", ["a", "w"], ["b"], group=groups, pads=pads), w=weights)
