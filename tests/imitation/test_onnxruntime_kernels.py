"""Predicted kernels are those that run, by onnxruntime's own profile; and rule by rule, by hand."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given

from edgeunet.convert.network_graph import graph_of_recipe
from edgeunet.graph.for_engine import finish
from edgeunet.graph.stages import FrameGraph, StageGraph
from edgeunet.graph.summary import GraphView, view_of_model, write_model
from edgeunet.imitation.kernels import Kernel, bytes_of, in_order, nodes_of, source_of
from edgeunet.imitation.onnxruntime_kernels import kernels_of as kernels_on
from edgeunet.ort.onnxruntime_session import _load, _options
from edgeunet.processors import AVX512_VNNI
from edgeunet.specs import Engine, Precision
from tests.analysis.graphs import Builder, random_views
from tests.convert.small import small

WIDTH = 16
BASE = 64
FRAME_SIZE = (64, 96)
# A recipe, and where it is cut: level and how many levels are made again.
CUTS = [
    ("unetmm", 2, 0),
    ("unetmm", 3, 1),
    ("joint", 2, 0),
    ("unet", 2, 1),
    ("addunet", 1, 0),
    ("umc-dense", 3, 2),
    ("nafnet", 1, 0),
]
Ran = tuple[str, int]
"""A kernel's operator and the bytes of its outputs."""


def kernels_of(view: GraphView, *, late_first: bool = True) -> list[Kernel]:
    """The kernels on AVX-512, in blocks of 16."""
    return kernels_on(view, AVX512_VNNI, late_first=late_first)


def in_blocks_of_16() -> bool:
    """Whether onnxruntime computes on this machine as the imitation says: with AVX-512."""
    known = Path("/proc/cpuinfo")
    return known.exists() and " avx512f" in known.read_text()


@functools.cache
def network(name: str) -> ir.Model:
    return graph_of_recipe(small(name, WIDTH), BASE, BASE, Precision.FP32)


def stages_of(name: str, level: int, recompute: int) -> tuple[StageGraph, ...]:
    return FrameGraph(network(name)).cut(level, recompute=recompute)


def profiled(model: ir.Model, folder: Path) -> list[Ran]:
    """Run a graph once and return the kernels that ran, in order."""
    path = folder / "stage.onnx"
    write_model(model, path)
    options = _options(1)
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = _load(path, options)
    generator = np.random.default_rng(0)
    feeds = {
        node.name: generator.integers(0, 256, node.shape).astype(np.uint8)
        if "uint8" in node.type
        else generator.random(node.shape).astype(np.float32)
        for node in session.get_inputs()
    }
    session.run(None, feeds)
    events = json.loads(Path(session.end_profiling()).read_text())
    return [
        (event["args"]["op_name"], int(event["args"]["output_size"]))
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    ]


def imitated(model: ir.Model, *, late_first: bool) -> list[Ran]:
    """The same by imitation, under the profile's names."""
    view = view_of_model(model)
    return [
        (_as_profiled(kernel), sum(bytes_of(name, view, 16) for name in kernel.outputs))
        for kernel in kernels_of(view, late_first=late_first)
    ]


def _as_profiled(kernel: Kernel) -> str:
    if kernel.op_type == "Resize" and source_of(kernel.outputs[0]) != kernel.outputs[0]:
        return "Upsample"
    return kernel.op_type.replace("FusedConv", "Conv")


@pytest.mark.skipif(not in_blocks_of_16(), reason="onnxruntime blocks 16 channels with AVX-512")
@pytest.mark.parametrize(("name", "level", "recompute"), CUTS)
def test_the_kernels_are_those_of_the_profile(
    name: str, level: int, recompute: int, tmp_path: Path
) -> None:
    for stage in stages_of(name, level, recompute):
        model = finish(stage.at(*FRAME_SIZE), Engine.ONNXRUNTIME)
        ran = profiled(model, tmp_path)
        late, early = (imitated(model, late_first=first) for first in (True, False))
        assert ran == (early if ran == early else late), stage.name


def ops(kernels: list[Kernel]) -> list[str]:
    return [kernel.op_type for kernel in kernels]


def made(kernels: list[Kernel]) -> list[str]:
    return [name for kernel in kernels for name in kernel.outputs]


def test_copies_stand_where_blocks_begin_and_end() -> None:
    b = Builder(x=(1, 16, 4, 4))
    b.node("Conv", "x", "a", 1, 20, 4, 4)
    b.node("Softmax", "a", "y", 1, 20, 4, 4)
    view = b.view("y")
    kernels = kernels_of(view)
    assert ops(kernels) == ["ReorderInput", "Conv", "ReorderOutput", "Softmax"]
    assert made(kernels) == ["x in blocks", "a in blocks", "a", "y"]
    assert kernels[1].inputs == ["x in blocks"]
    assert bytes_of("a", view, 16) == 20 * 16 * 4
    assert bytes_of("a in blocks", view, 16) == 32 * 16 * 4
    assert (source_of("a in blocks"), source_of("a")) == ("a", "a")


def test_few_channels_are_read_as_they_are_and_written_in_blocks() -> None:
    b = Builder(x=(1, 15, 4, 4))
    b.node("Conv", "x", "a", 1, 3, 4, 4)
    b.node("Conv", "a", "y", 1, 16, 4, 4)
    kernels = kernels_of(b.view("y"))
    # The second reads three of the sixteen channels the first wrote: out of blocks again.
    assert ops(kernels) == ["Conv", "ReorderOutput", "Conv", "ReorderOutput"]
    assert [kernel.inputs for kernel in kernels[::2]] == [["x"], ["a"]]


def test_an_activation_is_joined_with_the_convolution_only_it_reads() -> None:
    b = Builder(x=(1, 16, 4, 4))
    b.node("Conv", "x", "a", 1, 16, 4, 4)
    b.node("Relu", "a", "r", 1, 16, 4, 4)
    b.node("Conv", "r", "c", 1, 16, 4, 4)
    b.node("Relu", "c", "s", 1, 16, 4, 4)
    b.node("Mul", "c s", "y", 1, 16, 4, 4)
    kernels = kernels_of(b.view("y"))
    assert ops(kernels) == ["ReorderInput", "FusedConv", "Conv", "Relu", "Mul", "ReorderOutput"]
    assert made(kernels)[1:4] == ["r in blocks", "c in blocks", "s in blocks"]


def test_a_sum_is_joined_with_the_convolution_and_written_over_the_other_term() -> None:
    kernels = kernels_of(block_with_a_sum("Add"))
    assert ops(kernels) == ["ReorderInput", "Conv", "Conv", "ReorderOutput"]
    joined = kernels[2]
    assert joined.outputs == ["s in blocks"]
    assert joined.over == "a in blocks"
    assert joined.inputs == ["a in blocks", "a in blocks"]


def test_a_product_is_a_kernel_of_its_own() -> None:
    kernels = kernels_of(block_with_a_sum("Mul"))
    assert ops(kernels) == ["ReorderInput", "Conv", "Conv", "Mul", "ReorderOutput"]
    assert all(kernel.over is None for kernel in kernels)


def block_with_a_sum(operator: str) -> GraphView:
    b = Builder(x=(1, 16, 4, 4))
    b.node("Conv", "x", "a", 1, 16, 4, 4)
    b.node("Conv", "a", "c", 1, 16, 4, 4)
    b.node(operator, "a c", "s", 1, 16, 4, 4)
    return b.view("s")


def test_a_sum_of_what_is_not_in_blocks_stays_outside() -> None:
    b = Builder(x=(1, 16, 4, 4), other=(1, 16, 4, 4))
    b.node("Conv", "x", "a", 1, 16, 4, 4)
    b.node("Add", "a other", "s", 1, 16, 4, 4)
    kernels = kernels_of(b.view("s"))
    assert ops(kernels) == ["ReorderInput", "Conv", "ReorderOutput", "Add"]
    assert kernels[-1].over is None


def test_views_and_clips_say_what_they_share() -> None:
    b = Builder(x=(1, 3, 4, 4))
    b.node("Exp", "x", "a", 1, 3, 4, 4)
    b.node("Clip", "a", "c", 1, 3, 4, 4)
    b.node("Reshape", "c", "flat", 1, 48)
    b.node("Exp", "flat", "y", 1, 48)
    view = b.view("y")
    assert [(k.op_type, k.over, k.is_view) for k in kernels_of(view)] == [
        ("Exp", None, False),
        ("Clip", "a", False),
        ("Reshape", "c", True),
        ("Exp", None, False),
    ]
    # Another engine's clip has bytes of its own.
    assert [k.over for k in nodes_of(view)] == [None, None, "c", None]


@pytest.mark.parametrize("operator", ["Cast", "Reshape"])
def test_two_in_a_row_are_one(operator: str) -> None:
    b = Builder(x=(6,))
    b.node(operator, "x", "a", 2, 3)
    b.node(operator, "a", "c", 3, 2)
    b.node("Softmax", "c", "y", 3, 2)
    assert made(kernels_of(b.view("y"))) == ["c", "y"]
    assert made(kernels_of(b.view("y", "a"))) == ["a", "c", "y"]


def test_a_transposition_into_blocks_is_done_by_the_copy() -> None:
    b = Builder(x=(1, 4, 6, 16))
    b.node("Transpose", "x", "t", 1, 16, 4, 6)
    b.node("Conv", "t", "a", 1, 16, 4, 6)
    b.node("Transpose", "a", "y", 1, 4, 6, 16)
    kernels = kernels_of(b.view("y"))
    assert ops(kernels) == ["ReorderInput", "Conv", "ReorderOutput"]
    assert kernels[0].inputs == ["x"]
    assert kernels[-1].outputs == ["y"]


def test_a_transposed_convolution_takes_scratch_and_keeps_its_weights() -> None:
    b = Builder(x=(1, 16, 4, 6))
    weight = b.weight("w", 16, 8, 2, 2)
    b.node("ConvTranspose", f"x {weight}", "u", 1, 8, 8, 12)
    b.node("Conv", "u", "y", 1, 8, 8, 12)
    transposed = kernels_of(b.view("y"))[0]
    assert transposed.inputs == ["x"], "a weight is no activation"
    # Per pixel of the input, every channel's kernel.
    assert [one.size_bytes for one in transposed.scratch] == [(8 * 2 * 2) * (4 * 6) * 4]
    assert transposed.kept_bytes == 16 * 8 * 2 * 2 * 4


@pytest.mark.parametrize(("late_first", "order"), [(True, ["a", "c"]), (False, ["c", "a"])])
def test_copies_out_of_blocks_in_either_order(late_first: bool, order: list[str]) -> None:
    b = Builder(x=(1, 16, 4, 4))
    b.node("Conv", "x", "a", 1, 16, 4, 4)
    b.node("Conv", "x", "c", 1, 16, 4, 4)
    kernels = kernels_of(b.view("a", "c"), late_first=late_first)
    copies = [kernel.outputs[0] for kernel in kernels if kernel.op_type == "ReorderOutput"]
    assert copies == order
    assert made(kernels)[-2:] == [f"{order[-1]} in blocks", order[-1]], "depth first"


@given(random_views())
def test_every_kernel_runs_once_after_what_it_reads(view: GraphView) -> None:
    kernels = kernels_of(view)
    known = set(view.inputs)
    for kernel in kernels:
        assert known.issuperset(kernel.inputs)
        assert known.isdisjoint(kernel.outputs)
        known.update(kernel.outputs)
    assert known.issuperset(view.outputs)
    assert {id(kernel) for kernel in in_order(kernels)} == {id(kernel) for kernel in kernels}
