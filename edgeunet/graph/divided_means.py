"""Take means over the frame in two steps: of small squares, then of what they give.

A float32 sum of a million numbers loses digits: onnxruntime's mean over 720x1280 is wrong in the
fifth digit, by its own order of summation. Means of squares are exact in the seventh, and windows
can take them. Where no square divides the tensor, columns are summed first, and then rows.
"""

from __future__ import annotations

import onnx_ir as ir

from edgeunet.graph.channel_reach import reduced_axes
from edgeunet.graph.inserting import Inserter
from edgeunet.graph.values import static_shape
from edgeunet.specs import FRAME

# Sums of fewer numbers are exact enough as they are.
_MANY = 1 << 14
# A square covers at most this many pixels of the frame, because windows start at its multiples.
_LARGEST_SQUARE = 8


def divide_means(model: ir.Model) -> int:
    """Divide every mean over rows and columns of a large tensor, in place; return their number."""
    graph = model.graph
    divided = 0
    for node in list(graph):
        x = node.inputs[0] if node.inputs else None
        if x is not None and _is_mean(node) and is_large(x):
            add = Inserter(graph, node, f"{node.outputs[0].name}_divided")
            node.replace_input_with(0, reduced(add, x, pixels_per_row(graph, x)))
            divided += 1
    return divided


def is_large(value: ir.Value) -> bool:
    """Return whether a mean of (N, C, H, W) float32 loses digits."""
    shape = static_shape(value)
    fits = shape is not None and len(shape) == 4 and value.dtype is ir.DataType.FLOAT
    return shape is not None and fits and shape[2] * shape[3] > _MANY


def pixels_per_row(graph: ir.Graph, value: ir.Value) -> int:
    """Return how many rows of the frame a row of (N, C, H, W) stands for, at least one."""
    shape = static_shape(value) or ()
    frame = next((static_shape(one) for one in graph.inputs if one.name == FRAME), None)
    return 1 if frame is None else max(1, frame[1] // shape[2])


def reduced(add: Inserter, x: ir.Value, pixels: int) -> ir.Value:
    """Return a smaller tensor with the same mean over rows and columns.

    x: (N, C, H, W). pixels: of the frame, per row of it.
    """
    count, channels, rows, columns = static_shape(x) or ()
    side = next(
        (
            side
            for side in (8, 4, 2)
            if side * pixels <= _LARGEST_SQUARE and not rows % side and not columns % side
        ),
        1,
    )
    if side == 1:
        over = [ir.AttrInt64s("axes", [3]), ir.AttrInt64("keepdims", 1)]
        return add.node("ReduceMean", [x], (count, channels, rows, 1), over)
    square = [ir.AttrInt64s(name, [side, side]) for name in ("kernel_shape", "strides")]
    shape = (count, channels, rows // side, columns // side)
    return add.node("AveragePool", [x], shape, square)


def _is_mean(node: ir.Node) -> bool:
    if node.op_type == "GlobalAveragePool":
        return True
    shape = static_shape(node.inputs[0]) if node.inputs[0] is not None else None
    if node.op_type != "ReduceMean" or shape is None or len(shape) != 4:
        return False
    axes = reduced_axes(node)
    return axes is not None and sorted(axes) == [2, 3]
