"""Held tensors never share bytes while both are needed, but where one is written over another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeunet.analysis.held_layout import HeldLayout, StageBorders, lay_out_held
from edgeunet.specs import TensorSpec


def spec(name: str, length: int) -> TensorSpec:
    return TensorSpec(name, (length,), "uint8")


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[StageBorders], list[TensorSpec]]:
    """Stages that read what earlier ones made; the frame and outputs are not held."""
    held: list[TensorSpec] = []
    stages: list[StageBorders] = []
    for index in range(draw(st.integers(1, 7))):
        known = [entry.name for entry in held]
        reads = draw(st.lists(st.sampled_from(known), unique=True, max_size=3)) if known else []
        makes = [
            spec(f"t{index}_{i}", draw(st.sampled_from([8, 64, 100, 640])))
            for i in range(draw(st.integers(0, 3)))
        ]
        held += makes
        outputs = tuple(entry.name for entry in makes)
        stages.append(StageBorders(("frame", *reads), outputs, draw(st.booleans())))
    return stages, held


def contents_survive(
    stages: Sequence[StageBorders], held: Sequence[TensorSpec], layout: HeldLayout
) -> None:
    """Play the stages on bytes, cell by cell where that is allowed."""
    arena = np.zeros(layout.arena_bytes, np.uint8)
    sizes = {entry.name: entry.size_bytes for entry in held}
    marks = {entry.name: index % 250 + 1 for index, entry in enumerate(held)}

    def view(name: str) -> np.ndarray:
        start = layout.offsets[name]
        assert start + sizes[name] <= layout.arena_bytes
        return arena[start : start + sizes[name]]

    for stage in stages:
        reads = [name for name in stage.inputs if name in sizes]
        for name in reads:
            assert (view(name) == marks[name]).all(), name
        for name in stage.outputs:
            view(name)[:] = marks[name]
        # A cell that was read may be written, by the one output that says so.
        gone = {layout.overwrites[name] for name in stage.outputs if name in layout.overwrites}
        for name in set(reads) - gone:
            assert (view(name) == marks[name]).all(), f"{name} is written while it is read"
        for name in stage.outputs:
            assert (view(name) == marks[name]).all(), f"{name} is written twice in one stage"


@given(plans())
def test_nothing_is_written_over_before_it_was_read(
    plan: tuple[list[StageBorders], list[TensorSpec]],
) -> None:
    stages, held = plan
    contents_survive(stages, held, lay_out_held(stages, held))


@given(plans())
def test_only_what_dies_in_a_cellwise_stage_is_written_over(
    plan: tuple[list[StageBorders], list[TensorSpec]],
) -> None:
    stages, held = plan
    layout = lay_out_held(stages, held)
    shapes = {entry.name: (entry.shape, entry.dtype) for entry in held}
    for name, twin in layout.overwrites.items():
        index = next(i for i, stage in enumerate(stages) if name in stage.outputs)
        assert stages[index].cellwise
        assert twin in stages[index].inputs
        assert all(twin not in stage.inputs for stage in stages[index + 1 :])
        assert shapes[name] == shapes[twin]
        assert layout.offsets[name] == layout.offsets[twin]
    assert len(set(layout.overwrites.values())) == len(layout.overwrites)


@given(plans())
def test_what_is_live_fits_in_the_arena(
    plan: tuple[list[StageBorders], list[TensorSpec]],
) -> None:
    stages, held = plan
    layout = lay_out_held(stages, held)
    assert len(layout.live_bytes) == len(stages)
    assert max(layout.live_bytes) <= layout.arena_bytes
    assert set(layout.offsets) == {entry.name for entry in held}


@pytest.mark.parametrize(("cellwise", "arena_bytes"), [(True, 640), (False, 1280)])
def test_a_cellwise_stage_writes_in_place(cellwise: bool, arena_bytes: int) -> None:
    stages = [
        StageBorders(("frame",), ("a",), cellwise=False),
        StageBorders(("a",), ("b",), cellwise),
        StageBorders(("b",), ("out",), cellwise=False),
    ]
    layout = lay_out_held(stages, [spec("a", 640), spec("b", 640)])
    assert layout.arena_bytes == arena_bytes
    assert layout.overwrites == ({"b": "a"} if cellwise else {})


def test_what_is_read_later_is_not_written_over() -> None:
    stages = [
        StageBorders(("frame",), ("a",), cellwise=False),
        StageBorders(("a",), ("b",), cellwise=True),
        StageBorders(("a", "b"), ("out",), cellwise=True),
    ]
    assert lay_out_held(stages, [spec("a", 640), spec("b", 640)]).overwrites == {}
