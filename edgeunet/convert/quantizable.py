"""The float graph that a network is quantized from, of the size of a calibration set."""

from __future__ import annotations

import onnx_ir as ir

from edgeunet.calibration import CalibrationSet
from edgeunet.convert.network_graph import Graphs
from edgeunet.convert.recalled_inputs import Recall
from edgeunet.errors import UsageError
from edgeunet.specs import Precision
from edgeunet.units import format_size

_QUANTIZERS = frozenset({"DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"})


def graph_to_quantize(
    graphs: Graphs, calibration: CalibrationSet, recall: Recall | None
) -> ir.Model:
    """Return the graph in FP32. recall: of a network that remembers.

    Raises UsageError for a size that the network does not take, and for a network that somebody has
    quantized already.
    """
    size = (calibration.height, calibration.width)
    read = size if recall is None else recall.part_of(*size)
    try:
        model = graphs.at(*read, Precision.FP32)
    except UsageError as error:
        raise UsageError(
            f"calibration set {calibration.name!r} has frames of {format_size(*size)}: "
            f"{error.message}",
            hint="give a set of frames that it takes: edgeunet calibrate PICTURES --name SET "
            "--size HxW",
        ) from error
    node = next((node for node in model.graph if node.op_type in _QUANTIZERS), None)
    if node is not None:
        raise UsageError(
            f"{graphs.facts.name} is quantized already: {node.op_type} (node {node.name!r})",
            hint="leave --int8 out, and it keeps its own 8-bit steps; or give the file in floats",
        )
    return model
