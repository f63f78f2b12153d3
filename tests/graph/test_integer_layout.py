"""8-bit graphs laid out: the same bytes, from kernels that read what they need where it lies."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from edgeunet.graph.integer_layout import IntegerLayoutCounts, lay_out_integers
from edgeunet.graph.stages import FrameGraph
from edgeunet.graph.values import Floats, static_shape
from edgeunet.ort.onnxruntime_session import DISABLED_OPTIMIZERS
from edgeunet.specs import Engine
from tests.convert.small import base, quantized_copy

NAMES = ("unetmm", "joint", "unet", "addunet-joint", "unetmm-naf")


@functools.cache
def quantized(name: str) -> ir.Model:
    return quantized_copy(base(name), Engine.ONNXRUNTIME)


@pytest.mark.parametrize("name", NAMES)
def test_networks_say_the_same(name: str) -> None:
    model = quantized(name).clone()
    before = run(model)
    counts = lay_out_integers(model)
    assert counts.widened
    assert bool(counts.shuffles) == name.startswith(("unetmm", "joint"))
    for one, other in zip(run(model), before, strict=True):
        if name == "unetmm-naf":
            # Norms in floats: what was half way between two of the 8 bits may go to either.
            assert np.mean(one != other) < 0.1
        else:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size", [(128, 64), (48, 80)])
def test_stages_say_the_same_and_keep_their_borders(size: tuple[int, int]) -> None:
    for stage in FrameGraph(quantized("unetmm")).cut(2):
        laid = stage.at(*size)
        borders = [(value.name, static_shape(value)) for value in laid.graph.outputs]
        before = run(laid)
        lay_out_integers(laid)
        assert not {"DepthToSpace", "SpaceToDepth"} & {node.op_type for node in laid.graph}
        assert [(v.name, static_shape(v)) for v in laid.graph.outputs] == borders
        for one, other in zip(run(laid), before, strict=True):
            np.testing.assert_array_equal(one, other)


def test_every_integer_kernel_is_still_one(tmp_path: Path) -> None:
    model = quantized("unetmm").clone()
    before = kernels(model, tmp_path)
    lay_out_integers(model)
    after = kernels(model, tmp_path)
    assert after.count("QLinearConv") == before.count("QLinearConv") > 40
    assert after.count("QLinearAdd") == before.count("QLinearAdd")
    # One copy for each shuffle, and one for what makes the image in floats; before, nearly every
    # operator had some.
    assert after.count("Transpose") == 11 < before.count("Transpose")


@pytest.mark.parametrize(
    ("channels", "kept", "kernel", "width", "pads", "weight", "stride"),
    [
        # The frame: four columns are read, and given, as channels.
        (3, 16, 3, 8, (1, 1), (64, 12, 3, 3), 1),
        (3, 16, 5, 8, (2, 2), (64, 12, 5, 3), 1),
        (3, 16, 3, 6, (1, 1), (32, 6, 3, 3), 1),
        (3, 16, 3, 8, (2, 0), (64, 12, 3, 2), 1),
        (3, 16, 5, 8, (0, 0), (64, 12, 5, 2), 1),
        # Few are given.
        (16, 16, 3, 8, (1, 1), (32, 16, 3, 4), 2),
        (16, 3, 3, 16, (1, 1), (24, 16, 3, 10), 8),
        (4, 16, 3, 8, (1, 1), (64, 4, 3, 6), 4),
        # Point by point.
        (16, 2, 1, 16, (0, 0), (32, 256, 1, 1), 1),
        (16, 2, 1, 4, (0, 0), (8, 64, 1, 1), 1),
        # Left alone: enough channels; columns that no two make one of; strides.
        (16, 32, 3, 8, (1, 1), (32, 16, 3, 3), 1),
        (16, 16, 3, 7, (1, 1), (16, 16, 3, 3), 1),
    ],
)
def test_columns_as_channels(
    channels: int,
    kept: int,
    kernel: int,
    width: int,
    pads: tuple[int, int],
    weight: tuple[int, ...],
    stride: int,
) -> None:
    model = convolution(channels, kept, kernel, width, pads)
    before = run(model)
    counts = lay_out_integers(model)
    assert counts == IntegerLayoutCounts(shuffles=0, widened=int(weight[0] != kept))
    (conv,) = [node for node in model.graph if node.op_type == "Conv"]
    assert conv.inputs[1] is not None
    assert static_shape(conv.inputs[1]) == weight
    strides = conv.attributes.get("strides")
    assert (tuple(strides.as_ints()) if strides is not None else (1, 1)) == (1, stride)
    for one, other in zip(run(model), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_floats_are_left_alone() -> None:
    model = base("unetmm").clone()
    before = [node.op_type for node in model.graph]
    assert lay_out_integers(model) == IntegerLayoutCounts(shuffles=0, widened=0)
    assert [node.op_type for node in model.graph] == before


def convolution(
    channels: int, kept: int, kernel: int, width: int, pads: tuple[int, int]
) -> ir.Model:
    """One convolution between 8-bit tensors, (1, channels, 5, width) in."""
    import onnx
    from onnx import numpy_helper

    generator = np.random.default_rng(0)
    left, right = pads
    contents = {
        "bits": generator.integers(-127, 128, (kept, channels, kernel, kernel)).astype(np.int8),
        "scales": generator.uniform(0.01, 0.02, kept).astype(np.float32),
        "zeros": np.zeros(kept, np.int8),
        "shift": generator.integers(-99, 99, kept).astype(np.int32),
        "shift_scales": generator.uniform(0.01, 0.02, kept).astype(np.float32),
        "shift_zeros": np.zeros(kept, np.int32),
        "scale": np.float32(0.02),
        "zero": np.uint8(7),
        "result_scale": np.float32(0.5),
    }
    proto = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        g (uint8[1, {channels}, 5, {width}] x) => (uint8[n, c, h, w] y) {{
            shown = DequantizeLinear (x, scale, zero)
            weight = DequantizeLinear <axis = 0> (bits, scales, zeros)
            bias = DequantizeLinear <axis = 0> (shift, shift_scales, shift_zeros)
            sum = Conv <kernel_shape = [{kernel}, {kernel}], pads = [1, {left}, 1, {right}]>
                (shown, weight, bias)
            positive = Relu (sum)
            y = QuantizeLinear (positive, result_scale, zero)
        }}"""
    )
    for name, content in contents.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(content), name))
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True))


def session(model: ir.Model, written: Path | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if written is not None:
        options.optimized_model_filepath = str(written)
    return onnxruntime.InferenceSession(
        ir.to_proto(model).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=list(DISABLED_OPTIMIZERS),
    )


def run(model: ir.Model) -> list[Floats]:
    opened = session(model)
    generator = np.random.default_rng(2)
    feeds = {
        node.name: generator.integers(0, 256, node.shape).astype(np.uint8)
        for node in opened.get_inputs()
    }
    result: list[Floats] = opened.run(None, feeds)
    return result


def kernels(model: ir.Model, folder: Path) -> list[str]:
    session(model, folder / "optimised.onnx")
    return [node.op_type for node in ir.load(folder / "optimised.onnx").graph]
