"""Networks of others in windows give what they give on the whole frame, at even and odd sizes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
import pytest

from edgeunet.errors import GraphError
from edgeunet.frame_windows import smallest_window
from edgeunet.graph.stages import FrameGraph, StageGraph
from tests.graph import foreign
from tests.graph.foreign import Net, frame_of
from tests.graph.foreign_attention import ATTENTION
from tests.graph.plain_windows import run_stages, run_whole

NETWORKS = {**foreign.NETWORKS, **ATTENTION}
TOLERANCE = 1e-5
# What a network of strides, or of one fixed share of the frame, asks of sizes.
MULTIPLES = {"unet": 4, "w_shape": 2, "segmenter": 8, "squeezed": 2, "normalized": 2,
             "channels_last": 4, "shuffled": 2, "thirds": 3,
             "one_way": 2, "attending": 4, "corners": 4, "cells": 8,
             "queries": 4}  # fmt: skip


def cuts_of(model: ir.Model) -> Iterator[tuple[StageGraph, ...]]:
    graph = FrameGraph(model)
    for level in range(1, graph.levels + 1):
        for recompute in range(level + 1):
            try:
                yield graph.cut(level, recompute=recompute)
            except GraphError:
                break


def smallest_windows(
    stages: tuple[StageGraph, ...], size: tuple[int, int], more: int = 0
) -> list[tuple[int, int] | None]:
    """Return the smallest windows of every stage, longer by ``more`` steps."""
    found: list[tuple[int, int] | None] = []
    for stage in stages:
        halos = (stage.halo_rows, stage.halo_columns)
        rows, columns = (
            smallest_window(stage.align, halo, length) + more * stage.align
            for halo, length in zip(halos, size, strict=True)
        )
        found.append((rows, columns) if stage.windowed else None)
    return found


def check(model: ir.Model, size: tuple[int, int], more: int) -> int:
    """Compare every cut with the whole frame; return how many windows were smaller than it."""
    frame = frame_of(*size)
    wanted = run_whole(model, frame)
    smaller = 0
    for stages in cuts_of(model):
        windows = smallest_windows(stages, size, more)
        given = run_stages(stages, frame, windows)
        smaller += sum(window is not None and window < size for window in windows)
        for name, whole in wanted.items():
            assert given[name].shape == whole.shape
            error = np.abs(given[name].astype(np.float64) - whole).max()
            assert error <= TOLERANCE * max(np.abs(whole).max(), 1), (name, error, stages[0].align)
    return smaller


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("size", "more"), [((96, 120), 0), ((101, 131), 1)])
def test_windows_give_what_the_whole_frame_gives(
    name: str, size: tuple[int, int], more: int
) -> None:
    multiple = MULTIPLES.get(name, 1)
    height, width = (side // multiple * multiple for side in size)
    model = NETWORKS[name](Net(height, width))
    assert check(model, (height, width), more) > 0


@pytest.mark.parametrize(
    ("name", "left"),
    [
        # Maps of positions, made once; never the Resizes themselves.
        ("corners", {"Slice", "Reshape"}),
        # The product of all pixels by themselves, and the lengths of channels.
        ("tokens", {"Reshape"}),
        # The keys alone.
        ("queries", {"Reshape"}),
        # Moving the frame around its border.
        ("cells", {"Slice", "Concat", "Reshape"}),
    ],
)
def test_only_what_needs_the_frame_runs_whole(name: str, left: set[str]) -> None:
    graph = FrameGraph(NETWORKS[name](Net(96, 120)))
    stages = graph.cut(graph.levels)
    assert {one.why.split()[1] for stage in stages for one in stage.operators} == left
    whole = {node.op_type for stage in stages if not stage.windowed for node in stage.model.graph}
    assert not whole & {"Conv", "LayerNormalization", "Resize"}
