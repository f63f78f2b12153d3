"""Read parts of what was joined along the channels where they come from.

Networks for several frames take them joined, and take them apart again. Without both, no window
and no stage copies frames that it does not read.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import onnx_ir as ir

from edgeunet.graph.values import constant_of, static_shape
from edgeunet.graph.window_reach import bounds_of

_CHANNELS = 1


def read_parts_directly(graph: ir.Graph) -> int:
    """Bypass every Slice and Split of a Concat that takes whole inputs of it.

    Returns how many were bypassed. The graph computes the same, in place.
    """
    bypassed = 0
    for node in list(graph):
        parts = _parts(node)
        if parts is None or any(value.is_graph_output() for value in node.outputs):
            continue
        for value, inputs in zip(node.outputs, parts, strict=True):
            ir.convenience.replace_all_uses_with(value, _joined(graph, node, value, inputs))
        graph.remove(node, safe=True)
        bypassed += 1
    return bypassed


def _parts(node: ir.Node) -> list[list[ir.Value]] | None:
    """Return the inputs of the Concat that each output of a node is made of, None for others."""
    ranges = _ranges(node)
    source = node.inputs[0] if ranges else None
    concat = None if source is None else source.producer()
    if ranges is None or concat is None or concat.op_type != "Concat":
        return None
    if concat.attributes["axis"].as_int() != _CHANNELS:
        return None
    inputs = [value for value in concat.inputs if value is not None]
    counts = [(static_shape(value) or (0, 0))[_CHANNELS] for value in inputs]
    starts = [0, *itertools.accumulate(counts)]
    found = []
    for start, stop in ranges:
        if start not in starts or stop not in starts or stop <= start:
            return None
        found.append(inputs[starts.index(start) : starts.index(stop)])
    return found


def _ranges(node: ir.Node) -> list[tuple[int, int]] | None:
    """Return the half-open ranges of channels that a node takes, and nothing else."""
    if node.op_type == "Slice":
        bounds = bounds_of(node) if all(constant_of(v) is not None for v in node.inputs[1:]) else {}
        start, stop, step = bounds.get(_CHANNELS, (0, 0, 0))
        return [(start, stop)] if set(bounds) == {_CHANNELS} and step == 1 else None
    axis = node.attributes.get("axis")
    if node.op_type == "Split" and axis is not None and axis.as_int() == _CHANNELS:
        counts = [(static_shape(value) or (0, 0))[_CHANNELS] for value in node.outputs]
        return list(itertools.pairwise([0, *itertools.accumulate(counts)]))
    return None


def _joined(
    graph: ir.Graph, node: ir.Node, value: ir.Value, inputs: Sequence[ir.Value]
) -> ir.Value:
    if len(inputs) == 1:
        return inputs[0]
    joined = ir.Node(
        "",
        "Concat",
        inputs=inputs,
        attributes=[ir.AttrInt64("axis", _CHANNELS)],
        num_outputs=1,
        name=f"{value.name}_joined",
    )
    joined.outputs[0].name = f"{value.name}_joined_out"
    joined.outputs[0].shape, joined.outputs[0].type = value.shape, value.type
    graph.insert_before(node, joined)
    return joined.outputs[0]
