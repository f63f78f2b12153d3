"""What a compiler that joins operators and lays tensors out anew, TensorRT's, makes of a graph.

Found by compiling graphs cut short after every node with TensorRT-RTX 1.7 for SM 8.6, and held
against all networks by ``benchmarks/tensorrt_memory.py``. Beside what lives node by node it takes:

- a copy of every tensor that comes from another stage, from its first reader to its last, and of
  every one that goes to another stage and is read here as well: the caller's is in planes (NCHW),
  kernels want channels together (NHWC); what is only averaged is read as it is;
- the frame as floats from its first reader to its last: that the graph casts it twice, so that it
  need not live in between, the compiler undoes;
- the frame as the first convolution wants it, which leaves a gap that nothing else fits in: in half
  precision three channels become four;
- ``WORKSPACE_BYTES`` for convolutions, whatever the frame size.

Which of several pathways it runs first the graph does not say: networks with two outputs may take
a fifth more than this.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np

from edgeunet.graph.integer import with_integer_kernels
from edgeunet.graph.summary import GraphNode, GraphTensor, GraphView, TensorKind
from edgeunet.imitation.allocations import allocations_of
from edgeunet.specs import FRAME, Engine

WORKSPACE_BYTES = 8_192_000
"""What convolutions compute in, to the byte, in almost every plan that was compiled."""

_CONVOLUTIONS = ("Conv", "ConvTranspose")
_AVERAGE = "ReduceMean"
_HALF_CHANNELS = 4
_MARK = " as "


@dataclass(frozen=True)
class _Kept:
    """A copy of ``source``, made by node ``first`` or for it, and alive up to node ``last``."""

    tensor: GraphTensor
    source: str
    first: int
    last: int


def compiled_bytes(view: GraphView) -> int:
    """Return what a plan of a graph is expected to take for activations."""
    kernels = compiled_view(with_integer_kernels(view))
    return allocations_of(kernels, (), 1, Engine.TENSORRT).peak_bytes(1) + WORKSPACE_BYTES


def compiled_view(view: GraphView) -> GraphView:
    """Return the graph with the copies that the compiler makes, as nodes and tensors of their own.

    What is computed does not change, and every tensor of the graph keeps its name.
    """
    readers: dict[str, list[int]] = defaultdict(list)
    for node in view.nodes:
        for name in node.inputs:
            readers[name].append(node.index)
    copies = []
    for name in view.inputs:
        if not readers[name]:
            continue
        first, last = readers[name][0], readers[name][-1]
        tensor = view.tensor(name)
        if tensor.dtype != "uint8" and name != FRAME:
            if all(view.nodes[index].op_type == _AVERAGE for index in readers[name]):
                continue
            copies.append(_Kept(_copy(tensor, "copy", tensor.dtype), name, first, last))
            continue
        convolution, reaches_end = _fate_of(view, name)
        if reaches_end:
            copies.append(_Kept(_copy(tensor, "floats", "float32"), name, first, last))
        if convolution is not None:
            dtype = view.tensor(convolution.inputs[0]).dtype
            end = len(view.nodes) - 1
            copies.append(_Kept(_copy(tensor, "convolved", dtype), name, first, end))
    for node in view.nodes:
        for name in node.outputs:
            if name in view.outputs and readers[name]:
                tensor = view.tensor(name)
                copy = _copy(tensor, "copy", tensor.dtype)
                copies.append(_Kept(copy, name, node.index, readers[name][-1]))
    return _with_copies(view, copies)


def grow_with(placed: Collection[str], view: GraphView) -> set[str]:
    """Return the copies in a compiled view whose originals grow with the window."""
    return {t.name for t in view.tensors if t.name.partition(_MARK)[0] in placed}


def _fate_of(view: GraphView, frame: str) -> tuple[GraphNode | None, bool]:
    """Return the first convolution that reads a frame, and whether it is added to an output."""
    touched = {frame}
    convolution = None
    for node in view.nodes:
        if touched.isdisjoint(node.inputs):
            continue
        if node.op_type in _CONVOLUTIONS:
            convolution = convolution or node
        else:
            touched.update(node.outputs)
    return convolution, not touched.isdisjoint(view.outputs)


def _copy(tensor: GraphTensor, purpose: str, dtype: str) -> GraphTensor:
    shape = tensor.shape
    if purpose == "convolved" and dtype == "float16" and shape[-1] < _HALF_CHANNELS:
        shape = (*shape[:-1], _HALF_CHANNELS)
    return replace(
        tensor,
        name=f"{tensor.name}{_MARK}{purpose}",
        shape=shape,
        dtype=dtype,
        size_bytes=math.prod(shape) * np.dtype(dtype).itemsize,
        kind=TensorKind.ACTIVATION,
    )


def _with_copies(view: GraphView, copies: Iterable[_Kept]) -> GraphView:
    made: dict[int, list[GraphNode]] = defaultdict(list)
    beside: dict[int, list[str]] = defaultdict(list)
    kept: dict[int, list[str]] = defaultdict(list)
    tensors = list(view.tensors)
    for copy in copies:
        name = copy.tensor.name
        if copy.source in view.inputs:
            made[copy.first].append(GraphNode(0, name, "Copy", (copy.source,), (name,)))
        else:
            beside[copy.first].append(name)
        kept[copy.last].append(name)
        tensors.append(copy.tensor)
    nodes: list[GraphNode] = []
    for node in view.nodes:
        nodes += made[node.index]
        inputs = (*node.inputs, *kept[node.index])
        nodes.append(replace(node, inputs=inputs, outputs=(*node.outputs, *beside[node.index])))
    numbered = tuple(replace(node, index=index) for index, node in enumerate(nodes))
    return replace(view, nodes=numbered, tensors=tuple(tensors))
