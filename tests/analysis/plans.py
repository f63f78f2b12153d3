"""Planners of small networks that are really exported; each is made once, none is changed."""

from __future__ import annotations

import functools

import onnx_ir as ir

from edgeunet.convert.network_graph import graph_of_recipe
from edgeunet.graph.stages import FrameGraph
from edgeunet.planning.planner import Planner
from edgeunet.specs import Engine, Precision
from tests.convert.small import BASE, base, small

# Frames of an odd size, and the multiple of what the network's four levels halve.
FRAME = (250, 380)
PADDED = (256, 384)
MULTIPLE = 16
LEVELS = 3


@functools.cache
def half(name: str) -> ir.Model:
    return graph_of_recipe(small(name), BASE, BASE, Precision.FP16)


@functools.cache
def planner(name: str, engine: Engine = Engine.ONNXRUNTIME, *, levels: int = LEVELS) -> Planner:
    """Return the planner of a network of width 8 at FRAME; for TensorRT in half precision."""
    model = base(name) if engine is Engine.ONNXRUNTIME else half(name)
    return Planner(
        FrameGraph(model.clone()),
        *FRAME,
        multiple=MULTIPLE,
        levels=levels,
        name=name,
        engine=engine,
    )
