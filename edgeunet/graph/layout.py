"""Change the layout of a float graph to suit ONNX Runtime's CPU kernels.

These kernels keep the channels of a tensor in blocks. They fuse a sum into the convolution before
it, but only between blocked tensors. Every other operator between two convolutions costs a copy out
of the blocks and one back. So:

- pixel shuffles become copies of whole runs of floats, in (N, H, W, C). The kernels pass through
  this order when they leave and enter the blocks, so nothing else is copied;
- a 1x1 convolution before a pixel shuffle becomes a matrix product in (N, H, W, C), one per row of
  the shuffled tensor, so it writes every number where it belongs. What leaves the blocks is then
  half as large, and that copy is the one that runs on a single thread;
- a shuffled tensor enters the blocks before it is summed, not after, and the sum is fused into the
  other term's convolution, which then writes over the shuffled tensor;
- where windows must give the bits of whole frames, what another stage made enters the blocks before
  it is summed with a convolution's result. Of two convolutions, the sum is fused into the later
  one, because the earlier one may be in another stage;
- a convolution with few output channels computes neighbouring columns, to fill a whole block. A
  crop after it comes later.

The products, and the last rule, change the order of sums; the others only move numbers. The graph
needs its final sizes, because they are written into Reshape nodes. The rules are for float32, the
type of the blocked kernels, and for onnxruntime only: GPU compilers choose their own layout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeunet.graph.convolutions import group_of, is_dense, over_columns
from edgeunet.graph.inserting import Inserter, copied_order, replace
from edgeunet.graph.summary import TO_FIRST, TO_LAST
from edgeunet.graph.values import (
    Floats,
    add_initializer,
    constant_of,
    drop_unused_initializers,
    only_use,
    set_input,
    static_shape,
)

# Channels in one block of the widest kernels (AVX-512), and of the narrowest (AVX2).
_WIDE_BLOCK, _NARROW_BLOCK = 16, 8


@dataclass(frozen=True)
class LayoutCounts:
    """Number of places that each rule changed."""

    shuffles: int
    sums: int
    held: int
    narrow: int


def lay_out_for_cpu(model: ir.Model, *, same_bits: bool = False) -> LayoutCounts:
    """Apply every rule in place; return the number of changes. The graph has its final sizes.

    same_bits: apply the rule about what another stage made as well.
    """
    graph = model.graph
    if same_bits:
        _fuse_into_later(graph)
    shuffles = sums = 0
    for node in [node for node in graph if _is_float(node)]:
        if node.op_type == "DepthToSpace":
            summed = _is_summed(node.outputs[0])
            done = _shuffle(graph, node, summed)
            shuffles, sums = shuffles + done, sums + (done and summed)
        elif node.op_type == "SpaceToDepth":
            shuffles += _unshuffle(graph, node)
    held = sum(same_bits and _enter_held(graph, value) for value in graph.inputs)
    # After the first rules, because an unshuffle now begins with a Transpose.
    for node in [node for node in graph if node.op_type == "Transpose" and _is_float(node)]:
        _crop_later(graph, node)
    narrow = [_widen(graph, n) for n in list(graph) if n.op_type == "Conv" and _is_float(n)]
    drop_unused_initializers(graph)
    return LayoutCounts(shuffles, sums, held, sum(narrow))


def _shuffle(graph: ir.Graph, node: ir.Node, summed: bool) -> bool:
    """Replace a pixel shuffle after a convolution by copies of whole runs.

    summed: let the result enter the blocks at once. Later, both forms would be alive together.
    """
    found = _source(node)
    if found is None:
        return False
    source, conv, channels = found
    if only_use(source) is not node or group_of(conv) != 1 or not _has_constant_weights(conv):
        return False
    block = node.attributes["blocksize"].as_int()
    order = copied_order(node, channels)
    factors = _factors(conv, block, order)
    if factors is not None:
        value = _multiplied(graph, node, conv, factors)
        if summed:
            value = _entered(Inserter(graph, node, f"{node.outputs[0].name}_in"), value)
            _sum_into_other(node.outputs[0])
        replace(graph, node, value)
        graph.remove(conv, safe=True)
        return True
    if order is not None:
        for index in range(1, len(conv.inputs)):
            old, content = conv.inputs[index], constant_of(conv.inputs[index])
            if old is not None and content is not None:
                name = old.name or f"{source.name}_{index}"
                set_input(conv, index, add_initializer(graph, name, content[order]))
    add = Inserter(graph, node, f"{node.outputs[0].name}_laid")
    value = add.shuffle(source, block)
    if summed:
        value = _entered(add, value)
        _sum_into_other(node.outputs[0])
    replace(graph, node, value)
    return True


def _factors(conv: ir.Node, block: int, order: NDArray[np.int64] | None) -> Floats | None:
    """Return the weights of a 1x1 convolution before a pixel shuffle as matrices.

    order: the order of the channels in which the shuffle copies runs, None if unchanged.
    Returns (block, inputs, block * channels), a matrix for each row of a cell; None where a
    convolution is better: with a bias, other kernels, or fewer results than fill a block.
    """
    weight, pads = constant_of(conv.inputs[1]), conv.attributes.get("pads")
    if weight is None or weight.shape[2:] != (1, 1) or not is_dense(conv):
        return None
    if len(conv.inputs) > 2 or (pads is not None and any(pads.as_ints())):
        return None
    kept, inputs = len(weight) // block, weight.shape[1]
    if kept < _WIDE_BLOCK:
        return None
    rows = weight if order is None else weight[order]
    factors: Floats = rows.reshape(block, kept, inputs).transpose(0, 2, 1)
    return factors


def _multiplied(graph: ir.Graph, node: ir.Node, conv: ir.Node, factors: Floats) -> ir.Value:
    """Insert the product that replaces a convolution and the pixel shuffle after it."""
    source = conv.inputs[0]
    assert source is not None
    count, inputs, rows, columns = static_shape(source) or ()
    block, _, kept = factors.shape
    add = Inserter(graph, node, f"{node.outputs[0].name}_laid")
    value = add.transpose(source, TO_LAST)
    # Reshaped at once, a tensor only gets one more axis: the library takes that for a
    # transposition, joins it with the one before, and no longer finds the copy out of the blocks.
    flat = (count * rows, columns * inputs)
    value = add.node("Flatten", [value], flat, [ir.AttrInt64("axis", 2)])
    value = add.reshape(value, (count * rows, 1, columns, inputs))
    value = add.node(
        "MatMul", [value, add.constant("factors", factors)], (count * rows, block, columns, kept)
    )
    value = add.reshape(value, (count, rows * block, columns * block, kept // block))
    return add.transpose(value, TO_FIRST)


def _unshuffle(graph: ir.Graph, node: ir.Node) -> bool:
    """Replace a pixel unshuffle after a convolution by copies of runs."""
    found = _source(node)
    if found is None:
        return False
    add = Inserter(graph, node, f"{node.outputs[0].name}_laid")
    replace(graph, node, add.unshuffle(found[0], node.attributes["blocksize"].as_int()))
    return True


def _is_summed(value: ir.Value) -> bool:
    """Return whether a tensor is read only by sums with blocked tensors.

    Such a tensor should be blocked as well. Otherwise this sum, and all sums that depend on it, are
    computed outside the blocks.
    """
    reader = only_use(value)
    return reader is not None and _is_sum_with_blocked(reader, value)


def _enter_held(graph: ir.Graph, value: ir.Value) -> bool:
    """Let an input of the graph enter the blocks, if it is summed with what is blocked.

    Outside the blocks the sum would not be fused into the convolution that makes its other term.
    The convolution adds up its products and that term in another order than a sum after it does.
    """
    shape = static_shape(value)
    readers = [use.node for use in value.uses()]
    if value.dtype is not ir.DataType.FLOAT or shape is None or len(shape) != 4:
        return False
    if not any(_is_sum_with_blocked(node, value) for node in readers):
        return False
    entered = _entered(Inserter(graph, graph[0], f"{value.name}_in"), value)
    for node in readers:
        for index, read in enumerate(node.inputs):
            if read is value:
                node.replace_input_with(index, entered)
    return True


def _fuse_into_later(graph: ir.Graph) -> None:
    """Make the later one of two convolutions the first term of their sum, which is fused into it.

    A tensor of another stage comes second: there, its convolution is an earlier one.
    """
    places = {value: index for index, node in enumerate(graph) for value in node.outputs}
    for node in graph:
        first, second = node.inputs if node.op_type == "Add" else (None, None)
        if first is None or second is None or places.get(first, -1) >= places.get(second, -1):
            continue
        if (first not in places or _is_blocked(first)) and _is_blocked(second):
            node.replace_input_with(0, second)
            node.replace_input_with(1, first)


def _is_sum_with_blocked(node: ir.Node, value: ir.Value) -> bool:
    """Return whether a node adds a tensor to another one of its shape that is blocked."""
    others = [v for v in node.inputs if v is not None and v is not value]
    return (
        node.op_type == "Add"
        and len(others) == 1
        and static_shape(others[0]) == static_shape(value)
        and _is_blocked(others[0])
    )


def _sum_into_other(value: ir.Value) -> None:
    """Make a tensor the second term of the sum that reads it, if a convolution makes the other.

    The library fuses a sum into the convolution that makes the first term, which then writes over
    the second one.
    """
    reader = only_use(value)
    assert reader is not None
    first, other = reader.inputs
    if first is not value or other is None or only_use(other) is not reader:
        return
    maker = other.producer()
    if maker is not None and maker.op_type == "Conv":
        reader.replace_input_with(0, other)
        reader.replace_input_with(1, value)


def _entered(add: Inserter, value: ir.Value) -> ir.Value:
    """Insert a convolution with ones, whose result is blocked, so that it can be summed there."""
    channels = (static_shape(value) or ())[1]
    # A depthwise convolution is blocked only for whole blocks of channels; else a dense one is
    # used.
    alone = channels % _WIDE_BLOCK == 0
    content = np.ones((channels, 1)) if alone else np.eye(channels)
    weight = add.constant("ones", content.astype(np.float32)[:, :, None, None])
    group = ir.AttrInt64("group", channels if alone else 1)
    return add.node("Conv", [value, weight], static_shape(value) or (), [group])


def _is_blocked(value: ir.Value) -> bool:
    """Return whether a kernel leaves a value in blocks: a convolution, or a sum of such values."""
    node = value.producer()
    if node is None:
        return False
    if node.op_type in ("Add", "Relu", "MaxPool"):
        return all(v is not None and _is_blocked(v) for v in node.inputs)
    return node.op_type == "Conv" and group_of(node) == 1


def _crop_later(graph: ir.Graph, last: ir.Node) -> None:
    """Move a crop before a transposition to (N, H, W, C) behind it, where ``_widen`` sees through.

    last: the transposition.
    """
    cropped, perm = last.inputs[0], last.attributes.get("perm")
    crop = None if cropped is None else cropped.producer()
    if crop is None or crop.op_type != "Slice" or len(crop.inputs) < 4:
        return
    if perm is None or tuple(perm.as_ints()) != TO_LAST or only_use(crop.outputs[0]) is not last:
        return
    source, axes = crop.inputs[0], constant_of(crop.inputs[3])
    if source is None or axes is None:
        return
    add = Inserter(graph, last, f"{last.outputs[0].name}_cropped")
    value = add.transpose(source, TO_LAST)
    moved = add.constant("axes", np.array([TO_LAST.index(a % 4) for a in axes.tolist()], np.int64))
    inputs = [value, *crop.inputs[1:3], moved, *crop.inputs[4:]]
    value = add.node(
        "Slice", [one for one in inputs if one is not None], static_shape(last.outputs[0]) or ()
    )
    replace(graph, last, value)
    graph.remove(crop, safe=True)


def _widen(graph: ir.Graph, conv: ir.Node) -> bool:
    """Make a convolution with few output channels compute several columns at once.

    The result is read as (N, H, W, C). A kernel always computes a whole block of channels, also if
    only a few are used. In (N, H, W, C), channels of neighbouring columns lie where they belong.
    """
    result, old = conv.outputs[0], conv.inputs[1]
    last, shape, weight = only_use(result), static_shape(result), constant_of(old)
    if last is None or shape is None or old is None or weight is None or weight.ndim != 4:
        return False
    perm = last.attributes.get("perm")
    if last.op_type != "Transpose" or perm is None or tuple(perm.as_ints()) != TO_LAST:
        return False
    if group_of(conv) != 1 or not _has_constant_weights(conv) or not is_dense(conv):
        return False
    kept, kernel_columns = weight.shape[0], weight.shape[3]
    # 1x1 kernels share no columns, so one wide block is no faster than two narrow ones.
    block = _WIDE_BLOCK if kernel_columns > 1 else _NARROW_BLOCK
    together = 1
    while 2 * together * kept <= block and shape[3] % (2 * together) == 0:
        together *= 2
    if together == 1:
        return False
    name = old.name or f"{result.name}_weight"
    content = over_columns(weight, together)
    set_input(conv, 1, add_initializer(graph, name, content))
    bias = constant_of(conv.inputs[2]) if len(conv.inputs) > 2 else None
    if bias is not None:
        set_input(conv, 2, add_initializer(graph, f"{name}_bias", np.tile(bias, together)))
    conv.attributes["strides"] = ir.AttrInt64s("strides", [1, together])
    conv.attributes["kernel_shape"] = ir.AttrInt64s("kernel_shape", list(content.shape[2:]))
    count, _, rows, columns = shape
    result.shape = ir.Shape((count, together * kept, rows, columns // together))
    add = Inserter(graph, last, f"{result.name}_columns")
    value = add.transpose(result, TO_LAST)
    value = add.reshape(value, (count, rows, columns, kept))
    replace(graph, last, value)
    return True


def _is_float(node: ir.Node) -> bool:
    return all(value.dtype is ir.DataType.FLOAT for value in node.outputs)


def _has_constant_weights(conv: ir.Node) -> bool:
    return all(value is None or constant_of(value) is not None for value in conv.inputs[1:])


def _source(node: ir.Node) -> tuple[ir.Value, ir.Node, int] | None:
    """Return (the input of a node, the convolution that makes it, its channels), or None."""
    source = node.inputs[0]
    conv = None if source is None else source.producer()
    shape = None if source is None else static_shape(source)
    if source is None or conv is None or shape is None or conv.op_type != "Conv":
        return None
    return source, conv, shape[1]
