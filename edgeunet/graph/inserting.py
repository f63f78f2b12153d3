"""Insert new nodes, with names, types and shapes, into a graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeunet.graph.summary import TO_FIRST, TO_LAST
from edgeunet.graph.values import Floats, add_initializer, static_shape


def replace(graph: ir.Graph, node: ir.Node, value: ir.Value) -> None:
    old = node.outputs[0]
    if old.is_graph_output():
        old.name, value.name = f"{old.name}_before", old.name
    ir.convenience.replace_all_uses_with(old, value, replace_graph_outputs=True)
    graph.remove(node, safe=True)


def copied_order(node: ir.Node, channels: int) -> NDArray[np.int64] | None:
    """Return the channel order with which DepthToSpace copies whole runs, None if unchanged.

    In CRD mode the position in the cell is the last part of a channel number; copying needs the
    channel there.
    """
    mode = node.attributes.get("mode")
    if node.op_type != "DepthToSpace" or mode is None or mode.as_string() != "CRD":
        return None
    cell = node.attributes["blocksize"].as_int() ** 2
    order: NDArray[np.int64] = np.arange(channels).reshape(channels // cell, cell).T.reshape(-1)
    return order


def as_column(numbers: Floats) -> Floats:
    """Return (C,) as (1, C, 1, 1), and one number as a scalar."""
    return numbers.reshape(()) if numbers.size == 1 else numbers.reshape(1, -1, 1, 1)


class Inserter:
    """Inserts nodes before a given node, or one after another behind it."""

    def __init__(self, graph: ir.Graph, place: ir.Node, name: str, *, after: bool = False) -> None:
        self._graph, self._place, self._after = graph, place, after
        self._name, self._count = name, 0

    def node(
        self,
        kind: str,
        inputs: Sequence[ir.Value],
        shape: Iterable[int | ir.SymbolicDim],
        attributes: Sequence[ir.Attr] = (),
    ) -> ir.Value:
        name = f"{self._name}_{self._count}"
        self._count += 1
        node = ir.Node("", kind, inputs=inputs, attributes=attributes, num_outputs=1, name=name)
        output = node.outputs[0]
        output.name = f"{name}_out"
        output.shape, output.type = ir.Shape(shape), inputs[0].type
        if self._after:
            self._graph.insert_after(self._place, node)
            self._place = node
        else:
            self._graph.insert_before(self._place, node)
        return output

    def constant(self, name: str, content: Floats) -> ir.Value:
        return add_initializer(self._graph, f"{self._name}_{name}", content)

    def transpose(self, value: ir.Value, perm: tuple[int, ...]) -> ir.Value:
        shape = static_shape(value) or ()
        moved = [shape[axis] for axis in perm]
        return self.node("Transpose", [value], moved, [ir.AttrInt64s("perm", perm)])

    def reshape(self, value: ir.Value, shape: tuple[int, ...]) -> ir.Value:
        target = self.constant("shape", np.array(shape, np.int64))
        return self.node("Reshape", [value, target], shape)

    def cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        shape = static_shape(value) or ()
        made = self.node("Cast", [value], shape, [ir.AttrInt64("to", int(dtype))])
        made.type = ir.TensorType(dtype)
        return made

    def scaled(
        self, value: ir.Value, factors: Sequence[float], offsets: Sequence[float]
    ) -> ir.Value:
        """Return (N, C, H, W) times factors plus offsets, one or one per channel."""
        shape = static_shape(value) or ()
        for kind, numbers, neutral in (("Mul", factors, 1.0), ("Add", offsets, 0.0)):
            if any(number != neutral for number in numbers):
                content = np.array(numbers, np.float32)
                if len(set(numbers)) == 1:
                    content = content[:1]
                constant = self.constant(kind.lower(), as_column(content))
                value = self.node(kind, [value, constant], shape)
        return value

    def shuffle(self, value: ir.Value, block: int) -> ir.Value:
        """Insert a pixel shuffle that copies whole runs, on (N, H, W, C).

        The channels are in DepthToSpace's DCR order: the position in the cell comes first.
        """
        count, channels, rows, columns = _four(value)
        kept = channels // block**2
        value = self.transpose(value, TO_LAST)
        value = self.reshape(value, (count * rows, columns, block, block * kept))
        value = self.transpose(value, (0, 2, 1, 3))
        value = self.reshape(value, (count, rows * block, columns * block, kept))
        return self.transpose(value, TO_FIRST)

    def unshuffle(self, value: ir.Value, block: int) -> ir.Value:
        """Insert a pixel unshuffle (SpaceToDepth), the inverse of ``shuffle``."""
        count, channels, rows, columns = _four(value)
        run = block * channels
        value = self.transpose(value, TO_LAST)
        value = self.reshape(value, (count * rows // block, block, columns // block, run))
        value = self.transpose(value, (0, 2, 1, 3))
        value = self.reshape(value, (count, rows // block, columns // block, block * run))
        return self.transpose(value, TO_FIRST)

    def columns(self, value: ir.Value, channels: int) -> ir.Value:
        """Insert a reshape between columns and channels: (N, C, H, W) to (N, channels, H, ...)."""
        count, old, rows, width = _four(value)
        value = self.transpose(value, TO_LAST)
        value = self.reshape(value, (count, rows, width * old // channels, channels))
        return self.transpose(value, TO_FIRST)


def _four(value: ir.Value) -> tuple[int, int, int, int]:
    shape = static_shape(value)
    if shape is None or len(shape) != 4:
        raise ValueError(f"{value.name!r} is not (N, C, H, W)")
    return shape[0], shape[1], shape[2], shape[3]
