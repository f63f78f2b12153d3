"""Write shuffles of pixels and channels as single operators without sizes.

Exporters write them as Reshape, Transpose and Reshape. ``graph/unshuffle.py`` does the same where a
convolution reads an unshuffle, and reorders its weights; here the channels are reordered instead.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeunet.graph.values import add_initializer, only_use, static_shape

_UNSHUFFLE = (0, 1, 3, 5, 2, 4)
_SHUFFLES = {(0, 1, 4, 2, 5, 3): "CRD", (0, 3, 4, 1, 5, 2): "DCR"}
_CHANNELS = (0, 2, 1, 3, 4)


def join_shuffles(graph: ir.Graph) -> int:
    """Rewrite every shuffle in place; return their number."""
    joined = 0
    for node in list(graph):
        if node.op_type == "Transpose" and _join(graph, node):
            joined += 1
    return joined


def _join(graph: ir.Graph, transpose: ir.Node) -> bool:
    perm = transpose.attributes.get("perm")
    between = transpose.inputs[0]
    split, merge = None if between is None else between.producer(), only_use(transpose.outputs[0])
    if perm is None or between is None or split is None or merge is None:
        return False
    if only_use(between) is not transpose or split.op_type != "Reshape":
        return False
    source, made = split.inputs[0], merge.outputs[0]
    if merge.op_type != "Reshape" or source is None:
        return False
    given, parts, wanted = static_shape(source), static_shape(between), static_shape(made)
    if given is None or parts is None or wanted is None or len(given) != 4 or given[0] != 1:
        return False
    found = _operator(tuple(perm.as_ints()), given, parts, wanted)
    if found is None:
        return False
    name = transpose.name or made.name or "shuffle"
    value = source
    for number, node in enumerate(found):
        if number + 1 < len(found):
            node.outputs[0].name = f"{made.name}_shuffled"
            node.outputs[0].type = source.type
            node.outputs[0].shape = ir.Shape(wanted)
        node.name = f"{name}_{node.op_type}"
        node.replace_input_with(0, value)
        value = node.outputs[0]
        graph.insert_before(merge, node)
        if node.op_type == "Gather":
            node.replace_input_with(1, add_initializer(graph, f"{node.name}_order", _order(parts)))
    value.name, value.type, value.shape = made.name, made.type, made.shape
    ir.convenience.replace_all_uses_with(made, value, replace_graph_outputs=True)
    graph.remove([merge, transpose, split], safe=True)
    return True


def _operator(
    perm: tuple[int, ...],
    given: tuple[int, ...],
    parts: tuple[int, ...],
    wanted: tuple[int, ...],
) -> list[ir.Node] | None:
    """Return the operators that do the same, not yet connected; None for no known shuffle."""
    _, channels, height, width = given
    if perm == _UNSHUFFLE and len(parts) == 6:
        block = parts[3]
        if parts[5] != block or parts[1] != channels:
            return None
        if wanted != (1, channels * block**2, height // block, width // block):
            return None
        return [_node("SpaceToDepth", ir.AttrInt64("blocksize", block)), _gather()]
    if perm in _SHUFFLES and len(parts) == 6:
        mode = _SHUFFLES[perm]
        block = parts[2]
        first = parts[1] if mode == "CRD" else parts[3]
        blocks = parts[2:4] if mode == "CRD" else parts[1:3]
        if blocks != (block, block) or wanted != (1, first, height * block, width * block):
            return None
        return [
            _node("DepthToSpace", ir.AttrInt64("blocksize", block), ir.AttrString("mode", mode))
        ]
    if perm == _CHANNELS and len(parts) == 5 and wanted == given and parts[3:] == given[2:]:
        return [_gather()]
    return None


def _order(parts: tuple[int, ...]) -> NDArray[np.int64]:
    """Return which channel goes where."""
    if len(parts) == 5:
        groups: NDArray[np.int64] = np.arange(parts[1] * parts[2]).reshape(parts[1:3]).T.reshape(-1)
        return groups
    channels, block = parts[1], parts[3]
    # SpaceToDepth puts channel c of offset k at k * channels + c, the shuffle at c * block**2 + k.
    order: NDArray[np.int64] = np.arange(channels * block**2)
    order = order.reshape(block**2, channels).T.reshape(-1)
    return order


def _node(op_type: str, *attributes: ir.Attr) -> ir.Node:
    return ir.Node("", op_type, inputs=[None], attributes=list(attributes), num_outputs=1)


def _gather() -> ir.Node:
    return ir.Node(
        "", "Gather", inputs=[None, None], attributes=[ir.AttrInt64("axis", 1)], num_outputs=1
    )
