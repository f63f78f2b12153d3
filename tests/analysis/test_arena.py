"""Plans: valid, near their bound, and a graph that runs in them keeps its data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeunet.analysis import arena
from edgeunet.analysis.arena import ALIGNMENT_BYTES, lay_out_arena
from edgeunet.analysis.checker import check_layout
from edgeunet.analysis.liveness import Lifetime, liveness_of
from edgeunet.errors import GraphError
from edgeunet.graph.summary import GraphView, TensorKind
from tests.analysis.graphs import random_views, unet, unet_with_map


def buffer(name: str, size_bytes: int, start: int, end: int) -> Lifetime:
    return Lifetime(name, size_bytes, TensorKind.ACTIVATION, start, end)


@st.composite
def buffers(draw: st.DrawFn) -> tuple[Lifetime, ...]:
    found = []
    for index in range(draw(st.integers(0, 18))):
        start = draw(st.integers(0, 12))
        end = start + draw(st.integers(1, 8))
        found.append(buffer(f"b{index}", draw(st.integers(0, 700)), start, end))
    return tuple(found)


@given(buffers())
def test_any_plan_is_valid_and_between_its_bounds(found: tuple[Lifetime, ...]) -> None:
    plan = lay_out_arena(found)
    assert check_layout(found, plan.offsets, plan.arena_bytes, ALIGNMENT_BYTES) == ()
    live = max(
        (sum(b.size_bytes for b in found if b.alive_at(step)) for step in range(21)), default=0
    )
    whole = sum(-(-b.size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES for b in found)
    assert live <= plan.lower_bound_bytes <= plan.arena_bytes <= whole


def test_buffers_that_never_meet_share_their_place() -> None:
    plan = lay_out_arena([buffer("a", 64, 0, 2), buffer("b", 64, 2, 4)])
    assert plan.offsets == {"a": 0, "b": 0}
    assert plan.optimal


def test_a_gap_is_filled() -> None:
    """
    192 |-----------|
        |   long    |          long is placed first, at the bottom; small fits on top of it
      0 |-----------|          while big is gone, and big on top while small is gone
    """
    plan = lay_out_arena(
        [buffer("big", 128, 0, 2), buffer("small", 64, 2, 4), buffer("long", 64, 0, 4)]
    )
    assert plan.arena_bytes == 192


@pytest.mark.parametrize("view", [unet(8, 64, 4), unet_with_map(8, 64, 4)])
def test_u_nets_get_an_optimal_plan(view: GraphView) -> None:
    plan = lay_out_arena(liveness_of(view).activations)
    assert plan.optimal


def test_another_order_is_tried_when_the_first_misses_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sizes decreasing: b, c above it, a in b's place; d then fits only above c, at 512."""
    found = [
        buffer("a", 192, 2, 4), buffer("b", 256, 1, 2), buffer("c", 256, 1, 3),
        buffer("d", 128, 2, 5),
    ]  # fmt: skip
    monkeypatch.setattr(arena, "_ROUNDS", 1)
    plan = lay_out_arena(found)
    assert plan.order != "size"
    assert plan.arena_bytes == plan.lower_bound_bytes == 576


def test_buffers_above_the_bound_are_promoted(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        buffer("a", 192, 3, 6), buffer("b", 192, 2, 4), buffer("c", 128, 3, 4),
        buffer("d", 256, 1, 2), buffer("e", 256, 2, 3),
    ]  # fmt: skip
    assert lay_out_arena(found).arena_bytes == 512
    monkeypatch.setattr(arena, "_ROUNDS", 1)
    assert lay_out_arena(found).arena_bytes == 576


def test_a_wrong_plan_never_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena, "_place", lambda buffers, sizes, ranked: [0] * len(buffers))
    with pytest.raises(GraphError, match=r"arena layout is wrong: overlap: a at bytes \[0, 64\)"):
        lay_out_arena([buffer("a", 64, 0, 2), buffer("b", 64, 1, 3)])


@given(random_views())
def test_a_graph_that_runs_in_its_arena_keeps_its_data(view: GraphView) -> None:
    """Run it for real: every node writes its own byte into its output's place, and every
    reader must still find the byte of the node that made its input."""
    plan = lay_out_arena(liveness_of(view).activations)
    memory = np.zeros(max(1, plan.arena_bytes), dtype=np.uint8)
    places = {b.name: plan.offsets[b.name] for b in plan.buffers}
    written: dict[str, int] = {}
    for node in view.nodes:
        for name in node.inputs:
            if name in places:
                size = view.tensor(name).size_bytes
                assert (memory[places[name] : places[name] + size] == written[name]).all()
        (made,) = node.outputs
        if made in plan.offsets:
            written[made] = node.index + 1
            size = view.tensor(made).size_bytes
            memory[places[made] : places[made] + size] = written[made]
        elif view.tensor(made).kind is TensorKind.ACTIVATION and node.inputs[0] in places:
            places[made], written[made] = places[node.inputs[0]], written[node.inputs[0]]
