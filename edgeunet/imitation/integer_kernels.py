"""Integer kernels as ONNX Runtime's CPU provider runs them: with the channels last.

Tensors that come from or go to another stage have their channels first. A convolution reads a copy
of such a tensor. A sum of such a tensor is computed with the channels first, whatever its other
term, and so are sums of its result. Derived from profiles of the library, version 1.31.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from edgeunet.graph.integer import BITS, is_integer_kernel
from edgeunet.graph.summary import GraphNode, GraphTensor, GraphView, TensorKind

_SUM = "QLinearAdd"
_FLOAT = frozenset({"Conv", "ConvTranspose"})
_FIRST, _LAST = "first", "last"


def with_channels_last(view: GraphView) -> GraphView:
    """Return the graph with these copies; one without integer kernels is returned unchanged."""
    if not any(map(is_integer_kernel, view.nodes)):
        return view
    return _Copying(view).view()


@dataclass
class _Copying:
    """The pass over a graph that inserts the copies."""

    source: GraphView
    nodes: list[GraphNode] = field(default_factory=list)
    copies: dict[str, GraphTensor] = field(default_factory=dict)
    first: set[str] = field(default_factory=set)

    def view(self) -> GraphView:
        for name in self.source.inputs:
            tensor = self.source.tensor(name)
            if tensor.dtype in BITS and len(tensor.shape) == 4:
                self.first.add(name)
        # Float convolutions read channels first, also if their input is dequantized.
        for_floats = {n.inputs[0] for n in self.source.nodes if n.op_type in _FLOAT}
        for node in self.source.nodes:
            if is_integer_kernel(node):
                self._kernel(node)
            elif node.op_type == "MaxPool" and self.source.tensor(node.inputs[0]).dtype in BITS:
                self.nodes.append(replace(node, op_type="NhwcMaxPool"))
            elif node.op_type == "DequantizeLinear" and node.outputs[0] in for_floats:
                read = self._in(_FIRST, self.source.tensor(node.inputs[0]))
                self.nodes.append(replace(node, inputs=(read, *node.inputs[1:])))
            else:
                self.nodes.append(node)
        return replace(
            self.source,
            nodes=tuple(replace(node, index=index) for index, node in enumerate(self.nodes)),
            tensors=(*self.source.tensors, *self.copies.values()),
        )

    def _kernel(self, node: GraphNode) -> None:
        """Add a kernel, with copies of its inputs before it.

        If it makes an output of the graph, a copy of that follows it.
        """
        tensors = [self.source.tensor(name) for name in node.inputs]
        order = _FIRST if node.op_type == _SUM and self.first & set(node.inputs) else _LAST
        inputs = [
            self._in(order, tensor) if tensor.kind is not TensorKind.WEIGHT else tensor.name
            for tensor in tensors
        ]
        output = self.source.tensor(node.outputs[0])
        if order == _FIRST:
            self.first.add(output.name)
        if output.kind is not TensorKind.OUTPUT or order == _FIRST:
            self.nodes.append(replace(node, inputs=tuple(inputs)))
            return
        copy = self._copy(output, _LAST)
        self.nodes.append(replace(node, inputs=tuple(inputs), outputs=(copy,)))
        self.nodes.append(GraphNode(0, "", "Transpose", (copy,), (output.name,)))

    def _in(self, order: str, tensor: GraphTensor) -> str:
        """Return the name of a tensor in an order; insert the copy before its first reader."""
        if (tensor.name in self.first) == (order == _FIRST):
            return tensor.name
        known = f"{tensor.name} with channels {order}"
        if known not in self.copies:
            self._copy(tensor, order)
            self.nodes.append(GraphNode(0, "", "Transpose", (tensor.name,), (known,)))
        return known

    def _copy(self, tensor: GraphTensor, order: str) -> str:
        name = f"{tensor.name} with channels {order}"
        self.copies[name] = replace(tensor, name=name, kind=TensorKind.ACTIVATION)
        return name
