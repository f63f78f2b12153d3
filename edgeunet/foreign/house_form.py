"""Give a foreign graph the form of our own: a frame in, images, label maps and scores out.

Before: the tensors that the file names. After: ``frame``, (1, H, W, 3) uint8 BGR, the frames before
it that the network reads, and the outputs of the contract. The file's own arithmetic is between.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass

from edgeunet.contracts import ForeignNetwork
from edgeunet.errors import GraphError
from edgeunet.foreign.concat_parts import read_parts_directly
from edgeunet.foreign.house_inputs import feed_frames, fill_input
from edgeunet.foreign.house_outputs import answer_of
from edgeunet.graph.values import drop_unused_initializers
from edgeunet.specs import FrameType, earlier_frame

_FLOAT, _BYTE = ir.DataType.FLOAT, ir.DataType.UINT8


def to_house_form(
    model: ir.Model,
    network: ForeignNetwork,
    height: int,
    width: int,
    frame_type: FrameType = FrameType.UINT8,
) -> None:
    """Rewrite a canonical graph in place.

    height, width: of the frame, which the graph was made canonical for.
    Raises GraphError when an output has not the size that the contract says.
    """
    graph = model.graph
    in_bytes = frame_type is FrameType.UINT8
    given = {value.name or "": value for value in graph.inputs}
    made = {value.name or "": value for value in graph.outputs}
    frames = [
        ir.Value(
            name=earlier_frame(age),
            shape=ir.Shape([1, height, width, 3]),
            type=ir.TensorType(_BYTE if in_bytes else _FLOAT),
        )
        for age in range(network.earlier + 1)
    ]
    answers = [
        answer_of(graph, entry, made[entry.name], (height, width), in_bytes)
        for entry in network.pathways
    ]
    for entry in network.inputs:
        value = given[entry.name]
        if not value.uses() and entry.earlier:
            raise GraphError(
                f"the network does not use its input {entry.name!r}, the frame {entry.earlier} "
                "before",
                hint=f"give it a number: --input {entry.name}=fill=0",
            )
        if not value.uses():
            continue
        if entry.fill is None:
            feed_frames(graph, entry, value, [frames[age] for age in entry.ages()], in_bytes)
        else:
            fill_input(graph, entry, value, frames[0], in_bytes)
    if network.remembers:
        read_parts_directly(graph)
    graph.inputs.clear()
    graph.inputs.extend(frames)
    graph.outputs.clear()
    graph.outputs.extend(answers)
    _drop_unused_nodes(graph)
    drop_unused_initializers(graph)
    graph.name = network.name
    NameFixPass()(model)


def _drop_unused_nodes(graph: ir.Graph) -> None:
    for node in reversed(list(graph)):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            graph.remove(node, safe=True)
