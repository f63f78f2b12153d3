"""Make 32-bit floats of 16-bit ones, exactly, in a whole graph.

Processors compute few operators in 16 bits. ``edgeunet export --fp16`` narrows the graph again,
where a GPU runs it.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

_HALF, _FLOAT = ir.DataType.FLOAT16, ir.DataType.FLOAT
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")


def widen_halves(model: ir.Model) -> bool:
    """Change every 16-bit float of a graph, in place. Returns whether there were any."""
    graph = model.graph
    values = [*graph.inputs, *graph.initializers.values()]
    values += [value for node in graph.all_nodes() for value in node.outputs]
    found = False
    for value in values:
        if value.dtype is _HALF:
            value.type = ir.TensorType(_FLOAT)
            found = True
        if value.const_value is not None and value.const_value.dtype is _HALF:
            value.const_value = _wide(value.const_value)
            value.type = ir.TensorType(_FLOAT)
            found = True
    for node in graph.all_nodes():
        for name, attribute in list(node.attributes.items()):
            if attribute.type is ir.AttributeType.TENSOR and attribute.value.dtype is _HALF:
                node.attributes[name] = ir.AttrTensor(name, _wide(attribute.value))
                found = True
            elif name in _TYPE_ATTRIBUTES and attribute.value == int(_HALF):
                node.attributes[name] = ir.AttrInt64(name, int(_FLOAT))
                found = True
    return found


def _wide(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(np.asarray(tensor.numpy(), np.float32), name=tensor.name)
