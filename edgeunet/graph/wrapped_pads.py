"""Write a Pad with the other side of the picture as slices, because opset 17 does not know it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.attributes import text_of
from edgeunet.graph.inserting import Inserter, replace
from edgeunet.graph.values import static_shape
from edgeunet.graph.window_reach import pads_of


def write_wrapped_pad(graph: ir.Graph, node: ir.Node) -> bool:
    """Replace a Pad of mode wrap in place; return whether it was one that slices can make.

    A Pad that crops, or adds more than the picture has, is left.
    """
    value = node.inputs[0]
    if text_of(node, "mode", "constant") != "wrap" or value is None:
        return False
    try:
        pads = pads_of(node)
    except GraphError:
        return False
    shape = list(static_shape(value) or ())
    if any(min(pad) < 0 or max(pad) > shape[axis] for axis, pad in pads.items()):
        return False
    add = Inserter(graph, node, f"{node.outputs[0].name}_wrapped")
    for axis, (before, after) in pads.items():
        length = shape[axis]
        parts = [value]
        if before:
            parts.insert(0, _part(add, value, axis, length - before, length))
        if after:
            parts.append(_part(add, value, axis, 0, after))
        if len(parts) > 1:
            shape[axis] += before + after
            value = add.node("Concat", parts, shape, [ir.AttrInt64("axis", axis)])
    replace(graph, node, value)
    return True


def _part(add: Inserter, value: ir.Value, axis: int, start: int, stop: int) -> ir.Value:
    shape = list(static_shape(value) or ())
    shape[axis] = stop - start
    numbers = (("start", start), ("stop", stop), ("axis", axis))
    ends = [add.constant(f"{name}_{axis}", np.array([one], np.int64)) for name, one in numbers]
    return add.node("Slice", [value, *ends], shape)
