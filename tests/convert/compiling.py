"""TensorRT-RTX parses and compiles a graph, without a GPU, and what it complains of is an error."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import onnx_ir as ir
import pytest


@functools.cache
def the_logger() -> Any:
    """One for the process: TensorRT keeps the first and warns about every other."""
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")

    class Logger(trt.ILogger):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.entries: list[tuple[Any, str]] = []

        def log(self, severity: Any, message: str) -> None:
            self.entries.append((severity, message))

    return Logger()


class Parsed(NamedTuple):
    """What TensorRT made of a graph; the parser owns the weights that the network reads."""

    builder: Any
    network: Any
    parser: Any


def parsed(model: ir.Model) -> Parsed:
    """Parse a graph; the log begins here."""
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    logger = the_logger()
    logger.entries.clear()
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    succeeded = parser.parse(ir.to_proto(model).SerializeToString())
    assert [str(parser.get_error(index)) for index in range(parser.num_errors)] == []
    assert succeeded
    return Parsed(builder, network, parser)


def compiled(graph: Parsed) -> str:
    """Compile for a GPU that is named, and return the log."""
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    config = graph.builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    engine = graph.builder.build_serialized_network(graph.network, config)
    bad = (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR)
    entries = the_logger().entries
    assert [text for severity, text in entries if severity in bad] == []
    assert engine is not None
    assert engine.nbytes > 0
    return "\n".join(text for _, text in entries)
