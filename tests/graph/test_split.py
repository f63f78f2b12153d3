"""Cutting a graph: what crosses, that nothing is lost, and what cannot be cut."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from edgeunet.convert.network_graph import graph_of_recipe
from edgeunet.errors import GraphError
from edgeunet.graph.geometry import Geometry
from edgeunet.graph.receptive import global_nodes
from edgeunet.graph.resize import at_sizes
from edgeunet.graph.split import Part, extract, split_at
from edgeunet.graph.values import Floats, static_shape
from edgeunet.recipes import recipe_names
from edgeunet.specs import FRAME, Precision
from tests.convert.small import BASE, MEANS, SINGLE_FRAMES, base, bytes_for, small


def cuts() -> list[tuple[str, int, int]]:
    """Every recipe, level, and number of levels made again."""
    return [
        (name, level, recompute)
        for name in recipe_names()
        for level in (1, 2, 3)
        for recompute in (0, 1, 3)
        if recompute <= level and not (recompute and name in MEANS)
    ]


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


def run_parts(
    model: ir.Model, parts: tuple[Part, ...], feeds: dict[str, Floats]
) -> dict[str, Floats]:
    tensors = dict(feeds)
    for part in parts:
        piece = extract(Geometry(model), part.name, part.inputs, part.outputs)
        tensors.update(run(piece.clone(), tensors))
    return tensors


def named(parts: tuple[Part, ...], name: str) -> Part:
    return next(part for part in parts if part.name == name)


def held_for_decode(parts: tuple[Part, ...]) -> tuple[str, ...]:
    """What decode reads of encode itself: the skips."""
    made = named(parts, "encode").outputs
    return tuple(name for name in named(parts, "decode").inputs if name in made)


@pytest.mark.parametrize(("name", "level", "recompute"), cuts())
def test_the_parts_say_what_the_whole_says(name: str, level: int, recompute: int) -> None:
    model = base(name)
    feeds = bytes_for(model, 1)
    tensors = run_parts(model, split_at(Geometry(model), level, recompute=recompute), feeds)
    for output, wanted in run(model, feeds).items():
        np.testing.assert_array_equal(tensors[output], wanted)


@pytest.mark.parametrize(("name", "level", "recompute"), cuts())
def test_every_part_finds_what_it_reads(name: str, level: int, recompute: int) -> None:
    model = base(name)
    parts = split_at(Geometry(model), level, recompute=recompute)
    assert len({part.name for part in parts}) == len(parts)
    known = {value.name for value in model.graph.inputs}
    for part in parts:
        assert set(part.inputs) <= known, part.name
        assert not known & set(part.outputs), part.name
        assert not set(part.inputs) & set(part.recomputed), part.name
        known.update(part.outputs)
    assert {output.name for output in model.graph.outputs} <= known
    assert any(not part.windowed for part in parts)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_an_aggregated_network_holds_its_map_and_one_tensor(level: int) -> None:
    """Half the frame's own values for the map, and the level's encoder and decoder tensors."""
    model = base("unetmm")
    parts = split_at(Geometry(model), level)
    assert held_for_decode(parts) == ()
    level_elements = 8 * 2**level * (BASE >> level) ** 2
    map_elements = 8 * BASE**2 // 8
    for name in ("encode", "core"):
        assert elements(model, named(parts, name).outputs) == map_elements + level_elements


@pytest.mark.parametrize("name", ["unet", "addunet", "umc-dense"])
def test_recomputing_holds_no_skip_of_the_levels_made_again(name: str) -> None:
    model = base(name)
    stored, once, twice = (split_at(Geometry(model), 2, recompute=count) for count in (0, 1, 2))
    assert len(held_for_decode(stored)) == 2
    strides = {name: place.stride for name, place in Geometry(model).places.items()}
    for parts, finest in ((once, 2), (twice, 4)):
        assert all(strides[held] >= finest for held in held_for_decode(parts))
        assert named(parts, "decode").recomputed
    held = [elements(model, named(parts, "encode").outputs) for parts in (stored, once, twice)]
    assert held[0] > held[1] > held[2]


def test_what_is_stored_is_not_made_again() -> None:
    for name in recipe_names():
        assert all(part.recomputed == () for part in split_at(Geometry(base(name)), 2))


def test_a_frame_is_never_held_as_floats() -> None:
    # One that remembers holds its output before the blend. Bytes would round it once more.
    for name in SINGLE_FRAMES:
        outputs = {output.name for output in base(name).graph.outputs}
        crossing = {
            name for part in split_at(Geometry(base(name)), 1) for name in part.outputs
        } - outputs
        for node in base(name).graph:
            for value in node.outputs:
                shape = static_shape(value)
                if value.name in crossing and shape is not None:
                    assert shape[1] != 3, f"{name} holds {value.name}"


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("name", MEANS)
def test_every_mean_over_the_frame_runs_once_between_two_passes(name: str, level: int) -> None:
    model = base(name)
    parts = split_at(Geometry(model), level)
    means = [part for part in parts if "-mean-" in part.name]
    assert means
    assert all(not part.windowed for part in means)
    for part in parts:
        found = global_nodes(extract(Geometry(model), part.name, part.inputs, part.outputs).graph)
        assert not (part.windowed and found), f"{part.name} is windowed and averages the frame"


@pytest.mark.parametrize("name", MEANS)
def test_an_encoder_with_a_mean_over_the_frame_is_not_made_again(name: str) -> None:
    with pytest.raises(GraphError, match="averages the whole frame") as caught:
        split_at(Geometry(base(name)), 1, recompute=1)
    assert caught.value.hint == "store the skips of this network"


def test_a_level_below_the_bottleneck_is_refused() -> None:
    with pytest.raises(GraphError, match="nothing to cut at level 7"):
        split_at(Geometry(base("unetmm")), 7)


@pytest.mark.parametrize("name", ["unetmm", "umc-shared"])
def test_a_graph_at_another_size_is_the_graph_exported_there(name: str) -> None:
    resized = at_sizes(base(name), {FRAME: (48, 80)})
    exported = graph_of_recipe(small(name), 48, 80, Precision.FP32)
    frame = np.random.default_rng(2).integers(0, 256, (1, 48, 80, 3), dtype=np.uint8)
    given, wanted = run(resized, {FRAME: frame}), run(exported, {FRAME: frame})
    for output in wanted:
        np.testing.assert_array_equal(given[output], wanted[output])
    shapes = [[v.shape for v in n.outputs] for n in resized.graph]
    assert shapes == [[v.shape for v in n.outputs] for n in exported.graph]
