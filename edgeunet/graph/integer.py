"""A quantized graph as engines run it: integer kernels instead of floats between 8-bit tensors.

An engine joins a convolution or sum with the dequantizers before it and the quantizer behind it
into one kernel that reads and writes 8 bits. Pairs of transpositions between such kernels are
removed, because the kernels read and write in the same order. Float tensors that are not joined
remain, and count as memory.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from edgeunet.graph.summary import TO_FIRST, TO_LAST, GraphNode, GraphTensor, GraphView, TensorKind

_DEQUANTIZE, _QUANTIZE = "DequantizeLinear", "QuantizeLinear"
_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_JOINED = frozenset({"Add", "Concat"})
_JOINING = _CONVOLUTIONS | _JOINED
_KERNEL = "QLinear"
BITS = frozenset({"int8", "uint8"})


def with_integer_kernels(view: GraphView) -> GraphView:
    """Return the graph with joined kernels; one without QuantizeLinear is not changed."""
    if not any(node.op_type == _DEQUANTIZE for node in view.nodes):
        return view
    return _Joining(view).view()


def is_integer_kernel(node: GraphNode) -> bool:
    return node.op_type.startswith(_KERNEL)


class _Joining:
    def __init__(self, view: GraphView) -> None:
        self._view = view
        self._makers = {name: node for node in view.nodes for name in node.outputs}
        self._uses = Counter(name for node in view.nodes for name in node.inputs)
        self._uses.update(view.outputs)
        self._readers = {name: node for node in view.nodes for name in node.inputs}

    def view(self) -> GraphView:
        joined: dict[int, GraphNode] = {}
        gone: set[int] = set()
        for node in self._view.nodes:
            if node.op_type == "ArgMax" and (bits := self._bits(node.inputs[0])) is not None:
                # The maximum can be taken of the 8-bit numbers directly.
                joined[node.index] = replace(node, inputs=(bits, *node.inputs[1:]))
            if node.op_type not in _JOINING or node.index in gone:
                continue
            kernel, also = self._kernel(node)
            if kernel is not None:
                # At the step of its last node: all its inputs exist by then.
                joined[max([node.index, *also])] = kernel
                gone |= {node.index, *also}
        kept = [
            joined.get(n.index, replace(n, op_type="Reshape") if self._is_undone(n) else n)
            for n in self._view.nodes
            if n.index in joined or n.index not in gone
        ]
        return self._swept(kept)

    def _kernel(self, node: GraphNode) -> tuple[GraphNode | None, list[int]]:
        """Return the integer kernel of a node, and the steps of the nodes that it replaces."""
        inputs = [self._bits(name) for name in node.inputs]
        # The bias of a convolution may stay in floats, its weights may not.
        needed = inputs if node.op_type in _JOINED else inputs[:2]
        if not all(needed):
            return None, []
        read = [bits or name for bits, name in zip(inputs, node.inputs, strict=True)]
        last, also, op_type = node, [], f"{_KERNEL}{node.op_type}"
        output = last.outputs[0]
        if node.op_type in _CONVOLUTIONS and (found := self._next(output, "Add")) is not None:
            other = next((n for n in found.inputs if n != output), output)
            bits = self._bits(other)
            if bits is not None:
                last, output = found, found.outputs[0]
                also.append(found.index)
                read.append(bits)
        if (found := self._next(output, "Relu")) is not None:
            also.append(found.index)
            output = found.outputs[0]
        if (found := self._next(output, _QUANTIZE)) is not None:
            also.append(found.index)
            output = found.outputs[0]
        elif node.op_type in _JOINED:
            return None, []
        return GraphNode(node.index, node.name, op_type, tuple(read), (output,)), also

    def _bits(self, name: str) -> str | None:
        """Return the 8-bit tensor that a float tensor is dequantized from, or None."""
        maker = self._makers.get(name)
        return maker.inputs[0] if maker is not None and maker.op_type == _DEQUANTIZE else None

    def _next(self, name: str, op_type: str) -> GraphNode | None:
        """Return the only reader of a tensor, if it has this type; else None."""
        if self._uses[name] != 1 or name in self._view.outputs:
            return None
        reader = self._readers[name]
        return reader if reader.op_type == op_type else None

    def _is_undone(self, node: GraphNode) -> bool:
        """Return whether a node only moves the channels of 8-bit data to the first or last axis."""
        if node.op_type != "Transpose" or node.perm not in (TO_LAST, TO_FIRST):
            return False
        before = self._view.tensor(node.inputs[0])
        return before.dtype in BITS or self._bits(before.name) is not None

    def _swept(self, nodes: list[GraphNode]) -> GraphView:
        """Return the graph without unread DequantizeLinear nodes and without unused tensors."""
        read = {name for node in nodes for name in node.inputs} | set(self._view.outputs)
        kept = [n for n in nodes if n.op_type != _DEQUANTIZE or not read.isdisjoint(n.outputs)]
        numbered = tuple(replace(node, index=index) for index, node in enumerate(kept))
        named = {name for node in numbered for name in (*node.inputs, *node.outputs)}
        named |= {*self._view.inputs, *self._view.outputs}
        return replace(
            self._view,
            nodes=numbered,
            tensors=tuple(t for t in self._view.tensors if _is_there(t, named)),
        )


def _is_there(tensor: GraphTensor, named: set[str]) -> bool:
    # Scales are stored in the file, so they count as weights even if nothing reads them.
    return tensor.name in named or tensor.kind is TensorKind.WEIGHT
