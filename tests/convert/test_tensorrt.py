"""Every recipe is parsed and compiled by TensorRT itself; without a GPU, for one that is named."""

from __future__ import annotations

import functools
import re
from typing import Any

import onnx_ir as ir
import pytest

from edgeunet.recipes import recipe_names
from edgeunet.specs import Precision, Task
from tests.convert.small import graph, small

trt = pytest.importorskip("tensorrt_rtx")

NUMPY_NAMES = {trt.uint8: "uint8", trt.float32: "float32"}


@functools.cache
def the_logger() -> Any:
    """One for the process: TensorRT keeps the first and warns about every other."""

    class Logger(trt.ILogger):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.entries: list[tuple[Any, str]] = []

        def log(self, severity: Any, message: str) -> None:
            self.entries.append((severity, message))

    return Logger()


@pytest.mark.slow
@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
@pytest.mark.parametrize("name", recipe_names())
def test_tensorrt_compiles_the_graph(name: str, precision: Precision) -> None:
    logger = the_logger()
    logger.entries.clear()
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse(ir.to_proto(graph(name, precision)).SerializeToString())
    assert [str(parser.get_error(i)) for i in range(parser.num_errors)] == []
    assert parsed

    height, width = 32, 48
    frame = network.get_input(0)
    assert network.num_inputs == 1
    assert (frame.name, frame.dtype, tuple(frame.shape)) == (
        "frame",
        trt.uint8,
        (1, height, width, 3),
    )
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

    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    engine = builder.build_serialized_network(network, config)
    bad = (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR)
    assert [text for severity, text in logger.entries if severity in bad] == []
    assert engine is not None
    assert engine.nbytes > 0
    log = "\n".join(text for _, text in logger.entries)
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
