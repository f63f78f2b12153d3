"""Infer every shape of a graph anew, and refuse a graph whose shapes contradict each other.

onnx-ir's own pass keeps what was known before, and only logs what contradicts it.
"""

from __future__ import annotations

import onnx
import onnx.shape_inference
import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.inferred_shapes import reason

# Shapes, axes and scales are shorter; larger weights need not be copied to be described.
_LARGEST_READ_BYTES = 1024


def infer_strictly(model: ir.Model) -> None:
    """Set the shapes and types of all results of operators, in place.

    Raises GraphError, with the operator and the reason, for a contradiction.
    """
    bare = model.clone()
    graph = bare.graph
    for node in graph:
        for value in node.outputs:
            value.shape = None
    for name, value in list(graph.initializers.items()):
        content = value.const_value
        if content is not None and content.nbytes > _LARGEST_READ_BYTES:
            value.shape = ir.Shape(content.shape.numpy())
            value.type = ir.TensorType(content.dtype)
            value.const_value = None
            del graph.initializers[name]
            graph.inputs.append(value)
    try:
        inferred = onnx.shape_inference.infer_shapes(
            ir.to_proto(bare), check_type=False, strict_mode=True, data_prop=True
        )
    except Exception as error:  # onnx's InferenceError is not exported under one name
        raise GraphError(
            reason(error), hint="give a --size that it takes; most take multiples of 32"
        ) from error
    found = {entry.name: entry for entry in (*inferred.graph.value_info, *inferred.graph.output)}
    for node in model.graph:
        for value in node.outputs:
            entry = found.get(value.name or "")
            if entry is None or not entry.type.tensor_type.HasField("shape"):
                continue
            value.shape = ir.Shape([_length(d) for d in entry.type.tensor_type.shape.dim])
            kind = ir.DataType(entry.type.tensor_type.elem_type)
            value.type = value.type if value.type is not None else ir.TensorType(kind)


def _length(dimension: onnx.TensorShapeProto.Dimension) -> int | None:
    return int(dimension.dim_value) if dimension.HasField("dim_value") else None
