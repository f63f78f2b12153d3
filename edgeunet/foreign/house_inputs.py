"""Make the inputs of a foreign network from frames, (1, H, W, 3) uint8 BGR."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgeunet.contracts import ForeignInput
from edgeunet.graph.inserting import Inserter, as_column
from edgeunet.graph.summary import TO_FIRST, TO_LAST
from edgeunet.graph.values import add_initializer, constant_of, static_shape
from edgeunet.specs import FRAME

LUMA_BGR = (0.114, 0.587, 0.299)
"""What blue, green and red weigh in a grey picture (ITU-R BT.601)."""

_REVERSED = np.array([2, 1, 0], np.int64)


def feed_frames(
    graph: ir.Graph,
    entry: ForeignInput,
    value: ir.Value,
    frames: Sequence[ir.Value],
    in_bytes: bool,
) -> None:
    """Make an input of the network from the frame, or from several in a row."""
    insert = Inserter(graph, graph[0], f"{FRAME}_to_{_plain(entry.name)}")
    flipped = entry.colours == "rgb" and _flip_readers(graph, value, len(frames))
    found = [_numbers(insert, entry, frame, in_bytes, flipped=flipped) for frame in frames]
    planes = found[0]
    if len(found) > 1:
        _, channels, height, width = static_shape(planes) or (1, 1, 1, 1)
        shape = (1, channels * len(found), height, width)
        planes = insert.node("Concat", found, shape, [ir.AttrInt64("axis", 1)])
    if entry.level is not None:
        _, channels, height, width = static_shape(planes) or (1, 1, 1, 1)
        plane = _filled(insert, frames[-1], in_bytes, entry.level)
        shape = (1, channels + 1, height, width)
        planes = insert.node("Concat", [planes, plane], shape, [ir.AttrInt64("axis", 1)])
    if entry.layout == "nhwc":
        planes = insert.transpose(planes, TO_LAST)
    if value.dtype is not None and value.dtype is not ir.DataType.FLOAT:
        planes = insert.cast(planes, value.dtype)
    ir.convenience.replace_all_uses_with(value, planes)


def _numbers(
    insert: Inserter, entry: ForeignInput, frame: ir.Value, in_bytes: bool, *, flipped: bool
) -> ir.Value:
    """Return a frame as the network's numbers, (1, C, H, W) float32.

    flipped: whether the network's weights take BGR in place of RGB.
    """
    planes = frame_planes(insert, frame, in_bytes)
    shape = static_shape(planes) or ()
    factors, offsets = entry.values.factors
    if entry.colours == "gray":
        # The mean of three channels that are weighted three times as much is their weighted sum.
        weights = np.array([3 * part * factors[0] for part in LUMA_BGR], np.float32)
        planes = insert.node("Mul", [planes, insert.constant("grey", as_column(weights))], shape)
        axes = [ir.AttrInt64s("axes", [1]), ir.AttrInt64("keepdims", 1)]
        planes = insert.node("ReduceMean", [planes], (1, 1, *shape[2:]), axes)
        factors = (1.0,)
    elif flipped:
        factors, offsets = factors[::-1], offsets[::-1]
    elif entry.colours == "rgb":
        order = insert.constant("order", _REVERSED)
        planes = insert.node("Gather", [planes, order], shape, [ir.AttrInt64("axis", 1)])
    return insert.scaled(planes, factors, offsets)


def frame_planes(insert: Inserter, frame: ir.Value, in_bytes: bool) -> ir.Value:
    """Return the frame as (1, 3, H, W) float32 BGR, 0..255."""
    planes = insert.cast(frame, ir.DataType.FLOAT) if in_bytes else frame
    return insert.transpose(planes, TO_FIRST)


def _flip_readers(graph: ir.Graph, value: ir.Value, frames: int) -> bool:
    """Reverse the input channels of all convolutions that read a value, if only such do.

    frames: how many pictures it holds; the channels of each are reversed.
    """
    uses = list(value.uses())
    if value.is_graph_output() or not uses:
        return False
    for use in uses:
        group = use.node.attributes.get("group")
        if use.node.op_type != "Conv" or use.idx != 0 or constant_of(use.node.inputs[1]) is None:
            return False
        if group is not None and group.as_int() != 1:
            return False
    for use in uses:
        weight = constant_of(use.node.inputs[1])
        if weight is not None:
            name = f"{use.node.inputs[1].name}_bgr" if use.node.inputs[1] is not None else "bgr"
            content = weight.copy()
            for first in range(0, 3 * frames, 3):
                content[:, first : first + 3] = weight[:, first : first + 3][:, ::-1]
            use.node.replace_input_with(1, add_initializer(graph, name, content))
    return True


def fill_input(
    graph: ir.Graph, entry: ForeignInput, value: ir.Value, frame: ir.Value, in_bytes: bool
) -> None:
    """Give an input of the network one value everywhere."""
    shape = static_shape(value) or ()
    kind = (value.dtype or ir.DataType.FLOAT).numpy()
    fill = float(entry.fill or 0.0)
    frame_size = (static_shape(frame) or ())[1:3]
    in_rows = next((axis for axis in (2, 1) if shape[axis : axis + 2] == frame_size), None)
    if len(shape) != 4 or in_rows is None or frame_size == (1, 1):
        constant = np.full(shape, fill, kind)
        replacement = add_initializer(graph, f"{_plain(entry.name)}_fill", constant)
    else:
        # A map of the frame's size follows the window, so it is made of the frame.
        insert = Inserter(graph, graph[0], f"{FRAME}_to_{_plain(entry.name)}")
        replacement = _filled(insert, frame, in_bytes, fill)
        channels = shape[1 if in_rows == 2 else 3]
        if channels != 1:
            several = [replacement] * channels
            along = [ir.AttrInt64("axis", 1)]
            replacement = insert.node("Concat", several, (1, channels, *frame_size), along)
        if in_rows == 1:
            replacement = insert.transpose(replacement, TO_LAST)
        if value.dtype is not None and value.dtype is not ir.DataType.FLOAT:
            replacement = insert.cast(replacement, value.dtype)
    ir.convenience.replace_all_uses_with(value, replacement)


def _filled(insert: Inserter, frame: ir.Value, in_bytes: bool, fill: float) -> ir.Value:
    """Return a map of one number, (1, 1, H, W) float32, that is made of the frame."""
    planes = frame_planes(insert, frame, in_bytes)
    one = (1, 1, *(static_shape(planes) or ())[2:])
    axes = [ir.AttrInt64s("axes", [1]), ir.AttrInt64("keepdims", 1)]
    plane = insert.node("ReduceMean", [planes], one, axes)
    bound = insert.constant("fill", np.array(fill, np.float32))
    return insert.node("Clip", [plane, bound, bound], one)


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
