"""Integer kernels as ONNX Runtime's CPU provider runs them: with the channels last.

Where a tensor with the channels first comes in from another stage, or goes out to one, it is
copied. From the library's profiles, 1.31.
"""

from __future__ import annotations

from dataclasses import replace

from edgeunet.graph.integer import BITS, is_integer_kernel
from edgeunet.graph.view import GraphNode, GraphTensor, GraphView, TensorKind


def with_channels_last(view: GraphView) -> GraphView:
    """Return the graph with these copies; one without integer kernels as it is."""
    if not any(map(is_integer_kernel, view.nodes)):
        return view
    copies: dict[str, GraphTensor] = {}
    nodes: list[GraphNode] = []
    for node in view.nodes:
        if is_integer_kernel(node):
            nodes += _copied(node, view, copies)
        elif node.op_type == "MaxPool" and view.tensor(node.inputs[0]).dtype in BITS:
            nodes.append(replace(node, op_type="NhwcMaxPool"))
        else:
            nodes.append(node)
    return replace(
        view,
        nodes=tuple(replace(node, index=index) for index, node in enumerate(nodes)),
        tensors=(*view.tensors, *copies.values()),
    )


def _copied(node: GraphNode, view: GraphView, copies: dict[str, GraphTensor]) -> list[GraphNode]:
    """Return a kernel between a copy of what comes from outside and one of what leaves."""
    found = []
    inputs = list(node.inputs)
    for place, name in enumerate(inputs):
        tensor = view.tensor(name)
        if tensor.kind is TensorKind.INPUT:
            inputs[place] = _name(tensor)
            if inputs[place] not in copies:
                copies[inputs[place]] = _copy(tensor)
                found.append(GraphNode(0, "", "Transpose", (name,), (inputs[place],)))
    output = view.tensor(node.outputs[0])
    if output.kind is not TensorKind.OUTPUT:
        return [*found, replace(node, inputs=tuple(inputs))]
    copies[_name(output)] = _copy(output)
    return [
        *found,
        replace(node, inputs=tuple(inputs), outputs=(_name(output),)),
        GraphNode(0, "", "Transpose", (_name(output),), (output.name,)),
    ]


def _copy(tensor: GraphTensor) -> GraphTensor:
    return replace(tensor, name=_name(tensor), kind=TensorKind.ACTIVATION)


def _name(tensor: GraphTensor) -> str:
    return f"{tensor.name} with channels last"
