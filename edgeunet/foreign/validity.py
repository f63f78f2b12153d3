"""Refuse graphs that ONNX does not allow, and operators that draw random numbers, by name.

onnx's own checker wants more than engines do, such as domains that nothing uses. So only that is
checked which every later pass relies on; ``graph/onnx_content.py`` has checked each operator alone.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.attributes import int_of
from edgeunet.graph.inferred_shapes import INVALID
from edgeunet.graph.values import constant_of, static_shape

_RANDOM = frozenset(
    {
        "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
        "RandomUniformLike",
    }
)  # fmt: skip


def check_graph(graph: ir.Graph, name: str, opset: int) -> None:
    """Raise GraphError for a graph that is not valid, or does not give the same every time.

    name: the file's name, for messages.
    """
    known: set[ir.Value] = {*graph.inputs, *graph.initializers.values()}
    for node in graph:
        _check_node(node, name, opset)
        for value in node.inputs:
            if value is not None and value not in known:
                raise GraphError(
                    f"{name}: {_title(node)} reads {value.name!r} before anything makes it",
                    hint=INVALID,
                )
        known.update(node.outputs)
    for value in graph.outputs:
        if value not in known:
            raise GraphError(f"{name}: nothing makes the output {value.name!r}", hint=INVALID)
        if value in graph.inputs:
            raise GraphError(
                f"{name} gives its input {value.name!r} as an output",
                hint="export it again without that output",
            )


def _check_node(node: ir.Node, name: str, opset: int) -> None:
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError as error:
        raise GraphError(
            f"{_title(node)} of {name} is not one of ONNX's opset {opset}",
            hint="export it again, with operators of ONNX alone",
        ) from error
    if any(value is None for value in node.inputs[: schema.min_input]):
        raise GraphError(
            f"{name}: {_title(node)} leaves out an input that it needs",
            hint=INVALID,
        )
    if node.op_type in _RANDOM or _drops(node):
        raise GraphError(
            f"{_title(node)} of {name} draws random numbers, so that no two answers are the same",
            hint="export the network in evaluation mode, or without that operator",
        )


def _drops(node: ir.Node) -> bool:
    """Return whether a Dropout is in training mode."""
    training = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    return node.op_type == "Dropout" and training is not None and bool(training.any())


def check_convolutions(graph: ir.Graph) -> None:
    """Raise GraphError for a convolution whose weights have other channels than what it reads."""
    for node in graph:
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        shapes = [static_shape(value) if value is not None else None for value in node.inputs[:2]]
        given, weights = shapes
        if given is None or weights is None:
            continue
        group = int_of(node, "group", 1)
        wanted = weights[1] * group if node.op_type == "Conv" else weights[0]
        if given[1] != wanted:
            raise GraphError(
                f"{_title(node)} has weights for {wanted} channels and reads {given[1]}",
                hint=INVALID,
            )


def _title(node: ir.Node) -> str:
    return f"operator {node.op_type} (node {node.name!r})"
