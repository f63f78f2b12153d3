"""The canonical form of a foreign graph, which all later passes rely on.

Every dimension is a number. What follows from sizes and weights alone is folded. Operators that do
nothing at this size are gone. The operators are those of opset 17, and where exporters write a
picture's size into an operator that needs none, it is taken out (``size_free.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir
from onnx_ir.passes.common import (
    ClearMetadataAndDocStringPass,
    NameFixPass,
    TopologicalSortPass,
)
from onnxscript import optimizer

from edgeunet.errors import GraphError
from edgeunet.foreign.size_free import take_out_sizes
from edgeunet.foreign.strict_shapes import infer_strictly
from edgeunet.foreign.uniform_constants import narrow_filled_tensors
from edgeunet.foreign.validity import check_convolutions
from edgeunet.graph.inferred_shapes import LARGEST_SHAPE_ELEMENTS, quiet_packages
from edgeunet.graph.opset import lower_opset
from edgeunet.graph.summary import refuse_subgraphs
from edgeunet.graph.values import constant_of, drop_unused_initializers, static_shape

# Tables that a network makes of its weights, such as positions, are far smaller.
_LARGEST_FOLDED = 1 << 24
_ROUNDS = 8


class SizeError(GraphError):
    """A network does not take pictures of a size."""


def canonical(model: ir.Model, shapes: Mapping[str, Sequence[int]]) -> ir.Model:
    """Return a copy of a graph, in canonical form, for inputs of these shapes.

    model: as ``reading.read_network`` gives it.
    shapes: by input name.
    Raises SizeError for shapes that the graph refuses, and GraphError, with the operator's name,
    for control flow and for sizes that depend on the values of a picture.
    """
    copy = model.clone()
    for value in copy.graph.inputs:
        value.shape = ir.Shape(list(shapes[value.name or ""]))
    _forget_shapes(copy.graph)
    _fold(copy, shapes)
    refuse_subgraphs(copy.graph)
    _require_shapes(copy, shapes)
    if narrow_filled_tensors(copy.graph):
        _forget_shapes(copy.graph)
        _fold(copy, shapes)
        _require_shapes(copy, shapes)
    check_convolutions(copy.graph)
    lower_opset(copy)
    take_out_sizes(copy)
    drop_unused_initializers(copy.graph)
    TopologicalSortPass()(copy)
    NameFixPass()(copy)
    ClearMetadataAndDocStringPass()(copy)
    _require_shapes(copy, shapes)
    return copy


def _fold(model: ir.Model, shapes: Mapping[str, Sequence[int]]) -> None:
    """Compute what follows from sizes and weights alone. Raises SizeError for a contradiction."""
    try:
        with quiet_packages():
            optimizer.optimize_ir(
                model,
                num_iterations=_ROUNDS,
                input_size_limit=_LARGEST_FOLDED,
                output_size_limit=_LARGEST_FOLDED,
                should_fold=_may_fold,
            )
    except Exception as error:  # a rule of the library, on a graph that contradicts itself
        raise _refused(shapes, str(error.__cause__ or error)) from error


def _may_fold(node: ir.Node) -> bool | None:
    """Return whether to fold a node; None where the library's own rules say it.

    It keeps every ConstantOfShape, because it may be large. Paddings are made from small ones.
    """
    if node.op_type != "ConstantOfShape":
        return None
    shape = constant_of(node.inputs[0])
    return shape is not None and int(shape.prod()) <= LARGEST_SHAPE_ELEMENTS


def _forget_shapes(graph: ir.Graph) -> None:
    """Forget what the file says about sizes between inputs and outputs, outputs included."""
    for node in graph:
        for value in node.outputs:
            if value.const_value is None:
                value.shape = None


def _require_shapes(model: ir.Model, shapes: Mapping[str, Sequence[int]]) -> None:
    """Infer all shapes. Raises GraphError for one that is unknown, or contradicts another."""
    try:
        infer_strictly(model)
    except GraphError as error:
        raise _refused(shapes, error.message) from error
    for node in model.graph:
        for value in node.outputs:
            if value.name and static_shape(value) is None:
                raise GraphError(
                    f"the size of {value.name!r}, which {node.op_type} (node {node.name!r}) makes, "
                    f"does not follow from {_said(shapes)}",
                    hint="its size depends on what is in the picture, which no plan can know",
                )


def _refused(shapes: Mapping[str, Sequence[int]], reason: str) -> SizeError:
    first = reason.strip().splitlines()[0] if reason.strip() else "no reason given"
    return SizeError(
        f"the network does not take {_said(shapes)}: {first[:200]}",
        hint="give a --size that it takes; most take multiples of 32",
    )


def _said(shapes: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
