"""Join the axis of frames that networks for video have to the channels.

They take (1, N, C, H, W). Everything here takes pictures of four axes, so such an input becomes
(1, N * C, H, W), and its parts are put together again behind it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from edgeunet.foreign.contract_text import MOST_FRAMES, Said
from edgeunet.foreign.tensor_names import remember_shape
from edgeunet.graph.values import add_initializer

_CHANNELS = (1, 3)
_PICTURE_TYPES = (ir.DataType.FLOAT, ir.DataType.UINT8)


def join_frame_axes(graph: ir.Graph, said: Mapping[str, Said]) -> dict[str, tuple[int, int]]:
    """Replace inputs of five axes in place, and return (frames, channels) of them, by name.

    said: what the user says, by input. It says the number of frames where the file leaves it open.
    """
    found = {}
    for index, value in enumerate(list(graph.inputs)):
        shape, name = value.shape, value.name or ""
        if shape is None or len(shape) != 5 or value.dtype not in _PICTURE_TYPES:
            continue
        count = shape[1] if isinstance(shape[1], int) else said.get(name, Said(name)).frames
        channels = shape[2]
        if not isinstance(channels, int) or channels not in _CHANNELS:
            continue
        if not 1 <= count <= MOST_FRAMES:
            continue
        graph.inputs[index] = _joined(graph, value, count, channels)
        found[name] = (count, channels)
    return found


def _joined(graph: ir.Graph, value: ir.Value, count: int, channels: int) -> ir.Value:
    """Return the new input. What reads the old one reads what is made of the new one."""
    name, shape = value.name or "", value.shape
    assert shape is not None
    given = ir.Value(
        name=name, shape=ir.Shape([shape[0], count * channels, *shape[3:]]), type=value.type
    )
    remember_shape(given, shape)
    sizes = np.full(count, channels, np.int64)
    along = [ir.AttrInt64("axis", 1)]
    first = graph[0]
    split = ir.Node(
        "",
        "Split",
        inputs=[given, add_initializer(graph, f"{name}_frame_channels", sizes)],
        attributes=along,
        num_outputs=count,
        name=f"{name}_frames",
    )
    axis = add_initializer(graph, f"{name}_frame_axis", np.array([1], np.int64))
    parts = []
    graph.insert_before(first, split)
    for number, part in enumerate(split.outputs):
        part.name, part.type = f"{name}_frame_{number}", value.type
        apart = ir.Node("", "Unsqueeze", inputs=[part, axis], num_outputs=1)
        apart.name = f"{part.name}_apart"
        apart.outputs[0].name, apart.outputs[0].type = f"{part.name}_on_axis", value.type
        graph.insert_before(first, apart)
        parts.append(apart.outputs[0])
    together = ir.Node(
        "", "Concat", inputs=parts, attributes=along, num_outputs=1, name=f"{name}_on_axis"
    )
    made = together.outputs[0]
    made.name, made.type, made.shape = f"{name}_on_axis", value.type, shape
    graph.insert_before(first, together)
    ir.convenience.replace_all_uses_with(value, made)
    return given
