"""The copies a compiler makes, on graphs whose figures can be worked out with a pencil."""

from __future__ import annotations

from dataclasses import replace

from edgeunet.analysis.liveness import liveness_of
from edgeunet.graph.summary import GraphView
from edgeunet.imitation.tensorrt_compiler import WORKSPACE_BYTES, compiled_bytes, compiled_view
from tests.analysis.graphs import Builder

PIXELS = 10 * 20
PLANE = 4 * PIXELS


def test_a_graph_without_borders_of_tensors_has_its_live_peak_and_the_workspace() -> None:
    b = Builder(frame=(1, 10, 20, 3))
    b.node("Cast", "frame", "x", 1, 10, 20, 3)
    b.node("Cast", "x", "y", 1, 10, 20, 3)
    b.node("Cast", "y", "z", 1, 10, 20, 3)
    view = _uint8(b.view("z"), "frame")
    live = liveness_of(view).peak_bytes
    assert live == 2 * 3 * PLANE
    # The frame reaches an output, so its floats stay from the first cast on, which reads it last.
    assert compiled_bytes(view) == live + WORKSPACE_BYTES


def test_what_comes_from_another_stage_is_copied_for_as_long_as_it_is_read() -> None:
    b = Builder(held=(1, 4, 10, 20))
    b.node("Conv", "held", "a", 1, 4, 10, 20)
    b.node("Conv", "a", "b", 1, 4, 10, 20)
    b.node("Add", "b held", "c", 1, 4, 10, 20)
    b.node("Conv", "c", "d", 1, 4, 10, 20)
    b.node("Conv", "d", "e", 1, 4, 10, 20)
    view = b.view("e")
    assert liveness_of(view).live_bytes == tuple(n * 4 * PLANE for n in (1, 2, 2, 2, 1))
    compiled = compiled_view(view)
    assert [node.op_type for node in compiled.nodes] == [
        "Copy", "Conv", "Conv", "Add", "Conv", "Conv",
    ]  # fmt: skip
    assert [node.index for node in compiled.nodes] == list(range(6))
    live = liveness_of(compiled).live_bytes
    assert live == tuple(n * 4 * PLANE for n in (1, 2, 3, 3, 2, 1))


def test_what_is_only_averaged_is_not_copied() -> None:
    b = Builder(held=(1, 4, 10, 20))
    b.node("ReduceMean", "held", "a", 1, 4, 1, 1)
    assert compiled_view(b.view("a")).nodes == b.view("a").nodes
    b.node("Conv", "held", "b", 1, 4, 10, 20)
    copied = compiled_view(b.view("a", "b")).nodes
    assert [node.op_type for node in copied] == ["Copy", "ReduceMean", "Conv"]


def test_what_goes_to_another_stage_and_is_read_here_is_copied_too() -> None:
    b = Builder(held=(1, 4, 10, 20))
    b.node("Conv", "held", "a", 1, 4, 10, 20)
    b.node("Conv", "a", "b", 1, 4, 10, 20)
    b.node("Conv", "b", "c", 1, 4, 10, 20)
    live = liveness_of(compiled_view(b.view("a", "c"))).live_bytes
    # held's copy; then with a's own; a's and b; b alone, since c is the caller's.
    assert live == tuple(n * 4 * PLANE for n in (1, 2, 2, 1))


def test_the_frame_is_kept_as_floats_and_as_the_convolution_wants_it() -> None:
    b = Builder(frame=(1, 10, 20, 3))
    b.node("Cast", "frame", "floats", 1, 10, 20, 3)
    b.node("Transpose", "floats", "planes", 1, 3, 10, 20)
    b.node("Conv", "planes", "a", 1, 16, 10, 20)
    b.node("Conv", "a", "b", 1, 3, 10, 20)
    b.node("Cast", "frame", "again", 1, 10, 20, 3)
    b.node("Add", "b again", "c", 1, 3, 10, 20)
    view = _uint8(b.view("c"), "frame")
    assert liveness_of(view).peak_bytes == 19 * PLANE
    assert liveness_of(compiled_view(view)).peak_bytes == (19 + 3 + 3) * PLANE
    half = _half(view, "planes")
    # Three channels become four of two bytes, where floats take three of four.
    assert liveness_of(compiled_view(half)).peak_bytes == (19 + 3 + 2) * PLANE


def _uint8(view: GraphView, name: str) -> GraphView:
    return _typed(view, name, "uint8", 1)


def _half(view: GraphView, name: str) -> GraphView:
    return _typed(view, name, "float16", 2)


def _typed(view: GraphView, name: str, dtype: str, size: int) -> GraphView:
    tensors = tuple(
        replace(t, dtype=dtype, size_bytes=t.size_bytes // 4 * size) if t.name == name else t
        for t in view.tensors
    )
    return replace(view, tensors=tensors)
