"""Small ONNX models, written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeunet.graph.onnx_file import read_onnx
from edgeunet.graph.summary import GraphView, view_of_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT, BFLOAT16, INT64 = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.BFLOAT16,
    onnx.TensorProto.INT64,
)
Shape = Sequence[int | str | None] | None

CONV = helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], name="first")
RELU = helper.make_node("Relu", ["c"], ["y"])
WEIGHTS = numpy_helper.from_array(np.ones((8, 3, 3, 3), np.float32), "w")


def value(name: str, shape: Shape, dtype: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def numbers(name: str, *content: int) -> Any:
    return numpy_helper.from_array(np.array(content, np.int64), name)


def model_of(
    inputs: Sequence[Any],
    nodes: Sequence[Any] = (CONV, RELU),
    weights: Sequence[Any] = (WEIGHTS,),
    *,
    outputs: Sequence[Any] = (value("y", None),),
    known: Sequence[Any] = (),
    opset: int = 17,
    functions: Sequence[Any] = (),
) -> Any:
    graph = helper.make_graph(nodes, "hand", inputs, outputs, weights, value_info=known)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions))


def saved(folder: Path, model: Any, name: str = "net.onnx") -> Path:
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def view_at(path: Path, size: tuple[int, int] | None = None) -> GraphView:
    return view_of_model(read_onnx(path, size)[0])
