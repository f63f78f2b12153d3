"""Multiply-accumulates, counted by hand; and what a graph's last step does and leaves alone."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from edgeunet.graph.for_engine import finish
from edgeunet.graph.macs import macs_of
from edgeunet.graph.stages import FrameGraph
from edgeunet.models.counts import count
from edgeunet.specs import Engine
from tests.convert.small import BASE, base, small


def graph(body: str, inputs: str) -> ir.Model:
    import onnx

    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> g ({inputs}) => (float[n, c, h, w] y) {{{body}}}'
    )
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True))


@pytest.mark.parametrize(
    ("body", "inputs", "macs"),
    [
        (
            "y = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w)",
            "float[1, 4, 6, 8] x, float[5, 4, 3, 3] w",
            (5 * 3 * 4) * (4 * 3 * 3),
        ),
        (
            "y = Conv <pads = [1, 1, 1, 1], group = 4> (x, w)",
            "float[1, 4, 6, 8] x, float[4, 1, 3, 3] w",
            (4 * 6 * 8) * (3 * 3),
        ),
        (
            "y = ConvTranspose <strides = [2, 2]> (x, w)",
            "float[1, 4, 6, 8] x, float[4, 5, 2, 2] w",
            (4 * 6 * 8) * (5 * 2 * 2),
        ),
        ("y = MatMul (x, w)", "float[2, 3, 4, 5] x, float[5, 6] w", (2 * 3 * 4 * 6) * 5),
        ("a = Relu (x)  y = Add (a, x)", "float[1, 4, 6, 8] x", 0),
    ],
)
def test_macs(body: str, inputs: str, macs: int) -> None:
    assert macs_of(graph(body, inputs)) == macs


@pytest.mark.parametrize("name", ["unet", "unetmm"])
def test_a_networks_macs_are_those_that_are_listed(name: str) -> None:
    listed = count(small(name)).macs_per_pixel
    assert macs_of(base(name)) / BASE**2 == pytest.approx(listed, rel=0.02)


def test_stages_do_what_the_whole_does_and_more_when_they_make_it_again() -> None:
    whole = macs_of(base("unet"))
    stored, again = (
        sum(macs_of(stage.model) for stage in FrameGraph(base("unet")).cut(2, recompute=recompute))
        for recompute in (0, 2)
    )
    assert stored == whole < again


def test_finishing_lays_out_for_onnxruntime_alone() -> None:
    kinds = [node.op_type for node in base("unetmm").graph]
    left = finish(base("unetmm").clone(), Engine.TENSORRT)
    assert [node.op_type for node in left.graph] == kinds
    laid = finish(base("unetmm").clone(), Engine.ONNXRUNTIME)
    assert "DepthToSpace" in kinds
    assert "DepthToSpace" not in [node.op_type for node in laid.graph]
