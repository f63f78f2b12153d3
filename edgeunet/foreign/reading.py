"""Read the ONNX file of a foreign network: of opset 7 to 24, with functions inlined."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.inliner
import onnx.version_converter
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from edgeunet.errors import GraphError
from edgeunet.foreign.group_norm import write_as_instance_norms
from edgeunet.foreign.validity import check_graph
from edgeunet.graph.inferred_shapes import reason
from edgeunet.graph.onnx_file import load_onnx
from edgeunet.graph.opset import NEWEST_OPSET, TARGET_OPSET

# Opset 17 does not know them; ONNX itself says how they are made of older operators.
_COMPOSED = (
    *("Attention", "CenterCropPad", "Gelu", "GroupNormalization", "Mish"),
    *("RMSNormalization", "Swish"),
)
_OLDEST_OPSET = 7
_PLAIN_WEIGHTS_VERSION = 8
_DOMAINS = ("", "ai.onnx")


def read_network(path: Path) -> ir.Model:
    """Read a file as a graph of opset 17 or later, whose functions are inlined.

    Raises GraphError for a file that is no ONNX graph, for operators of another domain and for an
    opset that is too old or too new.
    """
    return prepared(load_onnx(path), path.name)


def prepared(model: ir.Model, name: str) -> ir.Model:
    """Return a model as ``read_network`` does. The model may be changed.

    name: the file's name, for messages.
    """
    if model.functions:
        model = InlinePass()(model).model
    for node in model.graph:
        if node.domain not in _DOMAINS:
            raise GraphError(
                f"operator {node.domain}.{node.op_type} (node {node.name!r}) of {name} is not one "
                "of ONNX",
                hint="export with operators of ONNX alone, without the optimizations of an engine",
            )
        if node.domain:
            node.domain = ""
    version = model.opset_imports.get("", model.opset_imports.get("ai.onnx"))
    if version is None or not _OLDEST_OPSET <= version <= NEWEST_OPSET:
        raise GraphError(
            f"{name} has opset {version}, and {_OLDEST_OPSET} to {NEWEST_OPSET} are read",
            hint="export it again with opset 17",
        )
    for key in [key for key in model.opset_imports if key]:
        del model.opset_imports[key]
    model.opset_imports[""] = version
    _drop_weights_from_inputs(model.graph)
    check_graph(model.graph, name, version)
    if version < TARGET_OPSET:
        model = _raised(model, name)
    write_as_instance_norms(model.graph)
    if any(node.op_type in _COMPOSED for node in model.graph):
        proto = onnx.inliner.inline_selected_functions(
            ir.to_proto(model), [("", op) for op in _COMPOSED], inline_schema_functions=True
        )
        model = ir.from_proto(proto)
    return model


def _raised(model: ir.Model, name: str) -> ir.Model:
    # In IR version 3 weights have to be inputs as well, and the converter looks for them there.
    model.ir_version = max(model.ir_version or 0, _PLAIN_WEIGHTS_VERSION)
    proto = ir.to_proto(model)
    try:
        raised = onnx.version_converter.convert_version(proto, TARGET_OPSET)
    except Exception as error:  # onnx's ConvertError is not exported under one name
        raise GraphError(
            f"{name} cannot be raised to opset {TARGET_OPSET}: {reason(error)}",
            hint="export it again with opset 17",
        ) from error
    return ir.from_proto(raised)


def _drop_weights_from_inputs(graph: ir.Graph) -> None:
    """Remove weights from the list of inputs, where IR version 3 wants them."""
    for value in [value for value in graph.inputs if value.name in graph.initializers]:
        graph.inputs.remove(value)
