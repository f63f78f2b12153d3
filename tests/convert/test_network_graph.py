"""Every recipe's graph against its torch network, and what TensorRT wants of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch

from edgeunet.convert.frame_module import FrameModule
from edgeunet.convert.network_graph import NetworkGraphs, frame_module, graph_of_recipe
from edgeunet.convert.remembering_frame import remembering_parts
from edgeunet.errors import UsageError
from edgeunet.models import Network
from edgeunet.recipes import Recipe
from edgeunet.specs import Precision, Task
from tests.convert.small import DISTINCT, bytes_for, graph, small

# Operators that the ONNX parsers of TensorRT 8.6, 10.x and 11 have.
TENSORRT_OPS = {
    "Abs", "Add", "ArgMax", "AveragePool", "Cast", "Clip", "Concat", "Conv", "ConvTranspose",
    "DepthToSpace", "Div", "Gemm", "LeakyRelu", "MaxPool", "Mul",
    "ReduceMean", "Relu", "Reshape", "Resize", "Round", "Slice", "Softmax", "SpaceToDepth",
    "Split", "Sqrt", "Sub", "Transpose",
}  # fmt: skip

Networks = Callable[..., Network]


def graphs_of(network: Network, recipe: Recipe) -> NetworkGraphs:
    """Return the graphs; of a network that remembers, those of the part after its memory."""
    if network.recurrence is None:
        return NetworkGraphs(frame_module(network, recipe), recipe)
    network.reverse_image_channels()
    parts = remembering_parts(network.eval(), recipe)
    return NetworkGraphs(parts.network, recipe, parts)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
@pytest.mark.parametrize("name", DISTINCT)
def test_graph_says_what_the_network_says(
    name: str, precision: Precision, scattered_network: Networks
) -> None:
    recipe = small(name)
    # A network that remembers has a graph for frames that need no padding only.
    height, width = (48, 64) if recipe.remembers else (37, 52)
    graphs = graphs_of(scattered_network(recipe), recipe)
    module = graphs.module
    model = graphs.at(height, width, precision)
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = bytes_for(model, 3)
    given = session.run(None, feeds)
    names = ("frame",) if isinstance(module, FrameModule) else module.inputs
    with torch.inference_mode():
        answers = module(*(torch.from_numpy(feeds[name]) for name in names))
    wanted = [tensor.numpy() for tensor in answers]
    assert wanted[0].std() > 1, "the network says nothing: the comparison would be empty"
    for pathway, a, b in zip(recipe.pathways, given, wanted, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        difference = np.abs(a.astype(np.float64) - b)
        if pathway.head is Task.DENOISE:
            mse = (difference**2).mean()
            floor_db = 80 if precision is Precision.FP32 else 55
            assert mse <= 255**2 * 10 ** (-floor_db / 10)
        elif pathway.head is Task.SEGMENT:
            assert (difference > 0).mean() <= 0.01
        else:
            assert difference.max() <= 0.01


@pytest.mark.parametrize("name", DISTINCT)
def test_graph_is_what_every_tensorrt_parses(name: str) -> None:
    for precision in (Precision.FP32, Precision.FP16):
        model = graph(name, precision)
        assert model.opset_imports == {"": 17}
        assert model.ir_version == 8
        assert {node.op_type for node in model.graph} <= TENSORRT_OPS
        for node in model.graph:
            if node.op_type == "Cast" and node.outputs[0].dtype is ir.DataType.UINT8:
                # TensorRT makes uint8 from floats only.
                source = node.inputs[0]
                assert source is not None
                assert source.dtype in (ir.DataType.FLOAT, ir.DataType.FLOAT16)


@pytest.mark.parametrize("name", DISTINCT)
def test_no_float_copy_of_the_frame_is_held(name: str) -> None:
    """Whatever is made from the frame alone has one reader: it is made again for the next."""
    model = graph(name, Precision.FP32)
    frame = model.graph.inputs[0]
    assert frame.dtype is ir.DataType.UINT8
    derived = {frame}
    for node in model.graph:
        variable = [v for v in node.inputs if v is not None and v.const_value is None]
        if variable and all(v in derived for v in variable) and node.op_type != "Conv":
            derived.add(node.outputs[0])
            assert len(list(node.outputs[0].uses())) == 1
    readers = [use.node for use in frame.uses()]
    assert len(readers) >= 2


def test_half_keeps_statistics_in_fp32() -> None:
    model = graph("unetmm-naf", Precision.FP16)
    kinds = {"ReduceMean", "Sqrt", "Sub", "Div"}
    for node in model.graph:
        wide = node.outputs[0].dtype is ir.DataType.FLOAT
        if node.op_type in kinds:
            assert wide, node.name
        if node.op_type == "Mul" and node.inputs[0] is node.inputs[1]:
            assert wide, "squares overflow in FP16"
        if node.op_type == "Conv":
            assert not wide, node.name


def test_half_halves_the_weights() -> None:
    full = graph("unetmm", Precision.FP32)
    half = graph("unetmm", Precision.FP16)

    def weight_bytes(model: ir.Model) -> int:
        values = model.graph.initializers.values()
        return sum(v.const_value.nbytes for v in values if v.const_value is not None)

    assert weight_bytes(half) < 0.51 * weight_bytes(full)


def test_layer_scales_and_gates_are_folded(scattered_network: Networks) -> None:
    """No per-channel factor is left: every Mul has two tensors, or is one of the frame's."""
    for name in ("unetmm-naf", "addunet"):
        recipe = small(name)
        module = frame_module(scattered_network(recipe), recipe)
        model = NetworkGraphs(module, recipe).at(32, 48, Precision.FP32)
        constants = [
            node.name
            for node in model.graph
            if node.op_type in ("Mul", "Add")
            and any(
                v is not None and v.const_value is not None and v.const_value.size > 1
                for v in node.inputs
            )
        ]
        assert constants == []
        if name == "addunet":
            scalars = [n for n in model.graph if n.op_type == "Mul" and n.inputs[0] is not None]
            assert len(scalars) <= 3, "1/255 twice and 255 once; the four gates are in weights"


def test_graph_names_nothing_of_the_exporting_machine() -> None:
    data = ir.to_proto(graph("joint", Precision.FP32))
    assert b"edgeunet/models" not in data.SerializeToString()
    assert b".py" not in data.SerializeToString()


def test_too_small_a_frame() -> None:
    with pytest.raises(UsageError, match="8x64 pixels is too small for unetmm") as caught:
        graph_of_recipe(small("unetmm"), 8, 64, Precision.FP32)
    assert "at least 16" in caught.value.hint


def test_int8_needs_something_to_quantize_with() -> None:
    with pytest.raises(UsageError, match="an INT8 graph needs the ranges of its tensors"):
        graph_of_recipe(small("unetmm"), 32, 48, Precision.INT8)
