"""Give a graph's inner tensors names of their own, beside the graphs of other parts."""

from __future__ import annotations

import onnx_ir as ir


def prefix_names(model: ir.Model, prefix: str) -> None:
    """Put ``prefix`` before the names of all nodes and tensors but inputs and outputs, in place."""
    graph = model.graph
    kept = {*graph.inputs, *graph.outputs}
    for node in graph:
        node.name = f"{prefix}{node.name}"
        for value in node.outputs:
            if value not in kept:
                value.name = f"{prefix}{value.name}"
    for name in list(graph.initializers):
        value = graph.initializers.pop(name)
        value.name = f"{prefix}{name}"
        graph.initializers[value.name] = value
