"""Infers the shapes in a graph, and keeps the packages that do it quiet."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgeunet.errors import GraphError, MissingPackageError
from edgeunet.units import shorten

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

INVALID = "the file is not a valid ONNX graph; export it again"

LARGEST_SHAPE_ELEMENTS = 4096
"""Elements of a tensor that shapes may follow from; larger ones are weights."""

_LONGEST_REASON = 160


def missing(error: ModuleNotFoundError) -> MissingPackageError:
    """Return the error for a package that reading ONNX graphs needs."""
    return MissingPackageError(
        error.name or "onnx-ir", purpose="reading an ONNX graph", extra="memory"
    )


def with_shapes(proto: onnx.ModelProto) -> ir.Model:
    """Return a model with every shape that follows from its inputs; its stated shapes are dropped.

    Raises what the packages raise for shapes that contradict each other.
    """
    import onnx
    import onnx_ir as ir

    stated = take_shapes(proto)
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    with quiet_packages():
        model = ir.from_proto(inferred)
    if _unknown(model):
        _fold(model)
    for value in _unknown(model):
        if value.name in stated:
            value.shape = ir.Shape(stated[value.name])
    return model


def take_shapes(proto: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Take the shapes out of everything that operators make, and return the whole ones by name.

    What an operator that ONNX does not know makes keeps a whole shape: it is all there is.
    """
    import onnx

    graph = proto.graph
    opsets = {_domain(item.domain): item.version for item in proto.opset_import}
    unknown = set()
    for node in graph.node:
        domain = _domain(node.domain)
        if not onnx.defs.has(node.op_type, opsets.get(domain, 0), domain):
            unknown.update(node.output)
    stated: dict[str, tuple[int, ...]] = {}
    kept = []
    for value in (*graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        dims = tuple(int(dim.dim_value) for dim in tensor.shape.dim)
        whole = tensor.HasField("shape") and all(
            dim.WhichOneof("value") == "dim_value" and dim.dim_value > 0 for dim in tensor.shape.dim
        )
        if whole:
            stated[value.name] = dims
        if whole and value.name in unknown:
            kept.append(value)
    # Copies, because the list that they come from is emptied.
    copies = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in kept]
    outputs = {value.name for value in graph.output}
    del graph.value_info[:]
    graph.value_info.extend(value for value in copies if value.name not in outputs)
    made = {output for node in graph.node for output in node.output}
    for value in graph.output:
        if value.name in made and (value.name not in unknown or value.name not in stated):
            value.type.tensor_type.ClearField("shape")
    return stated


def _domain(name: str) -> str:
    """Return the name of an operator set; the standard one has two."""
    return "" if name == "ai.onnx" else name


def _unknown(model: ir.Model) -> list[ir.Value]:
    """Return the values made by operators whose shape is not known in full."""
    from edgeunet.graph.values import static_shape

    return [
        value
        for node in model.graph
        for value in node.outputs
        if value.name and value.const_value is None and static_shape(value) is None
    ]


def _fold(model: ir.Model) -> None:
    """Compute what follows from shapes alone, as torch writes it: Shape, Gather, Concat, Resize."""
    import onnx_ir as ir

    try:
        from onnxscript.optimizer import fold_constants
    except ModuleNotFoundError as error:
        raise missing(error) from error

    def may_fold(node: ir.Node) -> bool | None:
        known = [value.const_value for value in node.inputs if value is not None]
        if any(isinstance(tensor, ir.ExternalTensor) for tensor in known):
            return False
        if node.op_type == "ConstantOfShape" and known and known[0] is not None:
            # The library keeps it, because it may be large. Paddings are made from small ones.
            return bool(known[0].numpy().prod() <= LARGEST_SHAPE_ELEMENTS)
        return None

    try:
        with quiet_packages():
            fold_constants(model, onnx_shape_inference=True, should_fold=may_fold)
    except Exception as error:
        raise GraphError(
            f"the sizes in the graph contradict each other: {reason(error)}", hint=INVALID
        ) from error


@contextlib.contextmanager
def quiet_packages() -> Iterator[None]:
    """Keep the warnings of the packages to themselves: they print tracebacks for a wrong file."""
    loggers = [logging.getLogger(name) for name in ("onnx_ir", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def reason(error: Exception) -> str:
    """Return what a package says, in one line of bearable length, without the names of its own."""
    text = re.sub(r"\[\w+Error\] |Inference error\(s\): ", "", " ".join(str(error).split()))
    return shorten(text or type(error).__name__, _LONGEST_REASON)
