"""Leave one element of constants that are one number everywhere and as large as a tensor.

The formula of ONNX for Attention adds a mask of zeros, one for every pair of tokens, where no mask
is given: at 90x160 tokens a tensor of 791 MiB.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from edgeunet.graph.attributes import int_of
from edgeunet.graph.reach import ELEMENTWISE
from edgeunet.graph.values import add_initializer, constant_of, static_shape

_KEEPS_ONE_NUMBER = frozenset({"ReduceMax", "ReduceMean", "ReduceMin"})


def narrow_filled_tensors(graph: ir.Graph) -> bool:
    """Replace what ConstantOfShape fills, where its readers broadcast it anyway, in place.

    Returns whether any was. Shapes of what is made of them alone have to be inferred anew.
    """
    found = False
    for node in [node for node in graph if node.op_type == "ConstantOfShape"]:
        made = node.outputs[0]
        shape = static_shape(made)
        if not shape or made.is_graph_output() or not _narrows(made, {made}):
            continue
        given = node.attributes.get("value")
        number = np.zeros(1, np.float32) if given is None else given.as_tensor().numpy()
        one = add_initializer(graph, f"{made.name}_once", number.reshape((1,) * len(shape)))
        ir.convenience.replace_all_uses_with(made, one)
        graph.remove(node, safe=True)
        found = True
    return found


def _narrows(value: ir.Value, seen: set[ir.Value]) -> bool:
    """Return whether all readers give the same with one element of a tensor in place of all.

    seen: the tensors that would become narrow; those found here are added.
    """
    for use in value.uses():
        node = use.node
        made = node.outputs[0]
        if node.op_type in _KEEPS_ONE_NUMBER and int_of(node, "keepdims", 1) and use.idx == 0:
            narrow = True
        elif node.op_type in ELEMENTWISE:
            narrow = not _has_shape_without(node, seen)
        else:
            return False
        if narrow and made not in seen:
            seen.add(made)
            if made.is_graph_output() or not _narrows(made, seen):
                return False
    return True


def _has_shape_without(node: ir.Node, narrow: set[ir.Value]) -> bool:
    """Return whether another operand has the shape of the result."""
    others = (v for v in node.inputs if v is not None and v not in narrow)
    return any(static_shape(other) == static_shape(node.outputs[0]) for other in others)


def drop_what_changes_nothing(graph: ir.Graph) -> None:
    """Remove additions of zeros, and choices that always choose the same, in place."""
    for node in list(graph):
        kept = next(_unchanged(node), None)
        if kept is None or node.outputs[0].is_graph_output():
            continue
        if static_shape(kept) == static_shape(node.outputs[0]):
            ir.convenience.replace_all_uses_with(node.outputs[0], kept)
            graph.remove(node, safe=True)


def _unchanged(node: ir.Node) -> Iterator[ir.Value]:
    """Yield the operand whose numbers a node passes on."""
    if node.op_type == "Add":
        for index in (0, 1):
            other, kept = constant_of(node.inputs[1 - index]), node.inputs[index]
            if other is not None and kept is not None and not other.any():
                yield kept
    elif node.op_type == "Where":
        chosen = constant_of(node.inputs[0])
        if chosen is not None and chosen.size and (chosen.all() or not chosen.any()):
            kept = node.inputs[1 if chosen.all() else 2]
            if kept is not None:
                yield kept
