"""Join slices that take every second row, and then every second column, to one.

Exporters write ``x[..., ::2, ::2]`` as two slices. Between them a tensor has half of the rows and
all of the columns, so it has no place in the frame that windows could follow.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.inserting import Inserter, replace
from edgeunet.graph.values import constant_of, static_shape
from edgeunet.graph.window_reach import bounds_of

_SCALED = frozenset({"Add", "Div", "Mul", "Neg", "Sub"})
Bounds = dict[int, tuple[int, int, int]]


def join_slices(graph: ir.Graph) -> None:
    """Rewrite slices in steps that read slices, in place.

    An addition or a multiplication of one number may stand between them; it moves behind both.
    """
    for node in list(graph):
        if node.op_type == "Slice" and node.graph is graph:
            _join(graph, node)


def _join(graph: ir.Graph, second: ir.Node) -> None:
    between = _between(second)
    first = _producer(second if between is None else between, 0 if between is None else None)
    if first is None or first.op_type != "Slice" or first.inputs[0] is None:
        return
    bounds = _joined(first, second)
    if bounds is None or all(step == 1 for _, _, step in bounds.values()):
        return
    add = Inserter(graph, second, f"{second.outputs[0].name}_joined")
    shape = static_shape(second.outputs[0]) or ()
    columns = zip(*((*ends, axis) for axis, ends in sorted(bounds.items())), strict=True)
    starts, stops, steps, axes = (np.array(numbers, np.int64) for numbers in columns)
    named = (("starts", starts), ("stops", stops), ("axes", axes), ("steps", steps))
    inputs = [first.inputs[0], *(add.constant(name, numbers) for name, numbers in named)]
    made = add.node("Slice", inputs, shape)
    if between is not None:
        read = [made if value is first.outputs[0] else value for value in between.inputs]
        made = add.node(between.op_type, [v for v in read if v is not None], shape)
    replace(graph, second, made)
    for node in (between, first):
        if node is not None and not any(v.uses() or v.is_graph_output() for v in node.outputs):
            graph.remove(node, safe=True)


def _between(second: ir.Node) -> ir.Node | None:
    """Return the operator before a slice, if it works on a slice and on one number."""
    node = _producer(second, 0)
    if node is None or node.op_type not in _SCALED:
        return None
    numbers = [constant_of(value) for value in node.inputs]
    others = [content for content in numbers if content is not None]
    single = all(content.ndim == 0 or content.shape == (1,) for content in others)
    return node if single and len(numbers) - len(others) == 1 else None


def _producer(node: ir.Node, index: int | None) -> ir.Node | None:
    """Return what makes an input. index: None for the only one that is not constant."""
    if index is None:
        index = next(i for i, value in enumerate(node.inputs) if constant_of(value) is None)
    value = node.inputs[index]
    return None if value is None else value.producer()


def _joined(first: ir.Node, second: ir.Node) -> Bounds | None:
    """Return the bounds of both at once, None where they are not known, or go backwards."""
    try:
        before, after = bounds_of(first), bounds_of(second)
    except GraphError:
        return None
    if any(step < 1 for _, _, step in (*before.values(), *after.values())):
        return None
    found = dict(before)
    for axis, (start, stop, step) in after.items():
        offset, end, stride = before.get(axis, (0, None, 1))
        last = offset + (stop - 1) * stride + 1
        found[axis] = (
            offset + start * stride,
            last if end is None else min(last, end),
            step * stride,
        )
    return found
