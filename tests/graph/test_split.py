"""Cutting a graph: what crosses, that nothing is lost, and what cannot be cut."""

from __future__ import annotations

import functools
import math

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from edgeunet.convert.network_graph import graph_of_recipe
from edgeunet.errors import GraphError
from edgeunet.graph.receptive import GlobalOperatorError
from edgeunet.graph.resize import at_sizes
from edgeunet.graph.split import Split, extract, split_at, strides_of
from edgeunet.graph.values import Floats, static_shape
from edgeunet.recipes import load_recipe, recipe_names
from edgeunet.specs import Precision

SIDE = 64
TILEABLE = [n for n in recipe_names() if n not in ("nafnet", "unetmm-full")]


@functools.cache
def graph(name: str) -> ir.Model:
    return graph_of_recipe(load_recipe(name).with_width(8), SIDE, SIDE, Precision.FP32)


def elements(model: ir.Model, names: tuple[str, ...]) -> int:
    shapes = {v.name: static_shape(v) for n in model.graph for v in n.outputs}
    return sum(math.prod(shapes[name] or ()) for name in names)


def run(model: ir.Model, feeds: dict[str, Floats]) -> dict[str, Floats]:
    session = ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    wanted = {entry.name for entry in session.get_inputs()}
    results = session.run(names, {k: v for k, v in feeds.items() if k in wanted})
    return dict(zip(names, results, strict=True))


def parts(model: ir.Model, split: Split) -> list[ir.Model]:
    outputs = [output.name for output in model.graph.outputs if output.name is not None]
    return [
        extract(model, "encode", ["frame"], split.held),
        extract(model, "core", split.held_for_core, split.made),
        extract(model, "decode", ["frame", *split.held_for_decode, *split.made], outputs),
    ]


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("name", [n for n in TILEABLE if n != "addunet-joint"])
def test_three_parts_say_what_the_whole_says(name: str, level: int, recompute: bool) -> None:
    model = graph(name)
    split = split_at(model, level, recompute=recompute)
    frame = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    tensors: dict[str, Floats] = {"frame": frame}
    for part in parts(model, split):
        tensors.update(run(part, tensors))
    for output, wanted in run(model, {"frame": frame}).items():
        np.testing.assert_array_equal(tensors[output], wanted)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_an_aggregated_network_holds_its_map_and_one_tensor(level: int) -> None:
    """Half the frame's own values for the map, and the level's encoder and decoder tensors."""
    model = graph("unetmm")
    split = split_at(model, level)
    assert split.held_for_decode == ()
    level_elements = 8 * 2**level * (SIDE >> level) ** 2
    map_elements = 8 * SIDE**2 // 8
    assert elements(model, split.held_for_core) == map_elements + level_elements
    assert elements(model, split.made) == map_elements + level_elements


@pytest.mark.parametrize("name", ["unet", "addunet", "umc-dense"])
def test_recomputing_holds_no_skip_of_the_tiled_levels(name: str) -> None:
    model = graph(name)
    stored, again = split_at(model, 2), split_at(model, 2, recompute=True)
    assert len(stored.held_for_decode) == 2
    strides = {value.name: stride for value, stride in strides_of(model.graph).items()}
    assert all(strides[held] >= 4 for held in again.held_for_decode)
    assert again.recomputed
    assert elements(model, again.held) < elements(model, stored.held)


def test_a_frame_is_never_held_as_floats() -> None:
    for name in TILEABLE:
        split = split_at(graph(name), 1)
        crossing = {*split.held, *split.made}
        for node in graph(name).graph:
            for value in node.outputs:
                shape = static_shape(value)
                if value.name in crossing and shape is not None:
                    assert shape[1] != 3, f"{name} holds {value.name}"


@pytest.mark.parametrize("name", ["nafnet", "unetmm-full"])
def test_a_global_mean_in_the_tiled_levels_is_refused_by_name(name: str) -> None:
    with pytest.raises(GlobalOperatorError, match="operator ReduceMean .* 1/1 resolution"):
        split_at(graph(name), 1)


def test_a_level_below_the_bottleneck_is_refused() -> None:
    with pytest.raises(GraphError, match="nothing to cut at level 7"):
        split_at(graph("unetmm"), 7)


@pytest.mark.parametrize("name", ["unetmm", "umc-shared"])
def test_a_graph_at_another_size_is_the_graph_exported_there(name: str) -> None:
    resized = at_sizes(graph(name), {"frame": (48, 80)})
    exported = graph_of_recipe(load_recipe(name).with_width(8), 48, 80, Precision.FP32)
    frame = np.random.default_rng(2).integers(0, 256, (1, 48, 80, 3), dtype=np.uint8)
    given, wanted = run(resized, {"frame": frame}), run(exported, {"frame": frame})
    for output in wanted:
        np.testing.assert_array_equal(given[output], wanted[output])
    shapes = [[v.shape for v in n.outputs] for n in resized.graph]
    assert shapes == [[v.shape for v in n.outputs] for n in exported.graph]
