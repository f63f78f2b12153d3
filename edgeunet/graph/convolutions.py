"""Properties of convolution nodes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeunet.graph.values import Floats


def group_of(conv: ir.Node) -> int:
    attribute = conv.attributes.get("group")
    return attribute.as_int() if attribute is not None else 1


def is_dense(conv: ir.Node) -> bool:
    """Return whether a convolution computes every window position, with explicit padding only."""
    for name in ("strides", "dilations"):
        attribute = conv.attributes.get(name)
        if attribute is not None and any(step != 1 for step in attribute.as_ints()):
            return False
    padding = conv.attributes.get("auto_pad")
    return padding is None or padding.as_string() in ("NOTSET", "VALID")


def over_columns(weight: Floats, together: int) -> Floats:
    """Return weights with which a convolution computes neighbouring columns as output channels.

    weight: (O, I, rows, columns).
    together: number of neighbouring columns that are computed at once. The result has the shape
        (together * O, I, rows, columns + together - 1). It is for a convolution with a horizontal
        stride of ``together``.
    """
    kept, inputs, rows, columns = weight.shape
    wide = np.zeros((together, kept, inputs, rows, columns + together - 1), weight.dtype)
    for column in range(together):
        wide[column, ..., column : column + columns] = weight
    joined: Floats = wide.reshape(together * kept, *wide.shape[2:])
    return joined
