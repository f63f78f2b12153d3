"""The memory that TensorRT's compiler makes of a graph: fused operators and new tensor layouts.

Derived from graphs that were cut after every node and compiled with TensorRT-RTX 1.7 for SM 8.6.
Compared for all networks by ``benchmarks/tensorrt_memory.py``. Beside the activations that are live
node by node, a TensorRT plan takes:

- a copy of every tensor from another stage, from its first reader to its last, and of every tensor
  that goes to another stage and is also read here. The caller has them in planes (NCHW), kernels
  need channels together (NHWC). Tensors that are only averaged are not copied;
- the frame as floats, from its first reader to its last. The graph casts the frame twice so that
  the floats need not live in between, but the compiler merges the two casts;
- the frame in the form of the first convolution, in a gap that no other tensor fits in. In FP16 its
  three channels become four;
- ``WORKSPACE_BYTES`` for convolutions, for every frame size.

The graph does not say which of several pathways runs first, so networks with two outputs may take a
fifth more than predicted.
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
"""Scratch memory of convolutions, exact in almost every TensorRT plan that was compiled."""

_CONVOLUTIONS = ("Conv", "ConvTranspose")
_AVERAGE = "ReduceMean"
_HALF_CHANNELS = 4
_MARK = " as "


@dataclass(frozen=True)
class _Kept:
    """A copy of the tensor ``source``, alive from node ``first`` to node ``last``."""

    tensor: GraphTensor
    source: str
    first: int
    last: int


def compiled_bytes(view: GraphView) -> int:
    """Return the predicted activation bytes of the TensorRT plan of a graph."""
    kernels = compiled_view(with_integer_kernels(view))
    return allocations_of(kernels, (), 1, Engine.TENSORRT).peak_bytes(1) + WORKSPACE_BYTES


def compiled_view(view: GraphView) -> GraphView:
    """Return the graph with the compiler's copies as nodes and tensors.

    The computation does not change, and every tensor of the graph keeps its name.
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
    """Return the names of the copies in a compiled view whose originals grow with the window."""
    return {t.name for t in view.tensors if t.name.partition(_MARK)[0] in placed}


def _fate_of(view: GraphView, frame: str) -> tuple[GraphNode | None, bool]:
    """Return the first convolution that reads a frame, and whether the frame reaches an output."""
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
