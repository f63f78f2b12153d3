"""The last rewrite of a graph with final sizes: the data layout that suits its engine."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from edgeunet.graph.inserting import Inserter, replace
from edgeunet.graph.integer_layout import lay_out_integers
from edgeunet.graph.layout import lay_out_for_cpu
from edgeunet.graph.stages import StageGraph
from edgeunet.processors import PROCESSOR_CLASSES, ProcessorClass
from edgeunet.specs import Engine


def finish_stage(
    stage: StageGraph,
    window: tuple[int, int],
    engine: Engine,
    processors: Sequence[ProcessorClass] = PROCESSOR_CLASSES,
) -> ir.Model:
    """Return the graph of a stage for an engine and a window of (rows, columns) pixels."""
    return finish(stage.at(*window), engine, processors, same_bits=stage.remembers)


def finish(
    model: ir.Model,
    engine: Engine,
    processors: Sequence[ProcessorClass] = PROCESSOR_CLASSES,
    *,
    same_bits: bool = False,
) -> ir.Model:
    """Rewrite a graph for an engine in place, and return it.

    same_bits: add up in a part of a network as in the whole network. It may take memory.
    processors: those that the graph is for. The layout of floats is for channel blocks; where no
        processor has any, it would only take memory.
    The frame or window size of the graph cannot be changed afterwards.
    """
    if engine is Engine.ONNXRUNTIME:
        if any(one.channel_block is not None for one in processors):
            lay_out_for_cpu(model, same_bits=same_bits)
        lay_out_integers(model)
    else:
        _slice_floats(model.graph)
    return model


def _slice_floats(graph: ir.Graph) -> None:
    """Cast bytes to floats before they are sliced: TensorRT does nothing else with bytes."""
    for node in [node for node in graph if node.op_type == "Slice"]:
        source, made = node.inputs[0], node.outputs[0]
        readers = [use.node for use in made.uses()]
        if source is None or source.dtype is not ir.DataType.UINT8 or len(readers) != 1:
            continue
        if readers[0].op_type != "Cast" or made.is_graph_output():
            continue
        to = ir.DataType(readers[0].attributes["to"].as_int())
        add = Inserter(graph, node, f"{made.name}_late")
        wide = add.cast(source, to)
        inputs = [wide, *(value for value in node.inputs[1:] if value is not None)]
        replace(graph, readers[0], add.node("Slice", inputs, made.shape or ()))
        graph.remove(node, safe=True)


def read_frame_late(model: ir.Model, engine: Engine) -> ir.Model:
    """Let the copies of the frame into floats run as late as they can.

    Of the kernels that could run next, onnxruntime runs the one that is last in the file. So the
    first ones wait until what reads them has all its other inputs, and no float copy of the frame
    is held for long. The order in the file is then no longer that in which they run, so figures
    that follow the file are computed before. Changes the graph in place, and returns it.
    """
    graph = model.graph
    if engine is not Engine.ONNXRUNTIME:
        return model
    first = graph[0]
    for node in list(graph):
        source = node.inputs[0] if node.op_type == "Cast" else None
        if source is not None and source.is_graph_input() and node is not first:
            graph.insert_before(first, node)
    return model
