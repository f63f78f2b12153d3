"""What an ONNX file must hold, and must not, before its shapes are inferred."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from edgeunet.errors import GraphError
from edgeunet.graph.inferred_shapes import INVALID

if TYPE_CHECKING:
    import onnx

MOST_ELEMENTS = 1 << 48
"""Of a tensor. Sums of sizes stay below 2^63 bytes."""

# The domains of ONNX's own operators.
_STANDARD = ("", "ai.onnx")

# Bits of a number, by the name of its type; those of 4 bits and fewer are packed.
_BITS = {
    "FLOAT": 32, "DOUBLE": 64, "FLOAT16": 16, "BFLOAT16": 16, "INT8": 8, "UINT8": 8, "INT16": 16,
    "UINT16": 16, "INT32": 32, "UINT32": 32, "INT64": 64, "UINT64": 64, "BOOL": 8,
}  # fmt: skip

# Kinds of values besides tensors (TypeProto of ONNX).
_UNCOUNTED = {
    "sequence_type": "a sequence of tensors, and how many there are is not known before it runs",
    "optional_type": "optional, and whether it is there is not known before it runs",
    "map_type": "a map, whose number of entries is not known before it runs",
    "sparse_tensor_type": "a sparse tensor, whose number of entries is not known before it runs",
    "opaque_type": "of an opaque type, whose size is not known",
}


def check_versions(name: str, proto: onnx.ModelProto) -> None:
    """Raise GraphError for what the installed package is too old to know."""
    import onnx

    newest = int(onnx.defs.onnx_opset_version())
    known = f"the installed onnx {onnx.__version__} knows up to"
    hint = "install a newer onnx, or export an older opset"
    if proto.ir_version > onnx.IR_VERSION:
        raise GraphError(
            f"{name} has the IR version {proto.ir_version}, and {known} {onnx.IR_VERSION}",
            hint=hint,
        )
    for part in (proto, *proto.functions):
        standard = _standard_opsets(part.opset_import)
        none_needed = part is not proto and not standard
        if not none_needed and (len(standard) != 1 or standard[0] < 1):
            raise GraphError(f"{name} names no opset, or several: {standard}", hint=INVALID)
        if max(standard, default=0) > newest:
            raise GraphError(f"{name} has the opset {standard[0]}, and {known} {newest}", hint=hint)


def check_content(name: str, proto: onnx.ModelProto, *, choices: bool = False) -> None:
    """Raise GraphError for what cannot be counted, and for what contradicts itself.

    That is a graph without operators or outputs, graphs in graphs, values that are no dense
    tensors, names that are given twice, weights of another size than their file says, and
    operators with other inputs or attributes than ONNX gives them.
    choices: allow the graphs of If.
    """
    import onnx

    graph = proto.graph
    if not graph.node or not graph.output:
        raise GraphError(
            f"{name} is not a usable ONNX model: it has no operators or no outputs",
            hint="export or copy it again",
        )
    for sparse in graph.sparse_initializer:
        _refuse_sparse(name, sparse.values.name)
    for value in (*graph.input, *graph.output, *graph.value_info):
        kind = value.type.WhichOneof("value")
        if kind not in (None, "tensor_type"):
            raise GraphError(
                f"the value {value.name!r} is {_UNCOUNTED.get(kind, kind)}",
                hint="only networks that hand on tensors can be analysed",
            )
    for what, values in (("inputs", graph.input), ("outputs", graph.output)):
        _refuse_twice(name, what, [value.name for value in values])
    _refuse_twice(name, "weights", [tensor.name for tensor in graph.initializer])
    for value in graph.input:
        sides = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        if math.prod(side for side in sides if side > 0) > MOST_ELEMENTS:
            raise too_large("input", value.name, sides)
    for tensor in graph.initializer:
        _check_weight(name, tensor)
    kinds = onnx.AttributeProto
    for node, opset in _all_nodes(proto):
        _check_operator(name, node, opset)
        for attribute in node.attribute:
            allowed = choices and node.op_type == "If"
            if attribute.type in (kinds.GRAPH, kinds.GRAPHS) and not allowed:
                raise GraphError(
                    f"the operator {node.op_type} ({node.name or 'unnamed'}) has a graph inside "
                    "it, so what is alive depends on the data",
                    hint="export the network without control flow (If, Loop, Scan)",
                )
            if attribute.type == kinds.TENSOR:
                _check_weight(name, attribute.t)
            if attribute.type in (kinds.SPARSE_TENSOR, kinds.SPARSE_TENSORS):
                _refuse_sparse(name, node.output[0] if node.output else node.name)


def too_large(kind: str, name: str, shape: Sequence[int]) -> GraphError:
    """Return the error for a tensor that no machine could hold. kind: what it is."""
    return GraphError(
        f"the {kind} {name!r} has the shape {'x'.join(map(str, shape))}, which no memory holds",
        hint=INVALID,
    )


def _refuse_twice(file: str, what: str, names: Sequence[str]) -> None:
    known: set[str] = set()
    for name in names:
        if name in known:
            raise GraphError(f"{file} has two {what} of the name {name!r}", hint=INVALID)
        known.add(name)


def _check_weight(file: str, tensor: onnx.TensorProto) -> None:
    """Raise GraphError for a tensor that has other bytes than its shape and its type need."""
    import onnx

    if not tensor.HasField("raw_data") or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return
    types = onnx.TensorProto.DataType
    if tensor.data_type not in types.values():
        raise GraphError(
            f"{file} keeps the weight {tensor.name!r} in the type number {tensor.data_type}, "
            "which ONNX does not have",
            hint=INVALID,
        )
    bits = _BITS.get(types.Name(tensor.data_type))
    if bits is None or min(tensor.dims, default=0) < 0:  # the last is refused by its shape
        return
    needed = -(-math.prod(tensor.dims) * bits // 8)
    if len(tensor.raw_data) != needed:
        shape = "x".join(map(str, tensor.dims)) or "()"
        raise GraphError(
            f"{file} keeps {len(tensor.raw_data)} bytes for the weight {tensor.name!r} of "
            f"{shape}, which needs {needed}",
            hint="export or copy it again",
        )


def _check_operator(file: str, node: onnx.NodeProto, opset: int) -> None:
    """Raise GraphError for inputs or attributes that an operator of ONNX does not have.

    Attributes of unknown names pass, because exporters leave some. opset: the standard operators'.
    """
    import onnx

    if node.domain not in _STANDARD:
        return
    if not isinstance(node.op_type, str):  # protobuf gives bytes for what is no UTF-8
        raise GraphError(
            f"{file} has the operator {node.op_type!r}, which is no text", hint=INVALID
        )
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError:
        return
    if schema.deprecated:
        return
    fault = None
    if not schema.min_input <= len(node.input) <= schema.max_input:
        fault = f"has {len(node.input)} inputs"
    elif not schema.min_output <= len(node.output) <= schema.max_output:
        fault = f"has {len(node.output)} outputs"
    kinds, types = onnx.AttributeProto.AttributeType, onnx.defs.OpSchema.AttrType
    given = {attribute.name: attribute.type for attribute in node.attribute}
    for name, known in schema.attributes.items():
        if name not in given and known.required:
            fault = f"has no {name!r}"
        elif name in given and known.type != getattr(types, kinds.Name(given[name]), None):
            fault = f"has a value of another type for {name!r}"
    if fault is not None:
        raise GraphError(
            f"{file}: {node.op_type} ({node.name or 'unnamed'}) {fault}, which ONNX does not allow",
            hint=INVALID,
        )


def _refuse_sparse(name: str, tensor: str) -> None:
    raise GraphError(
        f"{name} keeps {tensor!r} as a sparse tensor, which engines store in ways of their own",
        hint="export it with dense weights",
    )


def _all_nodes(proto: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, int]]:
    """Yield every operator, of functions too, with the standard opset that it is of."""
    bodies = ((function.opset_import, function.node) for function in proto.functions)
    for imports, nodes in ((proto.opset_import, proto.graph.node), *bodies):
        opset = next(iter(_standard_opsets(imports)), 1)
        yield from ((node, opset) for node in nodes)


def _standard_opsets(imports: Iterable[onnx.OperatorSetIdProto]) -> list[int]:
    return [item.version for item in imports if item.domain in _STANDARD]
