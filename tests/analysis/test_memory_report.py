"""The report's figures agree with each other and with graphs counted by hand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from edgeunet.analysis.memory_report import analyse, frame_of, precision_of
from edgeunet.analysis.roles import Role
from edgeunet.graph.summary import GraphNode, GraphTensor, GraphView, TensorKind
from edgeunet.specs import Precision
from tests.analysis.graphs import Builder, random_views, unet

UNIT = 8 * 64 * 64 * 4


def test_the_figures_of_a_small_u_net() -> None:
    report = analyse(unet(8, 64, 2), model="small")
    # up0 and sum0 are alive with the skip of level 0: three tensors of C*H*W.
    assert report.peak_live_bytes == report.arena_bytes == 3 * UNIT
    assert report.skip_bytes == UNIT + UNIT // 2
    assert report.io_bytes == 2 * 3 * 64 * 64 * 4
    assert report.steps[report.peak_step].node == report.peak_at == "n10"
    assert {(t.name, t.role) for t in report.live_at_peak} == {
        ("enc0", Role.SKIP), ("up0", Role.STREAM), ("sum0", Role.STREAM),
    }  # fmt: skip
    assert (report.model, report.size, report.arena_gap_percent) == ("small", "64x64", 0.0)


@given(random_views())
def test_the_figures_agree(view: GraphView) -> None:
    report = analyse(view)
    assert sum(t.size_bytes for t in report.live_at_peak) == report.peak_live_bytes
    assert max(step.live_bytes for step in report.steps) == report.peak_live_bytes
    assert report.peak_live_bytes <= report.arena_bytes
    assert report.view_gain_bytes >= 0
    assert all(0 <= step.skip_bytes <= step.live_bytes for step in report.steps)


def test_what_sharing_views_gains_is_said() -> None:
    b = Builder(x=(4,))
    b.node("Relu", "x", "a", 100)
    b.node("Reshape", "a", "r", 10, 10)
    b.node("Relu", "r", "y", 4)
    report = analyse(b.view("y"))
    assert (report.peak_live_bytes, report.view_gain_bytes) == (400, 400)


def test_the_document_has_the_documented_keys() -> None:
    document = analyse(unet(8, 64, 2)).document()
    assert list(document) == [
        "model", "size", "precision", "tile", "halo", "skip_bytes", "peak_live_bytes",
        "arena_bytes", "io_bytes", "weight_bytes", "held_bytes", "recompute_ratio",
        "predicted_bytes", "stages", "gains", "peak_at", "live_at_peak",
    ]  # fmt: skip
    assert json.loads(json.dumps(document)) == document
    assert document["live_at_peak"][0] == {"name": "enc0", "bytes": UNIT, "role": "skip"}
    assert (document["tile"], document["halo"], document["recompute_ratio"]) == (None, None, 1.0)
    assert (document["held_bytes"], document["predicted_bytes"]) == (0, None)


@pytest.mark.parametrize(
    ("shape", "frame"),
    [
        ((1, 480, 640, 3), (480, 640)),
        ((1, 3, 480, 640), (480, 640)),
        ((1, 480, 640, 1), (480, 640)),
        ((1, 3, 480, 3), (480, 3)),
        ((1, 480, 640), None),
    ],
)
def test_the_frame_size_is_read_in_either_order(
    shape: tuple[int, ...], frame: tuple[int, int] | None
) -> None:
    b = Builder(x=shape)
    b.node("Relu", "x", "y", *shape)
    assert frame_of(b.view("y")) == frame


def conv_view(dtype: str, maker: str) -> GraphView:
    shape = (1, 1, 4, 4)
    tensors = [
        GraphTensor("x", shape, dtype, 64, TensorKind.INPUT),
        GraphTensor("a", shape, dtype, 64, TensorKind.ACTIVATION),
        GraphTensor("y", shape, dtype, 64, TensorKind.OUTPUT),
    ]
    nodes = (GraphNode(0, "m", maker, ("x",), ("a",)), GraphNode(1, "c", "Conv", ("a",), ("y",)))
    return GraphView("v", ("x",), ("y",), nodes, tuple(tensors))


@pytest.mark.parametrize(
    ("dtype", "maker", "precision"),
    [
        ("float32", "Relu", Precision.FP32),
        ("float16", "Relu", Precision.FP16),
        ("float32", "DequantizeLinear", Precision.INT8),
    ],
)
def test_precision_is_what_convolutions_compute_in(
    dtype: str, maker: str, precision: Precision
) -> None:
    assert precision_of(conv_view(dtype, maker)) is precision
