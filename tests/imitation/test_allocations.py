"""What is taken and given back, worked out with a pencil and compared with the plain lifetimes."""

from __future__ import annotations

import pytest
from hypothesis import given

from edgeunet.analysis.liveness import liveness_of
from edgeunet.graph.summary import GraphView
from edgeunet.imitation.allocations import Allocations, allocations_of
from edgeunet.imitation.onnxruntime_arena import Arena
from edgeunet.processors import AVX2, AVX512_VNNI
from edgeunet.specs import Engine
from tests.analysis.graphs import Builder, random_views

ENGINES = [Engine.ONNXRUNTIME, Engine.TENSORRT]


def live(view: GraphView, engine: Engine = Engine.ONNXRUNTIME) -> list[int]:
    """Return the live bytes of every step, nothing growing with the window."""
    return [constant for _, constant in allocations_of(view, (), 1, engine).live_lines()]


def test_the_callers_tensors_take_nothing() -> None:
    b = Builder(x=(10,))
    b.node("Softmax", "x", "a", 10)
    b.node("Softmax", "a", "y", 10)
    assert live(b.view("y")) == [40, 40]


def test_a_view_takes_nothing_and_keeps_its_source() -> None:
    b = Builder(x=(10,))
    b.node("Softmax", "x", "a", 10)
    b.node("Reshape", "a", "flat", 2, 5)
    b.node("Softmax", "x", "c", 20)
    b.node("Concat", "c flat", "y", 30)
    for engine in ENGINES:
        assert max(live(b.view("y"), engine)) == 120


def test_a_view_of_the_callers_tensor_takes_nothing_and_is_not_written_over() -> None:
    b = Builder(x=(10,))
    b.node("Reshape", "x", "flat", 2, 5)
    b.node("Clip", "flat", "c", 2, 5)
    b.node("Softmax", "c", "y", 2, 5)
    assert live(b.view("y")) == [0, 40, 40]


def test_a_clip_in_place_takes_nothing_but_only_if_nobody_reads_what_it_clips() -> None:
    def graph(last_reads: str) -> GraphView:
        b = Builder(x=(10,))
        b.node("Softmax", "x", "a", 10)
        b.node("Clip", "a", "c", 10)
        b.node("Concat", last_reads, "y", 20)
        return b.view("y")

    assert live(graph("c x")) == [40, 40, 40]
    assert live(graph("c a")) == [40, 80, 80]
    assert live(graph("c x"), Engine.TENSORRT) == [40, 80, 40]


def test_a_sum_over_a_term_that_is_read_again_takes_its_own_bytes() -> None:
    def graph(last_reads: str) -> GraphView:
        b = Builder(x=(1, 16, 2, 2))
        b.node("Conv", "x", "a", 1, 16, 2, 2)
        b.node("Conv", "a", "c", 1, 16, 2, 2)
        b.node("Add", "a c", "s", 1, 16, 2, 2)
        b.node("Mul", last_reads, "m", 1, 16, 2, 2)
        b.node("Softmax", "m", "y", 1, 16, 2, 2)
        return b.view("y")

    one = 16 * 4 * 4
    # ReorderInput, Conv, Conv with the sum, Mul, ReorderOutput, Softmax.
    assert live(graph("s s")) == [one, 2 * one, one, 2 * one, 2 * one, one]
    assert live(graph("s a")) == [one, 2 * one, 2 * one, 3 * one, 2 * one, one]


def test_scratch_lives_for_its_step() -> None:
    b = Builder(x=(1, 16, 2, 3))
    weight = b.weight("w", 16, 8, 2, 2)
    b.node("ConvTranspose", f"x {weight}", "u", 1, 8, 4, 6)
    b.node("Softmax", "u", "y", 1, 8, 4, 6)
    view = b.view("y")
    result, scratch = 8 * 4 * 6 * 4, 8 * 2 * 2 * 2 * 3 * 4
    assert live(view) == [result + scratch, result]
    assert live(view, Engine.TENSORRT) == [result, result]


def test_weights_of_direct_integer_convolutions_are_kept() -> None:
    b = Builder(x=(1, 16, 2, 3))
    b.node("QLinearConv", f"x {b.weight('w', 24, 16, 3, 3)}", "a", 1, 24, 2, 3)
    b.node("Softmax", "a", "y", 1, 24, 2, 3)
    found = allocations_of(b.view("y"), (), 1, Engine.ONNXRUNTIME, AVX512_VNNI)
    assert found.kept_bytes == (32 * 16 * 9,)
    assert allocations_of(b.view("y"), (), 1, Engine.ONNXRUNTIME, AVX2).kept_bytes == ()
    arena = Arena()
    found.load(arena)
    assert arena.touched_bytes == 32 * 16 * 9


def test_what_is_placed_grows_with_the_window_and_the_rest_does_not() -> None:
    b = Builder(x=(1, 3, 4, 6))
    b.node("Softmax", "x", "a", 1, 3, 4, 6)
    b.node("Softmax", "a", "vector", 1, 3)
    b.node("Mul", "a vector", "y", 1, 3, 4, 6)
    found = allocations_of(b.view("y"), {"x", "a", "y"}, 4 * 6, Engine.ONNXRUNTIME)
    assert found.peak_bytes(4 * 6) == 3 * 4 * 6 * 4 + 3 * 4
    assert found.peak_bytes(40 * 60) == 3 * 40 * 60 * 4 + 3 * 4


def test_of_two_orders_the_one_that_takes_more_is_taken() -> None:
    b = Builder(x=(1, 16, 2, 2))
    b.node("Conv", "x", "small", 1, 16, 2, 2)
    b.node("Conv", "small", "large", 1, 64, 2, 2)
    b.node("Conv", "small", "other", 1, 16, 2, 2)
    b.node("Conv", "large", "end", 1, 16, 2, 2)
    view = b.view("other", "end")
    one = 16 * 4 * 4
    # "other" last: the first convolution's result is held beside the large one and "end".
    assert max(live(view)) == one + 4 * one + one


@given(random_views())
def test_an_engine_that_keeps_to_the_graph_takes_its_live_peak(view: GraphView) -> None:
    found = allocations_of(view, (), 1, Engine.TENSORRT)
    assert found.peak_bytes(1) == liveness_of(view).peak_bytes


@pytest.mark.parametrize("engine", ENGINES)
@given(view=random_views())
def test_all_that_is_taken_is_given_back_once(engine: Engine, view: GraphView) -> None:
    found = allocations_of(view, (), 1, engine)
    held: set[int] = set()
    for taken, given_back in found.steps:
        assert held.isdisjoint(taken)
        held.update(taken)
        assert held.issuperset(given_back)
        held.difference_update(given_back)
    assert not held
    twice_in_one_arena(found)


def twice_in_one_arena(found: Allocations) -> None:
    """What the first frame gave back is all there for the second."""
    arena = Arena()
    found.replay(arena, 1)
    touched = arena.touched_bytes
    found.replay(arena, 1)
    assert arena.touched_bytes >= touched >= found.peak_bytes(1)
