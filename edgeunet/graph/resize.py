"""Change the frame size of a graph by inferring its shapes anew.

This works for graphs that have no sizes written into their operators.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from edgeunet.errors import GraphError
from edgeunet.graph.receptive import spatial_axes
from edgeunet.graph.values import constant_of, static_shape


def at_sizes(model: ir.Model, sizes: Mapping[str, tuple[int, int]]) -> ir.Model:
    """Return a copy of a graph whose inputs have other (rows, columns), with all shapes inferred.

    sizes: by input name; inputs without rows and columns keep their shape.
    Raises GraphError for a graph with its frame size written into it.
    """
    for node in model.graph:
        if node.op_type in ("Reshape", "Expand", "Pad") and any(
            constant_of(v) is not None and v is not None and v.dtype is ir.DataType.INT64
            for v in node.inputs[1:]
        ):
            raise GraphError(
                f"operator {node.op_type} (node {node.name!r}) has the frame size written into it",
                hint="export at a height and width that need no padding",
            )
    copy = model.clone()
    axes = spatial_axes(copy.graph)
    for value in copy.graph.inputs:
        shape = static_shape(value)
        size = sizes.get(value.name or "")
        if size is not None and value in axes and shape is not None:
            resized = list(shape)
            for axis, length in zip(axes[value], size, strict=True):
                resized[axis] = length
            value.shape = ir.Shape(resized)
    for node in copy.graph:
        for value in node.outputs:
            value.shape = None
    copy = ShapeInferencePass()(copy).model
    for node in copy.graph:
        for value in node.outputs:
            if static_shape(value) is None:
                raise GraphError(
                    f"the shape of {value.name!r} does not follow from the frame size",
                    hint="export at a height and width that need no padding",
                )
    return copy
