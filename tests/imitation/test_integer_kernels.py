"""Integer kernels as predicted are those that run, by onnxruntime's own profile; copies by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir
import pytest

from edgeunet.graph.for_engine import finish
from edgeunet.graph.integer import with_integer_kernels
from edgeunet.graph.stages import FrameGraph
from edgeunet.graph.summary import TO_LAST, GraphView, view_of_model
from edgeunet.imitation.integer_kernels import with_channels_last
from edgeunet.imitation.kernels import bytes_of
from edgeunet.imitation.onnxruntime_kernels import kernels_of
from edgeunet.processors import AVX512_VNNI
from edgeunet.specs import Engine
from tests.analysis.graphs import Builder
from tests.convert.small import quantized_copy
from tests.imitation.test_onnxruntime_kernels import FRAME_SIZE, Ran, network, profiled

VIEWS = {"Reshape"}


def imitated(model: ir.Model) -> list[Ran]:
    view = with_channels_last(with_integer_kernels(view_of_model(model)))
    return [
        (kernel.op_type, sum(bytes_of(name, view, 16) for name in kernel.outputs))
        for kernel in kernels_of(view, AVX512_VNNI)
        if not kernel.is_view
    ]


@pytest.mark.parametrize(("name", "level"), [("unetmm", 2), ("unetmm", 3), ("joint", 2)])
def test_the_kernels_are_those_of_the_profile(name: str, level: int, tmp_path: Path) -> None:
    for stage in FrameGraph(quantized_copy(network(name), Engine.ONNXRUNTIME)).cut(level):
        model = finish(stage.at(*FRAME_SIZE), Engine.ONNXRUNTIME)
        ran = [kernel for kernel in profiled(model, tmp_path) if kernel[0] not in VIEWS]
        found = imitated(model)
        assert Counter(found) == Counter(ran), stage.name
        if stage.name == "decode":
            assert found == ran


def test_what_crosses_a_border_is_copied() -> None:
    b = Builder(x=(1, 32, 4, 4))
    b.node("QLinearConv", "x", "a", 1, 32, 4, 4)
    b.node("QLinearConv", "x", "c", 1, 32, 4, 4)
    b.node("QLinearAdd", "a a", "y", 1, 32, 4, 4)
    view = with_channels_last(in_bytes(b.view("c", "y")))
    assert [(node.op_type, *node.inputs, *node.outputs) for node in view.nodes] == [
        ("Transpose", "x", "x with channels last"),
        ("QLinearConv", "x with channels last", "a"),
        ("QLinearConv", "x with channels last", "c with channels last"),
        ("Transpose", "c with channels last", "c"),
        ("QLinearAdd", "a", "a", "y with channels last"),
        ("Transpose", "y with channels last", "y"),
    ]
    assert view.tensor("x with channels last").size_bytes == 512
    assert [node.index for node in view.nodes] == list(range(6))


def test_sums_with_what_came_in_have_its_order() -> None:
    b = Builder(x=(1, 32, 4, 4))
    b.node("QLinearConv", "x", "a", 1, 32, 4, 4)
    b.node("QLinearAdd", "x a", "s", 1, 32, 4, 4)
    b.node("QLinearConv", "s", "d", 1, 32, 4, 4)
    b.node("QLinearAdd", "d s", "y", 1, 32, 4, 4)
    view = with_channels_last(in_bytes(b.view("y")))
    assert [(node.op_type, *node.inputs, *node.outputs) for node in view.nodes] == [
        ("Transpose", "x", "x with channels last"),
        ("QLinearConv", "x with channels last", "a"),
        ("Transpose", "a", "a with channels first"),
        ("QLinearAdd", "x", "a with channels first", "s"),
        ("Transpose", "s", "s with channels last"),
        ("QLinearConv", "s with channels last", "d"),
        ("Transpose", "d", "d with channels first"),
        ("QLinearAdd", "d with channels first", "s", "y"),
    ]


def test_a_convolution_in_floats_reads_channels_first() -> None:
    b = Builder(x=(1, 32, 4, 4))
    b.node("QLinearConv", "x", "a", 1, 32, 4, 4)
    b.node("DequantizeLinear", "a", "f", 1, 32, 4, 4)
    b.node("Conv", "f", "y", 1, 32, 4, 4)
    view = with_channels_last(in_bytes(b.view("y")))
    assert [(node.op_type, *node.inputs) for node in view.nodes][2:4] == [
        ("Transpose", "a"),
        ("DequantizeLinear", "a with channels first"),
    ]


@pytest.mark.parametrize("beside", ["QLinearConv", "Cast"])
def test_a_change_of_order_behind_a_dequantizer_is_a_copy_of_bytes(beside: str) -> None:
    b = Builder(x=(1, 32, 4, 4))
    b.node(beside, "x", "a", 1, 32, 4, 4)
    b.node("DequantizeLinear", "x", "f", 1, 32, 4, 4)
    b.node("Reshape", "f", "last", 1, 4, 4, 32)
    b.node("MatMul", f"last {b.weight('w', 32, 16)}", "y", 1, 4, 4, 16)
    view = in_bytes(b.view("a", "y"))
    nodes = [replace(n, perm=TO_LAST) if n.outputs == ("last",) else n for n in view.nodes]
    found = with_channels_last(replace(view, nodes=tuple(nodes)))
    copied = "x with channels last"
    assert [node.outputs for node in found.nodes].count((copied,)) == 1
    assert [(n.op_type, *n.inputs[:1]) for n in found.nodes if n.outputs[0] in ("f", "last")] == [
        ("DequantizeLinear", copied),
        ("Reshape", "f"),
    ]


def test_a_pool_of_bytes_needs_no_blocks() -> None:
    b = Builder(x=(1, 16, 4, 4))
    b.node("QLinearConv", "x", "a", 1, 16, 4, 4)
    b.node("MaxPool", "a", "y", 1, 16, 2, 2)
    view = with_channels_last(in_bytes(b.view("y")))
    assert [node.op_type for node in view.nodes][-1] == "NhwcMaxPool"


@pytest.mark.parametrize(
    ("weight", "scratch_bytes", "kept_bytes"),
    [
        # Pointers to what is read, for every pixel.
        ((32, 16, 3, 4), [96], 32 * 16 * 12),
        ((64, 12, 3, 3), [72], 64 * 12 * 9),
        ((24, 16, 3, 10), [240], 32 * 16 * 30),
        ((16, 16, 3, 3), [72], 16 * 16 * 9),
        ((128, 128, 1, 1), [], 128 * 128),
        # Sums of 32 bits, and copies of what is read. The weights are not in the arena.
        ((16, 3, 3, 3), [64, 27], 0),
        ((3, 16, 3, 3), [12, 144], 0),
        ((12, 16, 3, 3), [48, 144], 0),
        ((8, 8, 3, 3), [32, 72], 0),
        ((8, 8, 1, 1), [32], 0),
    ],
)
def test_what_an_integer_convolution_takes_beside_its_result(
    weight: tuple[int, ...], scratch_bytes: list[int], kept_bytes: int
) -> None:
    b = Builder(x=(1, weight[1], 1, 1))
    b.weight("w", *weight)
    b.node("QLinearConv", "x w", "a", 1, weight[0], 1, 1)
    b.node("Relu", "a", "y", 1, weight[0], 1, 1)
    (kernel, _) = kernels_of(b.view("y"), AVX512_VNNI)
    assert [one.size_bytes for one in kernel.scratch] == scratch_bytes
    assert kernel.kept_bytes == kept_bytes


def test_floats_are_left_alone() -> None:
    b = Builder(x=(1, 16, 4, 4))
    b.node("Conv", "x", "y", 1, 16, 4, 4)
    view = b.view("y")
    assert with_channels_last(view) is view


def in_bytes(view: GraphView) -> GraphView:
    """The same graph with every tensor as uint8."""
    tensors = [replace(t, dtype="uint8", size_bytes=t.size_bytes // 4) for t in view.tensors]
    return replace(view, tensors=tuple(tensors))
