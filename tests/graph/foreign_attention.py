"""Small networks of others whose rows and columns are tokens, in house form; see ``foreign.py``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from tests.graph.foreign import Net


def queries(net: Net) -> ir.Model:
    """Attention of every pixel to few keys, which are made of larger cells (SegFormer)."""
    rows, columns = net.size
    x = net.block(net.image(), 4)
    few = net.conv(x, 4, 4, stride=4, pads=[0] * 4)
    flat = net.op("Transpose", net.op("Reshape", x, net.ints(1, 4, rows * columns)), perm=[0, 2, 1])
    keys = net.op("Reshape", few, net.ints(1, 4, rows * columns // 16))
    keys = net.op("Mul", keys, net.const(0.5))
    scores = net.op("Softmax", net.op("MatMul", flat, keys), axis=-1)
    mixed = net.op("MatMul", scores, net.op("Transpose", keys, perm=[0, 2, 1]))
    y = net.op("Reshape", net.op("Transpose", mixed, perm=[0, 2, 1]), net.ints(1, 4, rows, columns))
    return net.done(net.conv(net.op("Add", x, y, channels=4), 3))


def tokens(net: Net) -> ir.Model:
    """Pixels as tokens: normalised, multiplied, attention between channels (Restormer, MLPs)."""
    rows, columns = net.size
    x = net.block(net.image(), 8)
    flat = net.op("Reshape", x, net.ints(1, 8, rows * columns))
    y = net.op("Transpose", flat, perm=[0, 2, 1])
    y = net.op("LayerNormalization", y, net.const(np.ones(8)), net.const(np.zeros(8)), axis=-1)
    y = net.op("MatMul", y, net.const(0.3 * net.generator.standard_normal((8, 24))))
    q, k, v = net.op("Split", net.op("Transpose", y, perm=[0, 2, 1]), axis=1, outputs=3)
    length = net.op("ReduceL2", q, axes=[-1], keepdims=1)
    scores = net.op("MatMul", net.op("Div", q, length), net.op("Transpose", k, perm=[0, 2, 1]))
    mixed = net.op("MatMul", net.op("Softmax", scores, axis=-1), v)
    mixed = net.op("Add", flat, mixed)
    y = net.op("Reshape", mixed, net.ints(1, 8, rows, columns), channels=8)
    return net.done(net.conv(net.op("Add", x, y), 3))


def cells(net: Net) -> ir.Model:
    """Attention in cells of 8x8 pixels that are moved by four, with a mask (Swin)."""
    rows, columns = net.size
    high, wide = rows // 8, columns // 8
    x = net.block(net.image(), 4)

    def rolled(x: str, by: int) -> str:
        for axis, side in ((1, rows), (2, columns)):
            ends = ((by % side, side), (0, by % side))
            x = net.op(
                "Concat",
                *(net.op("Slice", x, net.ints(a), net.ints(b), net.ints(axis)) for a, b in ends),
                axis=axis,
            )
        return x

    y = rolled(net.op("Transpose", x, perm=[0, 2, 3, 1]), 4)
    y = net.op("Reshape", y, net.ints(1, high, 8, wide, 8, 4))
    y = net.op("Transpose", y, perm=[0, 1, 3, 2, 4, 5])
    y = net.op("Reshape", y, net.ints(high * wide, 64, 4))
    scores = net.op("MatMul", y, net.op("Transpose", y, perm=[0, 2, 1]))
    last = np.zeros((high, wide, 64, 64))
    last[-1, :, :32, 32:] = last[:, -1, 5:9, 50:] = -100
    scores = net.op("Add", scores, net.const(last.reshape(-1, 64, 64)))
    y = net.op("MatMul", net.op("Softmax", scores, axis=-1), y)
    y = net.op("Reshape", y, net.ints(1, high, wide, 8, 8, 4))
    y = net.op("Transpose", y, perm=[0, 1, 3, 2, 4, 5])
    y = rolled(net.op("Reshape", y, net.ints(1, rows, columns, 4)), -4)
    y = net.op("Transpose", y, perm=[0, 3, 1, 2], channels=4)
    return net.done(net.conv(net.op("Add", x, y), 3))


ATTENTION: dict[str, Callable[[Net], ir.Model]] = {
    make.__name__: make for make in (queries, tokens, cells)
}
