"""What is fused is never allocated: graphs that onnxruntime runs here, allocation by allocation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx.helper import make_node as node

from tests.imitation.asked import Asking, asking, needs_this_version

__all__ = ["asking"]

pytestmark = needs_this_version

SQUARE = np.ones((96, 96), np.float32)
ROW = np.ones(96, np.float32)
TOKENS = np.array([1, 32, 96])
SQRT2, HALF, ONE = np.float32(2**0.5), np.float32(0.5), np.float32(1)
Case = tuple[list[Any], dict[str, Any]]


def transposed(source: str, made: str, *perm: int) -> Any:
    return node("Transpose", [source], [made], perm=perm)


def part(made: str, start: int, end: int, axis: int = 3, source: str = "a") -> tuple[Any, ...]:
    """A slice, and its three constants."""
    names = [f"{made}_start", f"{made}_end", f"{made}_axis"]
    numbers = [np.array([number]) for number in (start, end, axis)]
    return node("Slice", [source, *names], [made]), dict(zip(names, numbers, strict=True))


def of_parts(*parts: tuple[Any, ...], after: list[Any]) -> Case:
    constants: dict[str, Any] = {}
    for _, more in parts:
        constants |= more
    return [one for one, _ in parts] + after, constants


TO_TOKENS = [node("Reshape", ["a", "s"], ["ta"]), node("Reshape", ["d", "s"], ["td"])]
NORM = [
    node("ReduceMean", ["a"], ["mean"], axes=[-1]),
    node("Sub", ["a", "mean"], ["apart"]),
    node("Pow", ["apart", "two"], ["squares"]),
    node("ReduceMean", ["squares"], ["variance"], axes=[-1]),
    node("Add", ["variance", "little"], ["plus"]),
    node("Sqrt", ["plus"], ["root"]),
    node("Div", ["apart", "root"], ["quotient"]),
    node("Mul", ["quotient", "w"], ["scaled"]),
    node("Add", ["scaled", "w"], ["b"]),
]
NORM_CONSTANTS = {"two": np.float32(2), "little": np.float32(1e-5), "w": ROW}

CASES: dict[str, Case] = {
    "product and bias": (
        [node("MatMul", ["a", "w"], ["m"]), node("Add", ["m", "v"], ["b"])],
        {"w": SQUARE, "v": ROW},
    ),
    "product and bias that is read twice": (
        [
            node("MatMul", ["a", "w"], ["m"]),
            node("Add", ["m", "v"], ["n"]),
            node("Sub", ["n", "m"], ["b"]),
        ],
        {"w": SQUARE, "v": ROW},
    ),
    "product and another tensor": (
        [node("MatMul", ["a", "w"], ["m"]), node("Add", ["m", "d"], ["b"])],
        {"w": SQUARE},
    ),
    "transposed product": (
        [transposed("d", "t", 0, 1, 3, 2), node("MatMul", ["a", "t"], ["b"])],
        {},
    ),
    "product transposed on both sides": (
        [
            transposed("a", "t", 0, 1, 3, 2),
            transposed("d", "u", 0, 1, 3, 2),
            transposed("u", "v", 0, 1, 3, 2),
            node("MatMul", ["t", "v"], ["b"]),
        ],
        {},
    ),
    "batches of a product": (
        [
            *TO_TOKENS,
            transposed("ta", "t", 1, 0, 2),
            transposed("td", "u", 1, 2, 0),
            node("MatMul", ["t", "u"], ["b"]),
        ],
        {"s": TOKENS},
    ),
    "transposition that a product cannot take": (
        [
            transposed("a", "t", 0, 2, 1, 3),
            transposed("d", "u", 0, 2, 3, 1),
            node("MatMul", ["t", "u"], ["b"]),
        ],
        {},
    ),
    "scaled operands and result": (
        [
            node("Mul", ["a", "k"], ["m"]),
            node("Mul", ["d", "k"], ["n"]),
            transposed("n", "t", 0, 1, 3, 2),
            node("MatMul", ["m", "t"], ["p"]),
            node("Div", ["p", "k"], ["b"]),
        ],
        {"k": HALF},
    ),
    "scaled after a transposition": (
        [
            transposed("d", "t", 0, 1, 3, 2),
            node("Mul", ["t", "k"], ["n"]),
            node("MatMul", ["a", "n"], ["b"]),
        ],
        {"k": HALF},
    ),
    "number divided by an operand": (
        [
            node("Div", ["k", "d"], ["n"]),
            transposed("n", "t", 0, 1, 3, 2),
            node("MatMul", ["a", "t"], ["b"]),
        ],
        {"k": HALF},
    ),
    "attention": (
        [
            transposed("d", "t", 0, 1, 3, 2),
            node("MatMul", ["a", "t"], ["p"]),
            node("Mul", ["p", "k"], ["q"]),
            node("Softmax", ["q"], ["r"], axis=-1),
            node("MatMul", ["r", "a"], ["b"]),
        ],
        {"k": HALF},
    ),
    "norm": (NORM, NORM_CONSTANTS),
    "norm of what is read again": (
        [*NORM[:-1], node("Add", ["scaled", "w"], ["n"]), node("Sub", ["n", "apart"], ["b"])],
        NORM_CONSTANTS,
    ),
    "norm without a mean": (
        [
            node("Identity", ["a"], ["apart"]),
            *NORM[2:-2],
            node("Mul", ["quotient", "w"], ["b"]),
        ],
        NORM_CONSTANTS,
    ),
    "norm of a sum": (
        [
            *TO_TOKENS,
            node("Add", ["ta", "td"], ["m"]),
            node("LayerNormalization", ["m", "w", "w"], ["b"], axis=-1),
        ],
        {"s": TOKENS, "w": ROW},
    ),
    "norm of a sum that is read again": (
        [
            *TO_TOKENS,
            node("Add", ["ta", "td"], ["m"]),
            node("LayerNormalization", ["m", "w", "w"], ["n"], axis=-1),
            node("Sub", ["n", "m"], ["b"]),
        ],
        {"s": TOKENS, "w": ROW},
    ),
    "Gelu, half last": (
        [
            node("Div", ["a", "r"], ["m"]),
            node("Erf", ["m"], ["e"]),
            node("Add", ["e", "o"], ["f"]),
            node("Mul", ["a", "f"], ["g"]),
            node("Mul", ["g", "h"], ["b"]),
        ],
        {"r": SQRT2, "o": ONE, "h": HALF},
    ),
    "Gelu, half first": (
        [
            node("Mul", ["a", "h"], ["g"]),
            node("Div", ["a", "r"], ["m"]),
            node("Erf", ["m"], ["e"]),
            node("Add", ["e", "o"], ["f"]),
            node("Mul", ["g", "f"], ["b"]),
        ],
        {"r": SQRT2, "o": ONE, "h": HALF},
    ),
    "Gelu without the half": (
        [
            node("Div", ["a", "r"], ["m"]),
            node("Erf", ["m"], ["e"]),
            node("Add", ["e", "o"], ["f"]),
            node("Mul", ["a", "f"], ["b"]),
        ],
        {"r": SQRT2, "o": ONE},
    ),
    "x * sigmoid(x)": ([node("Sigmoid", ["a"], ["s"]), node("Mul", ["a", "s"], ["b"])], {}),
    "x * sigmoid(k * x)": (
        [
            node("Mul", ["a", "k"], ["m"]),
            node("Sigmoid", ["m"], ["s"]),
            node("Mul", ["a", "s"], ["b"]),
        ],
        {"k": np.float32(1.702)},
    ),
    "x * sigmoid(z)": ([node("Sigmoid", ["d"], ["s"]), node("Mul", ["a", "s"], ["b"])], {}),
    "parts of all": of_parts(
        part("p", 0, 48), part("q", 48, 96), after=[node("Sub", ["p", "q"], ["b"])]
    ),
    "parts of some": of_parts(
        part("p", 0, 32), part("q", 48, 80), after=[node("Sub", ["p", "q"], ["b"])]
    ),
    "parts that overlap": of_parts(
        part("p", 0, 64), part("q", 32, 96), after=[node("Sub", ["p", "q"], ["b"])]
    ),
    "parts along two axes": of_parts(
        part("p", 0, 48),
        part("q", 0, 4, 2),
        after=[node("ReduceMax", ["p"], ["m"], axes=[2, 3]), node("Sub", ["q", "m"], ["b"])],
    ),
    "parts of what is read whole, too": of_parts(
        part("p", 0, 48),
        part("q", -48, 96),
        after=[
            node("Sub", ["p", "q"], ["m"]),
            node("Concat", ["m", "m"], ["n"], axis=3),
            node("Sub", ["n", "a"], ["b"]),
        ],
    ),
    "rows taken of a transposed tensor": (
        [
            node("Reshape", ["a", "s"], ["t"]),
            transposed("t", "u", 2, 0, 3, 1, 4),
            *(node("Gather", ["u", f"i{i}"], [f"g{i}"], axis=0) for i in range(3)),
            transposed("g1", "v", 0, 1, 3, 2),
            node("MatMul", ["g0", "v"], ["m"]),
            node("MatMul", ["m", "g2"], ["b"]),
        ],
        {"s": np.array([1, 8, 3, 4, 32]), **{f"i{i}": np.int64(i) for i in range(3)}},
    ),
    "undone transposition": (
        [
            transposed("a", "t", 0, 2, 3, 1),
            node("Erf", ["t"], ["e"]),
            transposed("e", "b", 0, 3, 1, 2),
        ],
        {},
    ),
    "norm between a transposition and its inverse": (
        [
            *TO_TOKENS[:1],
            transposed("ta", "t", 0, 2, 1),
            node("ReduceMean", ["t"], ["mean"], axes=[-1]),
            node("Sub", ["t", "mean"], ["apart"]),
            *NORM[2:-2],
            node("Mul", ["quotient", "v"], ["n"]),
            transposed("n", "b", 0, 2, 1),
        ],
        {**NORM_CONSTANTS, "s": TOKENS, "v": np.ones(32, np.float32)},
    ),
    "hard swish behind a convolution": (
        [
            node("Conv", ["a", "k"], ["c"], kernel_shape=[1, 1]),
            node("HardSwish", ["c"], ["h"]),
            node("Conv", ["h", "l"], ["b"], kernel_shape=[1, 1]),
        ],
        {"k": np.ones((16, 4, 1, 1), np.float32), "l": np.ones((4, 16, 1, 1), np.float32)},
    ),
    "hard swish that is read twice": (
        [
            node("Conv", ["a", "k"], ["c"], kernel_shape=[1, 1]),
            node("HardSwish", ["c"], ["h"]),
            node("Conv", ["h", "l"], ["m"], kernel_shape=[1, 1]),
            node("Sub", ["m", "h"], ["b"]),
        ],
        {"k": np.ones((16, 4, 1, 1), np.float32), "l": np.ones((16, 16, 1, 1), np.float32)},
    ),
    "rows as an image": (
        [
            node("Reshape", ["a", "s"], ["t"]),
            transposed("t", "u", 0, 2, 1),
            node("Reshape", ["u", "r"], ["b"]),
        ],
        {"s": TOKENS, "r": np.array([1, 96, 4, 8])},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_allocations_are_those_that_are_seen(asking: Asking, name: str) -> None:
    seen, predicted = asking.seen_and_predicted(*CASES[name])
    assert seen in predicted


@pytest.mark.parametrize("name", ["product and bias", "undone transposition"])
def test_so_are_those_of_the_output(asking: Asking, name: str) -> None:
    seen, predicted = asking.seen_and_predicted(*CASES[name], is_output=True)
    assert seen in predicted


def test_a_hard_swish_that_makes_the_output_is_two_kernels(asking: Asking) -> None:
    nodes, constants = CASES["hard swish behind a convolution"]
    seen, predicted = asking.seen_and_predicted(nodes[:2], constants, is_output=True)
    assert seen in predicted
