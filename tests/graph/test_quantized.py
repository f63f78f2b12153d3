"""A float graph becomes one that engines join into integer kernels, and says so when they do."""

from __future__ import annotations

import collections
import functools
from pathlib import Path

import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from edgeunet.analysis.memory_report import analyse
from edgeunet.graph.int8_placement import (
    Points,
    makers_of_images,
    placement_of,
    points_of,
    quantization_key,
    show_points,
)
from edgeunet.graph.integer import with_integer_kernels
from edgeunet.graph.quantized import quantize
from edgeunet.graph.summary import view_of_model
from edgeunet.ort.onnxruntime_session import DISABLED_OPTIMIZERS
from edgeunet.specs import Engine, Precision
from tests.convert.compiling import compiled, parsed
from tests.convert.small import graph, quantized_copy

NAMES = ("unetmm", "joint", "unet", "unetmm-naf", "addunet-joint")
BYTES = {Engine.ONNXRUNTIME: ir.DataType.UINT8, Engine.TENSORRT: ir.DataType.INT8}


@functools.cache
def quantized(name: str, engine: Engine, kept: tuple[int, ...] = ()) -> ir.Model:
    return quantized_copy(graph(name, Precision.FP32), engine, kept)


@pytest.mark.parametrize("engine", list(Engine))
@pytest.mark.parametrize("name", NAMES)
def test_convolutions_read_8_bits(name: str, engine: Engine) -> None:
    model = quantized(name, engine)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    placement = placement_of(graph(name, Precision.FP32), engine)
    inside = [node for node in model.graph if node.op_type == "Conv" and reads_bits(node)]
    assert len(inside) == placement.convolutions[0] > 0
    assert placement.convolutions[0] + len(placement.kept) == placement.convolutions[1]
    assert placement.share > (0.4 if name == "unetmm-naf" else 0.85)
    for node in inside:
        weight = node.inputs[1].producer() if node.inputs[1] is not None else None
        assert weight is not None
        bits, _, zero = weight.inputs
        assert bits is not None
        assert zero is not None
        assert bits.dtype is ir.DataType.INT8
        assert zero.const_value is not None
        assert not zero.const_value.numpy().any()
    kinds = {n.outputs[0].dtype for n in model.graph if n.op_type == "QuantizeLinear"}
    assert kinds == {BYTES[engine]}


def reads_bits(node: ir.Node) -> bool:
    makers = [v.producer() for v in node.inputs[:2] if v is not None]
    return all(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers)


def optimised(model: ir.Model, folder: Path) -> collections.Counter[str]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    data = ir.to_proto(model).SerializeToString()
    onnxruntime.InferenceSession(
        data,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=list(DISABLED_OPTIMIZERS),
    )
    nodes = onnx.load(folder / "optimised.onnx").graph.node
    return collections.Counter(node.op_type for node in nodes)


@pytest.mark.parametrize("name", NAMES)
def test_onnxruntime_has_an_integer_kernel_for_each(name: str, tmp_path: Path) -> None:
    kernels = optimised(quantized(name, Engine.ONNXRUNTIME), tmp_path)
    inside, _ = placement_of(graph(name, Precision.FP32), Engine.ONNXRUNTIME).convolutions
    assert kernels["QLinearConv"] == inside
    kept = [n for n in graph(name, Precision.FP32).graph if n.op_type == "Conv"]
    assert kernels["Conv"] + kernels["FusedConv"] == len(kept) - inside


@pytest.mark.parametrize("engine", list(Engine))
def test_onnxruntime_computes_in_floats_what_is_kept(engine: Engine, tmp_path: Path) -> None:
    """Its optimizer quantizes a float convolution between 8-bit tensors, unless told not to."""
    kept = (2, 5, 9)
    model = quantized("unetmm", engine, kept)
    kernels = optimised(model, tmp_path)
    count, every = placement_of(graph("unetmm", Precision.FP32), engine, kept).convolutions
    bits = [w for w in onnx.load(tmp_path / "optimised.onnx").graph.initializer if w.data_type == 3]
    assert kernels["QLinearConv"] == (count if engine is Engine.ONNXRUNTIME else 0)
    assert len([w for w in bits if len(w.dims) == 4]) == count < every - 2


def test_what_the_memory_figures_take_for_kernels_is_what_runs(tmp_path: Path) -> None:
    model = quantized("unetmm", Engine.ONNXRUNTIME)
    kernels = optimised(model, tmp_path)
    view = with_integer_kernels(view_of_model(model))
    found = collections.Counter(node.op_type for node in view.nodes)
    for kind in ("QLinearConv", "QLinearAdd", "DepthToSpace", "SpaceToDepth", "QuantizeLinear"):
        assert found[kind] == kernels[kind]
    # What is left in floats makes the image: what its convolution reads, and the frame's own sum.
    floats = [t for t in view.tensors if t.kind == "activation" and t.dtype == "float32"]
    assert collections.Counter(t.shape for t in floats)[1, 8, 32, 48] == 1
    assert {t.shape for t in floats} == {(1, 8, 32, 48), (1, 3, 32, 48), (1, 32, 48, 3)}


def test_memory_falls_to_a_quarter() -> None:
    whole = analyse(view_of_model(graph("unetmm", Precision.FP32)))
    for engine in Engine:
        report = analyse(view_of_model(quantized("unetmm", engine)))
        assert report.precision is Precision.INT8
        assert report.skip_bytes * 4 == whole.skip_bytes
        assert report.weight_bytes < whole.weight_bytes / 3
    report = analyse(view_of_model(quantized("unetmm", Engine.ONNXRUNTIME)))
    # What makes the image reads floats: a quarter of what is live at width 16, more at width 8.
    assert report.peak_live_bytes < 0.5 * whole.peak_live_bytes


def test_a_graph_without_quantizers_is_left_alone() -> None:
    view = view_of_model(graph("unetmm", Precision.FP32))
    assert with_integer_kernels(view) is view


@pytest.mark.parametrize("engine", list(Engine))
def test_what_is_kept_stays_in_floats(engine: Engine) -> None:
    model = quantized("unetmm", engine, (3, 5))
    placement = placement_of(graph("unetmm", Precision.FP32), engine, (3, 5))
    floats = [n for n in model.graph if n.op_type == "Conv" and not reads_bits(n)]
    assert [n.inputs[1].name for n in floats if n.inputs[1]] == list(placement.kept)
    everything = placement_of(graph("unetmm", Precision.FP32), engine)
    assert set(placement.kept) > set(everything.kept)
    assert placement.share < everything.share


@pytest.mark.parametrize("name", ["unetmm", "joint", "unetmm-naf", "addunet-joint"])
def test_onnxruntime_makes_the_image_in_floats(name: str) -> None:
    model = graph(name, Precision.FP32)
    (number,) = makers_of_images(model, Engine.ONNXRUNTIME)
    maker = Points(model, Engine.ONNXRUNTIME).convolutions[number]
    assert maker.outputs[0].shape is not None
    assert maker.outputs[0].shape[1] == 3
    placement = placement_of(model, Engine.ONNXRUNTIME)
    assert placement.kept == ((maker.inputs[1].name if maker.inputs[1] else ""),)
    assert placement.convolutions[0] == placement.convolutions[1] - 1
    # What it reads is stored in 8 bits all the same, so that no stage holds floats for it.
    found = quantized(name, Engine.ONNXRUNTIME)
    same = next(n for n in found.graph if n.name == maker.name)
    source = same.inputs[0].producer() if same.inputs[0] is not None else None
    assert source is not None
    assert source.op_type == "DequantizeLinear"
    assert makers_of_images(model, Engine.TENSORRT) == ()


def test_what_stays_in_floats_changes_no_range() -> None:
    """So that ranges that were measured stay good whatever is kept."""
    model = graph("unetmm", Precision.FP32)
    points = points_of(model, Engine.ONNXRUNTIME)
    names = {value.name for value in points.values}
    shown = set(show_points(model.clone()))
    assert names < shown
    assert len(shown) - len(names) == 1


def test_ranges_hold_at_every_size_and_for_these_weights_only() -> None:
    model = graph("unetmm", Precision.FP32).clone()
    weights, structure = quantization_key(model)
    weight = next(v for v in model.graph.initializers.values() if v.name and "stem" in v.name)
    assert weight.const_value is not None
    weight.const_value = ir.tensor(weight.const_value.numpy() + 1, name=weight.name)
    others = quantization_key(model)
    assert others[0] != weights
    assert others[1] == structure
    assert quantization_key(graph("joint", Precision.FP32))[1] != structure


def test_weights_outside_convolutions_count_too() -> None:
    model = graph("unetmm-naf", Precision.FP32).clone()
    weights, structure = quantization_key(model)
    factor = next(
        value
        for value in model.graph.initializers.values()
        if value.dtype is ir.DataType.FLOAT
        and {use.node.op_type for use in value.uses()} == {"Mul"}
    )
    assert factor.const_value is not None
    factor.const_value = ir.tensor(factor.const_value.numpy() * 2, name=factor.name)
    others = quantization_key(model)
    assert others[0] != weights
    assert others[1] == structure


def test_wrong_numbers_of_ranges_are_a_bug() -> None:
    with pytest.raises(ValueError, match="2 intervals for"):
        quantize(graph("unetmm", Precision.FP32).clone(), [(0.0, 1.0)] * 2, Engine.TENSORRT)


def test_shown_tensors_are_the_points() -> None:
    model = graph("unetmm", Precision.FP32).clone()
    names = show_points(model)
    assert len(set(names)) == len(names) == len(Points(model, Engine.ONNXRUNTIME).values)
    assert {v.name for v in model.graph.outputs} == {"denoised", *names}


def test_tensorrt_concatenates_8_bits_of_one_scale() -> None:
    model = quantized("unet", Engine.TENSORRT)
    joined = [node for node in model.graph if node.op_type == "Concat"]
    assert joined
    assert {node.outputs[0].dtype for node in joined} == {ir.DataType.INT8}
    separate = quantized("unet", Engine.ONNXRUNTIME)
    kinds = {node.outputs[0].dtype for node in separate.graph if node.op_type == "Concat"}
    assert kinds == {ir.DataType.FLOAT}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_tensorrt_compiles_it(name: str) -> None:
    compiled(parsed(quantized(name, Engine.TENSORRT)))
