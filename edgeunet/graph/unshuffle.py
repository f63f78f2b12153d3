"""Write pixel unshuffle as one operator that contains no sizes.

Exporters write it as Reshape, Transpose and Reshape, with the frame's size in the shapes.
SpaceToDepth does the same for every size, with its channels in another order. The input channels of
the convolution that reads it are reordered to match. The result is exact.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeunet.graph.values import (
    add_initializer,
    constant_of,
    drop_unused_initializers,
    only_use,
    static_shape,
)

_PERMUTATION = [0, 1, 3, 5, 2, 4]


def join_unshuffles(model: ir.Model) -> int:
    """Rewrite, in place, every pixel unshuffle that a convolution reads; return their number."""
    graph = model.graph
    joined = 0
    for node in list(graph):
        if node.op_type == "Transpose" and _join(graph, node):
            joined += 1
    drop_unused_initializers(graph)
    return joined


def _join(graph: ir.Graph, transpose: ir.Node) -> bool:
    perm = transpose.attributes.get("perm")
    split_value = transpose.inputs[0]
    if perm is None or list(perm.as_ints()) != _PERMUTATION or split_value is None:
        return False
    split, merge = split_value.producer(), only_use(transpose.outputs[0])
    if split is None or merge is None or only_use(split_value) is not transpose:
        return False
    if split.op_type != "Reshape" or merge.op_type != "Reshape":
        return False
    source, result = split.inputs[0], merge.outputs[0]
    conv = only_use(result)
    if source is None or conv is None or conv.op_type != "Conv" or conv.inputs[0] is not result:
        return False
    group = conv.attributes.get("group")
    weight = constant_of(conv.inputs[1])
    before, after, six = static_shape(source), static_shape(result), static_shape(split_value)
    if weight is None or (group is not None and group.as_int() != 1):
        return False
    if before is None or after is None or six is None or len(six) != 6:
        return False
    block, channels = six[3], before[1]
    expected = (before[0], channels * block**2, before[2] // block, before[3] // block)
    if six[5] != block or six[1] != channels or after != expected:
        return False
    node = ir.Node(
        "",
        "SpaceToDepth",
        inputs=[source],
        attributes=[ir.AttrInt64("blocksize", block)],
        num_outputs=1,
        name=f"{transpose.name}_unshuffle",
    )
    node.outputs[0].name = f"{result.name}_unshuffled"
    node.outputs[0].shape, node.outputs[0].type = result.shape, result.type
    graph.insert_before(split, node)
    # PixelUnshuffle puts channel c, offset k at c * block**2 + k; SpaceToDepth at k * channels + c.
    order = np.arange(channels * block**2).reshape(channels, block**2).T.reshape(-1)
    old = conv.inputs[1]
    name = old.name if old is not None and old.name else f"{conv.name}_weight"
    conv.replace_input_with(1, add_initializer(graph, name, weight[:, order]))
    conv.replace_input_with(0, node.outputs[0])
    graph.remove([merge, transpose, split], safe=True)
    return True
