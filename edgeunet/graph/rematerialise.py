"""Read the frame again instead of holding a float copy of it.

Exporters merge equal subexpressions. For the frame this costs memory: a float copy, four times as
large as the frame, would be alive across the whole network. So every reader of a value that is
cheap to compute from a graph input gets its own copy of that computation.
"""

from __future__ import annotations

import onnx_ir as ir

from edgeunet.graph.values import constant_of

_CHEAP = frozenset({"Cast", "Transpose", "Mul", "Add", "Sub", "Div", "Pad", "Slice", "Gather"})

# What joins a frame with what was recalled for it, where that is made of bytes as well.
_JOINING = frozenset({"Clip", "Concat", "Resize"})


def reread_inputs(model: ir.Model, *, joined: bool = False) -> int:
    """Give every reader of a value made from an input its own nodes; return the number added.

    joined: several frames are read, and what joins them is made again as well.
    """
    graph = model.graph
    derived = _derived_values(graph, _CHEAP | _JOINING if joined else _CHEAP)
    added = 0
    # Backwards, so that a chain is complete before the values it is made of are looked at.
    for node in reversed(list(graph)):
        output = node.outputs[0] if node.outputs else None
        if output is None or output not in derived:
            continue
        uses = sorted(output.uses(), key=lambda use: _position(graph, use.node))
        for use in uses[1:]:
            copy = _copy_of(node, f"{node.name}_again{added}")
            graph.insert_before(use.node, copy)
            use.node.replace_input_with(use.idx, copy.outputs[0])
            added += 1
    return added


def _derived_values(graph: ir.Graph, cheap: frozenset[str]) -> set[ir.Value]:
    """Return the values computed from graph inputs and constants by cheap operators alone."""
    derived: set[ir.Value] = set()
    for node in graph:
        if node.op_type not in cheap or len(node.outputs) != 1:
            continue
        variable = [v for v in node.inputs if v is not None and constant_of(v) is None]
        if variable and all(v.is_graph_input() or v in derived for v in variable):
            derived.add(node.outputs[0])
    return {value for value in derived if not value.is_graph_output()}


def _position(graph: ir.Graph, node: ir.Node) -> int:
    return next(index for index, other in enumerate(graph) if other is node)


def _copy_of(node: ir.Node, name: str) -> ir.Node:
    copy = ir.Node(
        node.domain,
        node.op_type,
        inputs=list(node.inputs),
        attributes=list(node.attributes.values()),
        num_outputs=1,
        name=name,
    )
    original = node.outputs[0]
    copy.outputs[0].name = f"{name}_out"
    copy.outputs[0].shape = original.shape
    copy.outputs[0].type = original.type
    return copy
