"""The last rewrite of a graph with final sizes: the data layout that suits its engine."""

from __future__ import annotations

import onnx_ir as ir

from edgeunet.graph.integer_layout import lay_out_integers
from edgeunet.graph.layout import lay_out_for_cpu
from edgeunet.specs import Engine


def finish(model: ir.Model, engine: Engine) -> ir.Model:
    """Rewrite a graph for an engine in place, and return it.

    The frame or window size of the graph cannot be changed afterwards.
    """
    if engine is Engine.ONNXRUNTIME:
        lay_out_for_cpu(model)
        lay_out_integers(model)
    return model
