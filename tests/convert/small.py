"""Every recipe small enough to be exported in a second or two, and the graphs themselves."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator

import msgspec
import numpy as np
import onnx_ir as ir

from edgeunet.convert.network_graph import graph_of_recipe
from edgeunet.graph.int8_placement import Points
from edgeunet.graph.quantized import quantize
from edgeunet.graph.values import Floats, static_shape
from edgeunet.recipes import Recipe, load_recipe, recipe_names
from edgeunet.specs import COUNT_NEXT, Engine, Precision


def small(name: str, width: int = 8) -> Recipe:
    """The recipe with one block per level: every operator, a fraction of the time."""
    recipe = load_recipe(name).with_width(width)
    levels = (1,) * recipe.network.levels
    network = msgspec.structs.replace(
        recipe.network, encoder_blocks=levels, middle_blocks=1, decoder_blocks=levels
    )
    return msgspec.structs.replace(recipe, network=network)


@functools.cache
def graph(name: str, precision: Precision) -> ir.Model:
    """A graph that several tests look at and none changes."""
    return graph_of_recipe(small(name), 32, 48, precision)


def _distinct() -> Iterator[str]:
    """Yield the recipes whose small network no recipe before them has."""
    known = set()
    for name in recipe_names():
        recipe = small(name)
        key = msgspec.json.encode((recipe.network, recipe.pathways, recipe.export.fp32_ops))
        if key not in known:
            yield name
        known.add(key)


DISTINCT = tuple(_distinct())
"""Recipes whose small graphs differ in more than their weights."""

SINGLE_FRAMES = tuple(n for n in recipe_names() if not load_recipe(n).remembers)
"""Networks that remember nothing: their graph reads the frame alone."""

BASE = 64
MEANS = tuple(n for n in recipe_names() if load_recipe(n).network.attention == "all")
"""Networks whose encoder averages the whole frame: no window can make its values again."""


@functools.cache
def base(name: str) -> ir.Model:
    """The graph that stages are cut from: a frame that needs no padding. None changes it."""
    return graph_of_recipe(small(name), BASE, BASE, Precision.FP32)


LEAST_COUNT = 8
"""The count of frames that a memory hands on is one frame at least, in eighths."""


def bytes_for(model: ir.Model, seed: int) -> dict[str, Floats]:
    """Return random bytes for every input: the frame, and the state of one that remembers."""
    generator = np.random.default_rng(seed)
    found = {}
    for value in model.graph.inputs:
        shape = static_shape(value)
        assert shape is not None
        assert value.dtype is ir.DataType.UINT8
        least = LEAST_COUNT if value.name == COUNT_NEXT else 0
        found[value.name or ""] = generator.integers(least, 256, shape, dtype=np.uint8)
    return found


def quantized_copy(model: ir.Model, engine: Engine, kept: Collection[int] = ()) -> ir.Model:
    """The graph in 8 bits with made-up intervals: 0 to 1.5 behind a ReLU, else -1 to 1.5."""
    copy = model.clone()
    makers = [value.producer() for value in Points(copy, Engine.ONNXRUNTIME).values]
    lows = [0.0 if maker is not None and maker.op_type == "Relu" else -1.0 for maker in makers]
    quantize(copy, [(low, 1.5) for low in lows], engine, kept=kept)
    return copy
