"""Every recipe is parsed and compiled by TensorRT itself; without a GPU, for one that is named."""

from __future__ import annotations

import re

import pytest

from edgeunet.recipes import load_recipe, recipe_names
from edgeunet.specs import Precision, Task
from tests.convert.compiling import compiled, parsed, the_logger
from tests.convert.small import graph, small

trt = pytest.importorskip("tensorrt_rtx")

NUMPY_NAMES = {trt.uint8: "uint8", trt.float32: "float32"}


@pytest.mark.slow
@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
@pytest.mark.parametrize("name", recipe_names())
def test_tensorrt_compiles_the_graph(name: str, precision: Precision) -> None:
    model = graph(name, precision)
    made = parsed(model)
    network = made.network
    height, width = 32, 48
    frame = network.get_input(0)
    assert (frame.name, frame.dtype, tuple(frame.shape)) == (
        "frame",
        trt.uint8,
        (1, height, width, 3),
    )
    read = [network.get_input(index) for index in range(network.num_inputs)]
    assert {tensor.name for tensor in read} == {value.name for value in model.graph.inputs}
    assert (len(read) > 1) == load_recipe(name).remembers
    given = [network.get_output(index) for index in range(network.num_outputs)]
    wanted = []
    for pathway in small(name).pathways:
        shape, dtype = {
            Task.DENOISE: ((1, height, width, 3), "uint8"),
            Task.SEGMENT: ((1, height, width), "uint8"),
            Task.CLASSIFY: ((1, len(pathway.classes)), "float32"),
        }[pathway.head]
        wanted.append((pathway.output, shape, dtype))
    assert [(t.name, tuple(t.shape), NUMPY_NAMES.get(t.dtype)) for t in given] == wanted
    convolutions = {
        layer.get_output(0).dtype
        for layer in (network.get_layer(index) for index in range(network.num_layers))
        if layer.type == trt.LayerType.CONVOLUTION
    }
    assert convolutions == {trt.float16 if precision is Precision.FP16 else trt.float32}

    log = compiled(made)
    memory = re.search(r"Total Activation Memory: (\d+) bytes", log)
    assert memory is not None
    assert int(memory.group(1)) > 0


def test_a_graph_tensorrt_cannot_have_is_refused() -> None:
    """So that the test above can fail: the parser does say no."""
    from onnx import TensorProto, helper

    node = helper.make_node("NoSuchOperator", ["frame"], ["answer"])
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("frame", "answer")
    ]
    model = helper.make_model(
        helper.make_graph([node], "bad", tensors[:1], tensors[1:]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    logger = the_logger()
    network = trt.Builder(logger).create_network(0)
    parser = trt.OnnxParser(network, logger)
    assert not parser.parse(model.SerializeToString())
    assert parser.num_errors > 0
