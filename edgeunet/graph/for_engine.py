"""The last step on a graph of final size: what suits the engine that will run it."""

from __future__ import annotations

import onnx_ir as ir

from edgeunet.graph.integer_layout import lay_out_integers
from edgeunet.graph.layout import lay_out_for_cpu
from edgeunet.specs import Engine


def finish(model: ir.Model, engine: Engine) -> ir.Model:
    """Rewrite a graph in place for an engine, and return it. Sizes cannot be changed after."""
    if engine is Engine.ONNXRUNTIME:
        lay_out_for_cpu(model)
        lay_out_integers(model)
    return model
