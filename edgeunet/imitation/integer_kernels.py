"""Integer kernels as ONNX Runtime's CPU provider runs them: with the channels last.

Tensors that come from or go to another stage, or from a float convolution, have their channels
first. A convolution reads a copy of such a tensor. A sum or a pool of such a tensor, or a tensor
that it is joined into, is computed with the channels first, whatever else is read, and so are sums
of its result. Derived from profiles of the library, version 1.31.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from edgeunet.graph.integer import BITS, is_integer_kernel
from edgeunet.graph.summary import TO_FIRST, TO_LAST, GraphNode, GraphTensor, GraphView, TensorKind
from edgeunet.specs import FRAME

_JOINS = frozenset({"QLinearAdd", "QLinearConcat"})
_FLOAT = frozenset({"Conv", "ConvTranspose"})
# Floats between integer kernels stay in the order of the largest tensor that they are made of.
_KEEPING = frozenset(
    {
        *("DequantizeLinear", "QuantizeLinear", "Add", "Sub", "Mul", "Div", "Pow", "Sqrt"),
        *("ReduceMean", "Relu", "Sigmoid", "Split"),
    }
)
_FIRST, _LAST = "first", "last"
_COPY = " with channels "


def with_channels_last(view: GraphView) -> GraphView:
    """Return the graph with these copies; one that reads no 8-bit numbers is returned unchanged."""
    if not any(is_integer_kernel(n) or n.op_type == "DequantizeLinear" for n in view.nodes):
        return view
    return _Copying(view).view()


def is_copy(name: str) -> bool:
    """Return whether a tensor is one of these copies."""
    return _COPY in name


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
            if name != FRAME and tensor.dtype in BITS and len(tensor.shape) == 4:
                self.first.add(name)
        # Float convolutions read channels first, also if their input is dequantized.
        for_floats = {n.inputs[0] for n in self.source.nodes if n.op_type in _FLOAT}
        for node in self.source.nodes:
            if is_integer_kernel(node):
                self._kernel(node)
            elif node.op_type == "MaxPool" and self.source.tensor(node.inputs[0]).dtype in BITS:
                self._pool(node)
            elif node.op_type == "DequantizeLinear" and node.outputs[0] in for_floats:
                read = self._in(_FIRST, self.source.tensor(node.inputs[0]))
                self.nodes.append(replace(node, inputs=(read, *node.inputs[1:])))
            elif node.op_type == "DequantizeLinear" and self._is_read_last(node.outputs[0]):
                # The copy is made of the 8-bit numbers, before they are floats.
                read = self._in(_LAST, self.source.tensor(node.inputs[0]))
                self.nodes.append(replace(node, inputs=(read, *node.inputs[1:])))
            elif self._is_undone(node):
                self.nodes.append(replace(node, op_type="Reshape"))
            elif self._is_to_last(node):
                read = self._in(_LAST, self.source.tensor(node.inputs[0]))
                self.nodes.append(replace(node, inputs=(read, *node.inputs[1:])))
            else:
                if self._is_first(node):
                    self.first.update(node.outputs)
                self.nodes.append(node)
        return replace(
            self.source,
            nodes=tuple(replace(node, index=index) for index, node in enumerate(self.nodes)),
            tensors=(*self.source.tensors, *self.copies.values()),
        )

    def _pool(self, node: GraphNode) -> None:
        """Add a pool of bytes, in the order of its input."""
        if node.inputs[0] in self.first:
            self.first.add(node.outputs[0])
            self.nodes.append(node)
        else:
            self.nodes.append(replace(node, op_type="NhwcMaxPool"))

    def _is_undone(self, node: GraphNode) -> bool:
        """Return whether floats change to channels first only to be quantized for a convolution."""
        if node.op_type != "Transpose" or node.perm != TO_FIRST:
            return False
        readers = self._readers(node.outputs[0])
        quantized = [r.outputs[0] for r in readers if r.op_type == "QuantizeLinear"]
        kernels = [kernel for name in quantized for kernel in self._readers(name)]
        return len(quantized) == len(readers) > 0 and all(map(is_integer_kernel, kernels))

    def _is_first(self, node: GraphNode) -> bool:
        """Return whether floats have their channels first, and 8-bit numbers made of them."""
        if node.op_type in _FLOAT:
            return True
        if node.op_type not in _KEEPING:
            return False
        read = [self.source.tensor(name) for name in node.inputs]
        return max(read, key=lambda one: one.size_bytes).name in self.first

    def _is_to_last(self, node: GraphNode) -> bool:
        """Return whether a change to channels last, which is nothing for kernels, is a copy."""
        is_view = node.op_type == "Reshape" and node.perm == TO_LAST
        return is_view and node.inputs[0] in self.first

    def _is_read_last(self, name: str) -> bool:
        """Return whether all that reads a tensor changes it to channels last."""
        readers = self._readers(name)
        return bool(readers) and all(
            one.op_type == "Reshape" and one.perm == TO_LAST for one in readers
        )

    def _readers(self, name: str) -> list[GraphNode]:
        return [node for node in self.source.nodes if name in node.inputs]

    def _kernel(self, node: GraphNode) -> None:
        """Add a kernel, with copies of its inputs before it.

        If it makes an output of the graph, a copy of that follows it.
        """
        tensors = [self.source.tensor(name) for name in node.inputs]
        order = _FIRST if node.op_type in _JOINS and self.first & set(node.inputs) else _LAST
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
        known = f"{tensor.name}{_COPY}{order}"
        if known not in self.copies:
            self._copy(tensor, order)
            self.nodes.append(GraphNode(0, "", "Transpose", (tensor.name,), (known,)))
        return known

    def _copy(self, tensor: GraphTensor, order: str) -> str:
        name = f"{tensor.name}{_COPY}{order}"
        self.copies[name] = replace(tensor, name=name, kind=TensorKind.ACTIVATION)
        return name
