"""The kernels that onnxruntime's CPU provider makes of a graph, and their order.

On x86 convolutions compute on blocks of channels (``channel_blocks.py``); its wheels for ARM64 have
no such kernels, and there a sum is fused into the convolution before it instead. A convolution is
fused with the activation after it. Kernels run in the library's own order: depth first from the
last node of the graph, later nodes first. Derived from the behaviour, the profiles and the
optimized graphs of versions 1.17 to 1.32.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence

from edgeunet.graph.summary import GraphNode, GraphView, TensorKind
from edgeunet.imitation.channel_blocks import ACTIVATIONS, ChannelBlocks
from edgeunet.imitation.convolution_memory import (
    float_scratch,
    integer_scratch,
    packed_bytes,
    pool_scratch,
    transposed_scratch,
)
from edgeunet.imitation.fused_kernels import fuse_early, fuse_late
from edgeunet.imitation.integer_kernels import is_copy
from edgeunet.imitation.kernels import Kernel, earlier, in_blocks, in_order, is_blocked, source_of
from edgeunet.imitation.operator_memory import overwrites, set_scratch
from edgeunet.processors import ProcessorClass

_INTEGER, _INTEGER_CONVOLUTION = "QLinear", "QLinearConv"
_CONVOLUTIONS = ("Conv", "FusedConv")


def kernels_of(
    view: GraphView, processor: ProcessorClass, *, late_first: bool = True, threads: int = 1
) -> list[Kernel]:
    """Return the kernels of a graph in the order in which they run, without weights as inputs.

    late_first: of several copies out of blocks that could run next, take the one of the later
        tensor. The library takes them in the order of a hash table, which differs between
        processes.
    threads: convolutions without blocks take memory for each.
    """
    fixed = {t.name for t in view.tensors if t.kind in (TensorKind.WEIGHT, TensorKind.CONSTANT)}
    nodes = [node for node in view.nodes if not fixed.issuperset(node.outputs)]
    kernels = fuse_early(_one_each(nodes, view, fixed, processor), view)
    kernels = fuse_late(_with_activations(kernels, view), view)
    _renumber(kernels)
    if processor.channel_block is not None:
        blocks = ChannelBlocks(view, processor.channel_block)
        kernels = blocks.of(kernels, late_first=late_first)
    summed = _with_sums(kernels, view)
    # In blocks they are in order, unless something was fused.
    if processor.channel_block is None or len(summed) < len(kernels):
        summed = in_order(summed)
    kernels = _without_functions(summed)
    for kernel in kernels:
        if kernel.op_type in _CONVOLUTIONS and kernel.weights and not is_blocked(kernel):
            kernel.scratch = float_scratch(kernel, view, processor, threads)
    return kernels


def orders_of(view: GraphView, processor: ProcessorClass, threads: int = 1) -> list[list[Kernel]]:
    """Return the kernels in every order that ``kernels_of`` can produce, each order once."""
    late = kernels_of(view, processor, threads=threads)
    # With fewer than two copies out of blocks there is only one order.
    if sum(kernel.op_type == "ReorderOutput" for kernel in late) < 2:
        return [late]
    return [late, kernels_of(view, processor, late_first=False, threads=threads)]


def _renumber(kernels: Sequence[Kernel]) -> None:
    """Give integer kernels new ranks: the library creates them late, and its convolutions twice.

    With these it creates the copies that change the order of channels.
    """
    if not any(kernel.op_type.startswith(_INTEGER) for kernel in kernels):
        return
    for again in (_INTEGER, _INTEGER_CONVOLUTION):
        rank = max((kernel.rank for kernel in kernels), default=0)
        for kernel in in_order(kernels):
            late = again == _INTEGER_CONVOLUTION and is_copy(kernel.outputs[0])
            if late or kernel.op_type.startswith(again):
                rank += 1
                kernel.rank = rank


def _with_sums(kernels: Sequence[Kernel], view: GraphView) -> list[Kernel]:
    """Return the kernels with sums of two tensors fused into a convolution without blocks.

    The convolution has a bias, no activation and no other reader. The result overwrites the other
    term. An activation that only reads the sum is fused as well.
    """
    if not any(kernel.op_type == "Conv" and not is_blocked(kernel) for kernel in kernels):
        return list(kernels)
    makers = {name: kernel for kernel in kernels for name in kernel.outputs}
    uses = collections.Counter(name for kernel in kernels for name in kernel.inputs)
    uses.update(view.outputs)
    readers = {name: kernel for kernel in kernels for name in kernel.inputs}
    rank = max((kernel.rank for kernel in kernels), default=0)
    gone: set[int] = set()
    for kernel in in_order(kernels):
        output = kernel.outputs[0]
        if kernel.op_type != "Conv" or is_blocked(kernel) or uses[output] != 1:
            continue
        add = readers.get(output)
        if add is None or add.op_type != "Add" or id(add) in gone or not _same_shapes(add, view):
            continue
        able = [
            makers[name]
            for name in add.inputs
            if name in makers and _may_sum(makers[name], uses[name])
        ]
        if not able:
            continue
        chosen = min(able, key=lambda one: one.rank)
        other = next(name for name in add.inputs if name != chosen.outputs[0])
        last = add
        after = readers.get(add.outputs[0])
        if uses[add.outputs[0]] == 1 and after is not None and after.op_type in ACTIVATIONS:
            gone.add(id(after))
            last = after
        gone.add(id(add))
        rank += 1
        chosen.op_type, chosen.rank, chosen.over = "FusedConv", rank, other
        chosen.inputs.append(other)
        chosen.outputs = list(last.outputs)
        makers[last.outputs[0]] = chosen
    return [kernel for kernel in kernels if id(kernel) not in gone]


def _may_sum(kernel: Kernel, uses: int) -> bool:
    fits = kernel.op_type == "Conv" and not is_blocked(kernel) and len(kernel.weights) > 1
    return fits and uses == 1


def _same_shapes(add: Kernel, view: GraphView) -> bool:
    shapes = {view.tensor(source_of(name)).shape for name in add.inputs}
    return len(add.inputs) == 2 and len(shapes) == 1 and len(next(iter(shapes))) == 4


def _one_each(
    nodes: Sequence[GraphNode], view: GraphView, fixed: set[str], processor: ProcessorClass
) -> list[Kernel]:
    """Return one kernel per node. Of two casts, or two reshapes, in a row only one remains."""
    users = collections.Counter(name for node in nodes for name in node.inputs)
    reader = {name: node for node in nodes for name in node.inputs}
    gone: set[int] = set()
    kernels: list[Kernel] = []
    for node in nodes:
        if node.index in gone:
            continue
        inputs = [name for name in node.inputs if name not in fixed]
        kernel = Kernel(node.op_type, inputs, list(node.outputs), node.index)
        kernel.weights = tuple(name for name in node.inputs if name in fixed)
        kernel.node, kernel.perm, kernel.part = node, node.perm, node.part
        kernel.is_view = node.is_view and bool(inputs)
        if inputs and (kernel.is_view or overwrites(node, view)):
            kernel.over = inputs[0]
        set_scratch(kernel, node, view)
        if node.op_type == "ConvTranspose":
            kernel.scratch = transposed_scratch(node, view)
            kernel.kept_bytes = view.tensor(node.inputs[1]).size_bytes
        if node.op_type == _INTEGER_CONVOLUTION:
            kernel.scratch = integer_scratch(node, view, processor)
            kernel.kept_bytes = packed_bytes(node, view, processor)
        if node.op_type == "NhwcMaxPool":
            kernel.scratch = pool_scratch(node, view)
        kernels.append(kernel)
        output = node.outputs[0]
        alone = users[output] == 1 and output not in view.outputs
        if node.op_type in ("Cast", "Reshape") and alone:
            after = reader[output]
            if after.op_type == node.op_type:
                gone.add(after.index)
                kernel.outputs = [after.outputs[0]]
                if node.op_type == "Cast" and not _same_size(node, after, view):
                    kernel.over = None
    return kernels


def _without_functions(kernels: Sequence[Kernel]) -> list[Kernel]:
    """Return the kernels with the two that x * hard sigmoid(x) is computed with in its place."""
    found: list[Kernel] = []
    for kernel in kernels:
        if kernel.op_type != "HardSwish":
            found.append(kernel)
            continue
        (x,), (made,) = kernel.inputs, kernel.outputs
        gate = in_blocks(earlier(source_of(made))) if is_blocked(kernel) else earlier(made)
        found.append(Kernel("HardSigmoid", [x], [gate], kernel.rank))
        found.append(Kernel("Mul", [x, gate], [made], kernel.rank))
    return found


def _same_size(first: GraphNode, last: GraphNode, view: GraphView) -> bool:
    read, made = view.tensor(first.inputs[0]), view.tensor(last.outputs[0])
    return read.size_bytes == made.size_bytes


def _with_activations(kernels: Sequence[Kernel], view: GraphView) -> list[Kernel]:
    """Return the kernels with convolutions fused with an activation that only they feed."""
    users = collections.Counter(name for kernel in kernels for name in kernel.inputs)
    reader = {name: kernel for kernel in kernels for name in kernel.inputs}
    rank = max((kernel.rank for kernel in kernels), default=0)
    gone: set[int] = set()
    for kernel in kernels:
        output = kernel.outputs[0]
        if kernel.op_type != "Conv" or users[output] != 1 or output in view.outputs:
            continue
        after = reader[output]
        if after.op_type in ACTIVATIONS:
            gone.add(id(after))
            rank += 1
            kernel.op_type, kernel.outputs, kernel.rank = "FusedConv", list(after.outputs), rank
    return [kernel for kernel in kernels if id(kernel) not in gone]
