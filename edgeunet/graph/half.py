"""Convert a graph to FP16 with the type of every tensor written into it (strongly typed).

FP32 remains in:
- nodes that compute on the frame without weights, and sums with their results: values of an 8-bit
  image over 255 are not exact in FP16, and these tensors are only three channels wide;
- the operators that a recipe names (statistics of normalisations), squares between them, and nodes
  that have only FP32 operators around them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.values import add_initializer, constant_of, drop_unused_initializers

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})

# Inputs that ONNX requires in FP32 for every precision of the operator.
_ALWAYS_FLOAT = frozenset({("Resize", 1), ("Resize", 2)})

# Exponentials and their sums belong in FP32; the tensors are class vectors. Scales of
# quantizers are FP32 until opset 19.
_DEFAULT_FP32 = frozenset({"DequantizeLinear", "QuantizeLinear", "Softmax"})

_LARGEST_HALF = float(np.finfo(np.float16).max)


def to_half(model: ir.Model, *, fp32_ops: Iterable[str] = ()) -> int:
    """Convert in place; return the number of nodes that stay in FP32.

    Raises GraphError when a weight does not fit in FP16.
    """
    graph = model.graph
    islands = _islands(graph, _DEFAULT_FP32 | frozenset(fp32_ops))
    casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}
    halves: dict[ir.Value, ir.Value] = {}
    for node in list(graph):
        if node.op_type == "Cast" or not _is_float_node(node):
            continue
        wanted = ir.DataType.FLOAT if node in islands else ir.DataType.FLOAT16
        for index, value in enumerate(node.inputs):
            if value is None or (node.op_type, index) in _ALWAYS_FLOAT:
                continue
            if constant_of(value) is not None:
                if wanted is ir.DataType.FLOAT16 and value.dtype is ir.DataType.FLOAT:
                    node.replace_input_with(index, _half_of(graph, value, halves))
            elif value.dtype in (ir.DataType.FLOAT, ir.DataType.FLOAT16) and value.dtype != wanted:
                node.replace_input_with(index, _cast_of(graph, value, wanted, node, casts))
        for output in node.outputs:
            if output.dtype is ir.DataType.FLOAT:
                output.type = ir.TensorType(wanted)
    _restore_outputs(graph)
    drop_unused_initializers(graph)
    return len(islands)


def _is_float_node(node: ir.Node) -> bool:
    return any(v.dtype is ir.DataType.FLOAT for v in node.outputs) or any(
        v is not None and constant_of(v) is None and v.dtype is ir.DataType.FLOAT
        for v in node.inputs
    )


def _makes_floats(node: ir.Node) -> bool:
    """Return whether a node makes floats of none: an attribute of it says which, and stays."""
    floats = any(value.dtype is ir.DataType.FLOAT for value in node.outputs)
    read = (value.dtype for value in node.inputs if value is not None)
    return floats and node.op_type != "Cast" and ir.DataType.FLOAT not in read


def _islands(graph: ir.Graph, fp32_ops: frozenset[str]) -> set[ir.Node]:
    islands = {node for node in graph if node.op_type in fp32_ops} | _frame_nodes(graph)
    squares = {
        node
        for node in graph
        if node.op_type == "Mul"
        and node.inputs[0] is node.inputs[1]
        and any(use.node in islands for use in node.outputs[0].uses())
    }
    islands |= squares | {node for node in graph if _makes_floats(node)}
    # For nodes between FP32 operators (such as adding an epsilon) FP16 would only cost precision.
    for node in graph:
        sources = [v.producer() for v in node.inputs if v is not None and constant_of(v) is None]
        readers = [use.node for output in node.outputs for use in output.uses()]
        if sources and readers and all(n in islands for n in (*sources, *readers)):
            islands.add(node)
    return islands


def _frame_nodes(graph: ir.Graph) -> set[ir.Node]:
    """Return the nodes that compute on the frame itself, or on a sum with it."""
    derived: set[ir.Value] = set(graph.inputs)
    mixed: set[ir.Value] = set()
    nodes: set[ir.Node] = set()
    for node in graph:
        if node.op_type in _WEIGHTED:
            continue
        variable = [v for v in node.inputs if v is not None and constant_of(v) is None]
        if not variable:
            continue
        if all(v in derived for v in variable):
            derived.update(node.outputs)
        elif any(v in derived or v in mixed for v in variable):
            mixed.update(node.outputs)
        else:
            continue
        nodes.add(node)
    return nodes


def _half_of(graph: ir.Graph, value: ir.Value, halves: dict[ir.Value, ir.Value]) -> ir.Value:
    if value not in halves:
        content = constant_of(value)
        if content is None:
            return value
        if content.size and float(np.abs(content).max()) > _LARGEST_HALF:
            raise GraphError(
                f"the weight {value.name!r} holds values that FP16 cannot (above 65504)",
                hint="export with --fp32, or train with weight decay",
            )
        halves[value] = add_initializer(graph, f"{value.name}_fp16", content.astype(np.float16))
    return halves[value]


def _cast_of(
    graph: ir.Graph,
    value: ir.Value,
    wanted: ir.DataType,
    before: ir.Node,
    casts: dict[tuple[ir.Value, ir.DataType], ir.Value],
) -> ir.Value:
    if (value, wanted) not in casts:
        suffix = "fp16" if wanted is ir.DataType.FLOAT16 else "fp32"
        node = ir.Node(
            "",
            "Cast",
            inputs=[value],
            attributes=[ir.AttrInt64("to", int(wanted))],
            num_outputs=1,
            name=f"{value.name}_to_{suffix}",
        )
        node.outputs[0].name = f"{value.name}_{suffix}"
        node.outputs[0].shape = value.shape
        node.outputs[0].type = ir.TensorType(wanted)
        graph.insert_before(before, node)
        casts[value, wanted] = node.outputs[0]
    return casts[value, wanted]


def _restore_outputs(graph: ir.Graph) -> None:
    """Cast float outputs back to FP32, so that a graph's interface does not depend on precision."""
    for index, output in enumerate(graph.outputs):
        if output.dtype is not ir.DataType.FLOAT16:
            continue
        name = output.name
        node = ir.Node(
            "",
            "Cast",
            inputs=[output],
            attributes=[ir.AttrInt64("to", int(ir.DataType.FLOAT))],
            num_outputs=1,
            name=f"{name}_to_fp32",
        )
        output.name = f"{name}_fp16"
        node.outputs[0].name = name
        node.outputs[0].shape = output.shape
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        graph.append(node)
        graph.outputs[index] = node.outputs[0]
