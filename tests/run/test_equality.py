"""A frame in windows equals the whole frame: real stages in the real executor, any window sizes.

Floats are compared before the network's last rounding, which could hide a seam. Networks have
random
weights, at the scale of a trained network and at a much larger one. A network that remembers is
compared in bytes, which are equal; tests/convert/test_remembering.py does so over many frames.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import onnx_ir as ir
import pytest
import torch

from edgeunet.analysis.held_layout import lay_out_held
from edgeunet.bundle import Bundle, open_bundle
from edgeunet.bundle.agreement import contradiction_in
from edgeunet.bundle.manifest import ClassEntry, OutputEntry
from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.convert.network_graph import graph_of_recipe, graphs_of_recipe
from edgeunet.convert.staging import plan_entry, write_stages
from edgeunet.engine import open_session
from edgeunet.frame_windows import Halo, smallest_window
from edgeunet.graph.resize import at_sizes
from edgeunet.graph.stages import FrameGraph, StageGraph
from edgeunet.graph.summary import write_model
from edgeunet.graph.values import constant_of
from edgeunet.imitation.allocations import Allocations
from edgeunet.imitation.prediction import StageCost
from edgeunet.models import build_network
from edgeunet.models.weights import save_weights
from edgeunet.planning.frame_plan import FramePlan, PlannedStage, Prediction
from edgeunet.planning.processor_memory import ProcessorMemory
from edgeunet.planning.request import PlanRequest, WindowSize
from edgeunet.planning.window_choices import STEP
from edgeunet.processors import PROCESSOR_CLASSES
from edgeunet.run.executor import Executor
from edgeunet.specs import FRAME, Array, Engine, FrameType, Precision, Task, TensorSpec
from tests.bundle.tiny import tiny_manifest
from tests.convert.small import MEANS, SINGLE_FRAMES, small

WIDTH = 4
BASE = 64
LEVELS = 4
MULTIPLE = 1 << LEVELS
COMBINATIONS = 20
# What a convolution multiplies the scale of its input by.
TRAINED, LARGE = 0.5, 1.0
NOTHING = (Allocations((), (), ()),)
# Of the largest float of the whole frame.
FLOAT_TOLERANCE = 1e-5
# Of all bytes of all networks with weights of a trained scale, and of one network's.
ROUNDED_OTHERWISE = 1e-5
ROUNDED_OTHERWISE_IN_ONE = 1e-4
CLIP_WINDOWS, CLIP_FRAMES = ((144, 176), (176, 144)), 4


@dataclass(frozen=True)
class Combination:
    """One run.

    gain: scale of the weights.
    frame: (height, width).
    level, recompute: where the plan cuts, and the levels that are computed again.
    relays: the levels that the graph is divided at into chains.
    windows: (height, width) of every stage's windows; None runs it once.
    floats: also compare the floats before rounding.
    """

    name: str
    gain: float
    frame: WindowSize
    level: int
    recompute: int
    relays: tuple[int, ...]
    windows: tuple[WindowSize | None, ...]
    floats: bool
    seed: int

    @property
    def padded(self) -> WindowSize:
        height, width = (-(-side // MULTIPLE) * MULTIPLE for side in self.frame)
        return height, width


class FloatEntry(OutputEntry, frozen=True, kw_only=True):
    """An output before rounding: (1, H, W, 3), or class scores (1, C, H, W)."""

    channels: int

    def spec(self, height: int, width: int, frame_type: FrameType = FrameType.UINT8) -> TensorSpec:
        if self.task is Task.DENOISE:
            return TensorSpec(self.name, (1, height, width, self.channels), "float32")
        return TensorSpec(self.name, (1, self.channels, height, width), "float32")


@functools.cache
def exported(name: str) -> ir.Model:
    return graph_of_recipe(small(name, WIDTH), BASE, BASE, Precision.FP32)


@functools.cache
def network(name: str, gain: float, floats: bool) -> ir.Model:
    """Return the graph with other weights and, if asked for, with its floats as outputs.

    gain: factor from the scale of a convolution's input to that of its output.
    """
    model = exported(name).clone()
    generator = np.random.default_rng(len(name))
    for node in model.graph:
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        for index, value in enumerate(node.inputs[1:]):
            content = None if value is None else constant_of(value)
            if value is None or content is None:
                continue
            fan_in = content[0].size if node.op_type == "Conv" else content.shape[0]
            scale = 0.1 if index else gain * (2 / fan_in) ** 0.5
            drawn = scale * generator.standard_normal(content.shape)
            value.const_value = ir.tensor(drawn.astype(np.float32), name=value.name)
    if floats:
        model.graph.outputs.extend([value for value, _ in unrounded(model, name)])
    return model


def unrounded(model: ir.Model, name: str) -> Iterator[tuple[ir.Value, OutputEntry]]:
    """Yield each tensor that is rounded to bytes, with a manifest entry for it."""
    made = {value.name: value for value in model.graph.outputs}
    for pathway in small(name, WIDTH).pathways:
        last = {Task.DENOISE: "Clip", Task.SEGMENT: "ArgMax"}.get(pathway.head)
        value: ir.Value | None = made[pathway.output]
        node = None
        while last and value is not None and (node is None or node.op_type != last):
            node = value.producer()
            assert node is not None
            value = node.inputs[0]
        if node is not None and value is not None and value.name is not None:
            yield (
                value,
                FloatEntry(name=value.name, task=pathway.head, channels=pathway.head_channels),
            )


def entries(combination: Combination) -> tuple[OutputEntry, ...]:
    found = [
        OutputEntry(
            name=pathway.output,
            task=pathway.head,
            classes=tuple(ClassEntry(name=c.name, colour=c.colour) for c in pathway.classes),
        )
        for pathway in small(combination.name, WIDTH).pathways
    ]
    if combination.floats:
        found += [entry for _, entry in unrounded(exported(combination.name), combination.name)]
    return tuple(found)


@functools.cache
def stages_of(
    name: str, gain: float, floats: bool, level: int, recompute: int, relays: tuple[int, ...]
) -> tuple[StageGraph, ...]:
    graph = FrameGraph(network(name, gain, floats))
    return graph.cut(level, recompute=recompute, relays=relays)


def combinations(name: str) -> Iterator[Combination]:
    # ``unetmm-awgn`` is the network of ``unetmm``.
    others = [other for other in SINGLE_FRAMES if other != "unetmm-awgn"]
    generator = np.random.default_rng(others.index(name.removesuffix("-awgn")))
    for index in range(COMBINATIONS):
        level = min(int(generator.choice([1, 1, 2, 2, 3, 4])), small(name).network.levels)
        recompute = 0 if name in MEANS else int(generator.integers(level + 1))
        if index % 3 == 1 and name not in MEANS:
            # With chains; they never make values again.
            level, recompute = max(level, 2 + index % 2), 0
        low, high = (16, 48) if index % 5 == 0 else (48, 180)
        frame = (int(generator.integers(low, high)), int(generator.integers(low, high)))
        if index == 0:
            frame = (16, 16)
        gain, floats = (TRAINED, LARGE)[index % 3 == 2], bool(index % 2)
        stages = stages_of(name, gain, floats, level, recompute, ())
        once = [(stage.name, stage.operators) for stage in stages if not stage.windowed]
        relays = relays_of(name, level, recompute, index, through=once == [("core", ())])
        cut = Combination(name, gain, frame, level, recompute, relays, (), floats, index)
        stages = stages_of(name, gain, floats, level, recompute, relays)
        kind = ("windows", "windows", "smallest", "strips", "one")[int(generator.integers(5))]
        windows = tuple(
            window_of(stage, cut.padded, kind, generator) if stage.windowed else None
            for stage in stages
        )
        yield replace(cut, windows=windows)


def relays_of(
    name: str, level: int, recompute: int, index: int, *, through: bool
) -> tuple[int, ...]:
    """Return some levels to divide at; none where the parts cannot be divided.

    through: whether the core can be in a chain.
    """
    if recompute or level < 2 or name in MEANS:
        return ()
    levels = range(1, level + through)
    subsets = [s for n in range(level + through) for s in itertools.combinations(levels, n)]
    return subsets[index % len(subsets)]


def window_of(
    stage: StageGraph, padded: WindowSize, kind: str, generator: np.random.Generator
) -> WindowSize:
    """Draw a window for a stage; every stage of a plan has its own."""

    def side(length: int, halo: Halo) -> int:
        step = max(stage.align, STEP)
        least = -(-smallest_window(stage.align, halo) // step) * step
        if least >= length or kind == "one":
            return length
        return (
            least if kind == "smallest" else int(generator.integers(least, length)) // step * step
        )

    height = side(padded[0], stage.halo_rows)
    width = padded[1] if kind == "strips" else side(padded[1], stage.halo_columns)
    return height, width


def plan_of(combination: Combination) -> FramePlan:
    """Return the plan without predictions."""
    c = combination
    stages = stages_of(c.name, c.gain, c.floats, c.level, c.recompute, c.relays)
    return FramePlan(
        frame=c.frame,
        level=c.level,
        recompute=c.recompute,
        relays=c.relays,
        height=c.padded[0],
        width=c.padded[1],
        stages=tuple(
            PlannedStage(stage, window, 0, StageCost(stage, NOTHING, (), (), 0.0, 0.0))
            for stage, window in zip(stages, c.windows, strict=True)
        ),
        held=(),
        layout=lay_out_held((), ()),
        prediction=Prediction(0, 0, 0, 0, 0),
        memory=(ProcessorMemory(PROCESSOR_CLASSES, 0, 0),),
        recompute_ratio=1.0,
        engine=Engine.ONNXRUNTIME,
    )


def run_in_windows(combination: Combination, frame: Array, folder: Path) -> Mapping[str, Array]:
    plan = plan_of(combination)
    folder.mkdir()
    manifest = msgspec.structs.replace(
        tiny_manifest(*combination.frame),
        stages=write_stages(plan, folder),
        outputs=entries(combination),
        plan=plan_entry(plan, None),
    )
    assert contradiction_in(manifest) is None
    executor = Executor(Bundle(folder, manifest), threads=1)
    # Twice: what a frame leaves behind must not be seen by the next.
    executor.run(np.ascontiguousarray(frame[::-1]))
    return executor.run(frame)


def run_whole(combination: Combination, frame: Array, folder: Path) -> Mapping[str, Array]:
    height, width = combination.padded
    padded = np.zeros((1, height, width, 3), np.uint8)
    padded[0, : combination.frame[0], : combination.frame[1]] = frame
    model = network(combination.name, combination.gain, combination.floats)
    folder.mkdir()
    write_model(at_sizes(model, {FRAME: (height, width)}), folder / "whole.onnx")
    with open_session(folder / "whole.onnx", threads=1) as session:
        answers = session.run({FRAME: padded})
    found = {}
    for entry in entries(combination):
        shape = entry.spec(*combination.frame).shape
        found[entry.name] = answers[entry.name][tuple(slice(length) for length in shape)]
    return found


@pytest.fixture(scope="module")
def tally() -> Iterator[dict[str, tuple[int, int]]]:
    """Counts of bytes that differ and of bytes compared, by network; checked at the end."""
    found: dict[str, tuple[int, int]] = {}
    yield found
    if len(found) == len(SINGLE_FRAMES):
        otherwise, values = (sum(column) for column in zip(*found.values(), strict=True))
        assert otherwise < ROUNDED_OTHERWISE * values, found


@pytest.mark.parametrize("name", SINGLE_FRAMES)
def test_a_frame_in_windows_is_the_whole_frame(
    name: str, tmp_path: Path, tally: dict[str, tuple[int, int]]
) -> None:
    otherwise = values = cut = 0
    for index, combination in enumerate(combinations(name)):
        generator = np.random.default_rng(combination.seed)
        frame = generator.integers(0, 256, (*combination.frame, 3), dtype=np.uint8)
        given = run_in_windows(combination, frame, tmp_path / f"windowed{index}")
        wanted = run_whole(combination, frame, tmp_path / f"whole{index}")
        cut += any(window not in (None, combination.padded) for window in combination.windows)
        for entry in entries(combination):
            a, b = given[entry.name], wanted[entry.name]
            assert a.shape == b.shape, f"{entry.name}: {combination}"
            if a.dtype == np.float32:
                error = np.abs(a - b).max() / np.abs(b).max()
                assert error <= FLOAT_TOLERANCE, f"{entry.name} is {error:.1e} off: {combination}"
                continue
            if entry.task is Task.DENOISE:
                assert np.abs(a.astype(int) - b).max() <= 1, f"{entry.name}: {combination}"
            if combination.gain == TRAINED:
                values += a.size
                otherwise += int((a != b).sum())
    assert cut >= COMBINATIONS // 2
    tally[name] = otherwise, values
    assert otherwise < ROUNDED_OTHERWISE_IN_ONE * values, f"{otherwise} of {values} bytes"


def test_a_clip_in_windows_is_the_whole_frames_clip(tmp_path: Path) -> None:
    recipe = small("unetmm-video", WIDTH)
    network = build_network(recipe, seed=1)
    assert network.recurrence is not None
    with torch.no_grad():
        network.recurrence.trust.strength.fill_(1.0)
    weights = tmp_path / "mine.safetensors"
    save_weights(network, recipe, weights)
    graphs = graphs_of_recipe(recipe, weights)
    height, width = 181, 203
    bundles: list[Bundle] = []
    for request in (PlanRequest(whole=True), *(PlanRequest(window=w) for w in CLIP_WINDOWS)):
        order = ExportOrder(recipe, height, width, Precision.FP32, weights, request, cpu="avx2")
        bundles.append(draft_bundle(order, tmp_path / f"{len(bundles)}.bundle", graphs=graphs))
    whole, *others = (Executor(bundle, "onnxruntime", threads=1) for bundle in bundles)
    for other in others:
        other.rehearse()
        assert not other.has_memory
        assert not any(array.any() for array in other.memory().values())
    generator = np.random.default_rng(7)
    scene = np.kron(generator.integers(0, 256, (26, 28, 3)), np.ones((8, 8, 1), int))
    for index in range(CLIP_FRAMES):
        moved = np.roll(scene, (2 * index, -3 * index), (0, 1))[:height, :width]
        image = np.clip(moved + generator.normal(0, 20, moved.shape), 0, 255).astype(np.uint8)
        wanted = whole.run(image)["denoised"]
        for other in others:
            assert np.array_equal(other.run(image)["denoised"], wanted)


@pytest.mark.parametrize(("name", "frame"), [("unetmm", (77, 101)), ("nafnet", (50, 37))])
def test_a_padded_frame_equals_an_export_of_its_size(
    name: str, frame: WindowSize, tmp_path: Path
) -> None:
    """The network's own padding, in torch's graph, and the plan's, in the executor."""
    image = np.random.default_rng(1).integers(0, 256, (*frame, 3), dtype=np.uint8)
    answers: list[Array] = []
    for request in (PlanRequest(whole=True), PlanRequest(window=(48, 32))):
        order = ExportOrder(small(name), *frame, Precision.FP32, request=request)
        bundle = draft_bundle(order, tmp_path / f"{len(answers)}.bundle")
        assert (bundle.manifest.plan is None) == request.whole
        answers.append(Executor(open_bundle(bundle.path), threads=1).run(image)["denoised"])
    assert np.abs(answers[0].astype(int) - answers[1]).max() <= 1
    assert np.mean(answers[0] != answers[1]) < 1e-3
