"""Predict the memory of a stage at any window size from its graph at one size. Sizes are in bytes.

A tensor of a stage either has a position in the frame, and then grows with the window's area, or
has a constant size. So the live bytes of each step are a linear function of the area, and the peak
is the largest of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.graph.for_engine import finish_stage, read_frame_late
from edgeunet.graph.integer import with_integer_kernels
from edgeunet.graph.macs import elements_of, macs_of
from edgeunet.graph.stages import Border, StageGraph
from edgeunet.graph.summary import GraphView, view_of_model
from edgeunet.imitation.allocations import Allocations, allocations_of, highest
from edgeunet.imitation.integer_kernels import with_channels_last
from edgeunet.imitation.one_region import Events, extent_within, fits, free_behind
from edgeunet.imitation.onnxruntime_arena import up_to_pieces
from edgeunet.imitation.tensorrt_compiler import WORKSPACE_BYTES, compiled_view, grow_with
from edgeunet.imitation.thread_memory import each_further, first_thread
from edgeunet.processors import AVX512_VNNI, THREADS, ProcessorClass
from edgeunet.specs import Engine

Areas = NDArray[np.int64]


# Measured: 24 to 32 KiB of the first thread's stack, and 8 to 64 KiB of objects that the library
# makes when it runs. What threads take: see ``thread_memory.py``.
_BESIDE_BYTES = 6 << 14
# Objects grow with the kernels: 800 of them, of networks that remember, took 70 KiB.
_KERNEL_BYTES = 64
# The arena keeps 8 bytes of bookkeeping for every 256 of its region, from when it is made: with the
# first weights in it, or else with the first frame.
_BOOKKEEPING = 1 / 32
# Usual ratio of arena to live bytes; only steers the search.
_USUAL_FRAGMENTATION = 1.15
# Regions are tried in steps of this factor.
_STEP = 1.01

OTHER_THREADS = (1, 2, 8, 16)
"""Numbers of threads that a region is tried with, beside those of the prediction."""

# Vectors of channels are smaller.
_SMALL_BYTES = 4096
# Scalars and vectors that are not in the graph: at most 1 KiB was seen at a time.
_MARGIN = 1.01
_MARGIN_BYTES = 16 << 10


@dataclass(frozen=True)
class StageCost:
    """Memory and arithmetic of a stage as functions of its window.

    allocations: one for every processor that it was computed for; other engines have one.
    slopes, constants: the live bytes of a step are ``slope * pixels + constant``; the steps of all
        processors together, so that their peak is that of the worst.
    border_slope: bytes per pixel of the stage's inputs and outputs.
    macs_per_pixel: multiply-accumulates per pixel of the window.
    """

    stage: StageGraph
    allocations: tuple[Allocations, ...]
    slopes: tuple[float, ...]
    constants: tuple[int, ...]
    border_slope: float
    macs_per_pixel: float

    def live_bytes(self, pixels: Areas) -> Areas:
        """Return the peak of live activations, without borders, for window areas in pixels."""
        if not self.slopes:
            return np.zeros_like(pixels)
        lines = np.multiply.outer(pixels, np.array(self.slopes)) + np.array(self.constants)
        peaks: Areas = np.ceil(lines.max(axis=-1)).astype(np.int64)
        return peaks

    def border_bytes(self, pixels: Areas) -> Areas:
        """Return the size of a window's inputs and outputs, for window areas in pixels."""
        sizes: Areas = np.ceil(pixels * self.border_slope).astype(np.int64)
        return sizes


def cost_of(
    stage: StageGraph,
    engine: Engine,
    processors: Sequence[ProcessorClass] = (AVX512_VNNI,),
) -> StageCost:
    """Compute the cost of a stage, once for all window sizes.

    processors: those that the graph is laid out for and memory is predicted for; of classes that
        run the same kernels, one is enough.
    """
    pixels = stage.base[0] * stage.base[1]
    model = read_frame_late(finish_stage(stage, stage.base, engine, processors), engine)
    placed = set(stage.growing)
    known = {value.name for node in stage.model.graph for value in node.outputs}
    view = with_integer_kernels(view_of_model(model))
    if engine is Engine.TENSORRT:
        view = compiled_view(view)
        placed |= grow_with(placed, view)
        processors = processors[:1]
    else:
        view = with_channels_last(view)
    # Of what the layout for the engine adds, all but vectors grow with the window.
    least = min(pixels, _SMALL_BYTES)
    placed |= {t.name for t in view.tensors if t.name not in known and t.size_bytes >= least}
    allocations = tuple(
        allocations_of(view, placed, pixels, engine, processor, threads=THREADS)
        for processor in processors
    )
    lines = highest(line for one in allocations for line in one.highest_lines)
    borders = sum(border_size(border, *stage.base) for border in (*stage.inputs, *stage.outputs))
    return StageCost(
        stage,
        allocations,
        tuple(slope for slope, _ in lines),
        tuple(constant for _, constant in lines),
        borders / pixels,
        # Comparing pixels takes no products, and overlapping windows repeat it all the same.
        (elements_of if stage.make is not None else macs_of)(stage.model) / pixels,
    )


def usual_bytes(engine: Engine, live_bytes: Areas) -> Areas:
    """Return about what an engine takes for a live peak. A quick estimate for searches."""
    if engine is Engine.ONNXRUNTIME:
        usual: Areas = (live_bytes * _USUAL_FRAGMENTATION).astype(np.int64) + _BESIDE_BYTES
        return usual
    return live_bytes + WORKSPACE_BYTES


def live_within(engine: Engine, room_bytes: float) -> float:
    """Return the live bytes for which ``usual_bytes`` is ``room_bytes``: its inverse."""
    if engine is Engine.ONNXRUNTIME:
        return (room_bytes - _BESIDE_BYTES) / _USUAL_FRAGMENTATION
    return room_bytes - WORKSPACE_BYTES


def engine_bytes(engine: Engine, runs: Sequence[tuple[Allocations, int]]) -> int:
    """Return the memory that an engine takes for stages that run in turn.

    runs: the allocations of each stage, and the pixels of its window. For onnxruntime, it is the
        region of its arena, by imitation. For TensorRT, it is the largest live peak and what its
        compiler adds (``tensorrt_compiler.py``).
    """
    if engine is not Engine.ONNXRUNTIME:
        peaks = [one.peak_bytes(pixels) for one, pixels in runs]
        return max(peaks, default=0) + WORKSPACE_BYTES
    return bytes_beside_weights(region_bytes(runs), runs)


def bytes_beside_weights(region: int, runs: Sequence[tuple[Allocations, int]]) -> int:
    """Return what onnxruntime takes with an arena of this region, without packed weights.

    The library's code is not counted: its pages are those of a file.
    """
    kept = sum(_kept(runs))
    bookkeeping = 0 if kept else math.ceil(region * _BOOKKEEPING)
    threads = first_thread(_packed(runs)) + (THREADS - 1) * further_thread_bytes(runs)
    objects = _BESIDE_BYTES + _KERNEL_BYTES * sum(len(one.steps) for one, _ in runs)
    # What weights are larger by with the region's margin is never used.
    return region - int(kept * _MARGIN) + bookkeeping + threads + objects


def used_bytes(region: int, runs: Sequence[tuple[Allocations, int]]) -> int:
    """Return how much of a region stages ever use.

    Where a region is larger than these stages need, they use more of it than the smallest one that
    serves them has, because buffers lie further apart.
    """
    free = free_behind(_kept(runs), region)
    if free is None:
        return region
    ends = [extent_within(events, free) for one, pixels in runs for events in one.events(pixels)]
    return region - free + max(ends, default=0)


def further_thread_bytes(runs: Sequence[tuple[Allocations, int]]) -> int:
    """Return what one more thread takes for stages, beside the arena."""
    return each_further([one.stack_bytes for one, _ in runs], _packed(runs))


def _kept(runs: Sequence[tuple[Allocations, int]]) -> list[int]:
    return [size_bytes for one, _ in runs for size_bytes in one.kept_bytes]


def _packed(runs: Sequence[tuple[Allocations, int]]) -> list[int]:
    return [one.packed_bytes(pixels) for one, pixels in runs]


def least_bytes(engine: Engine, live_bytes: int) -> int:
    """Return a lower bound on the memory that an engine takes for a live peak."""
    # Peaks are sums of rounded floats, so allow for the rounding.
    sure = live_bytes * (1 - 1e-9)
    if engine is Engine.ONNXRUNTIME:
        return int(sure * _MARGIN) + _BESIDE_BYTES
    return int(sure) + WORKSPACE_BYTES


def region_bytes(
    runs: Sequence[tuple[Allocations, int]], other_threads: Sequence[int] = OTHER_THREADS
) -> int:
    """Return the smallest region found in which onnxruntime's arena can run all stages.

    other_threads: numbers of threads for which it has to do as well; see ``_demands``.
    A stage frees all that it allocates, so each stage starts with one free piece behind the
    weights. So each stage can be imitated alone, once.
    """
    kept = _kept(runs)
    behind = sum(map(up_to_pieces, kept))
    weights_end = behind - up_to_pieces(kept[-1]) + kept[-1] if kept else 0
    peak = max((one.peak_bytes(pixels) for one, pixels in runs), default=0)
    demands = _demands(runs, other_threads)
    # Buffers lie closer together in a small region than in one without a limit.
    size_bytes = max(weights_end, behind + peak)
    extents = (up_to_pieces(one.extent_bytes(pixels)) for one, pixels in runs if one.steps)
    # In twice what is taken without a limit, the end of a region never matters.
    enough = 2 * (behind + max(extents, default=0))
    # A larger region changes the placement, and may fail where a smaller one works, so that every
    # size in question is tried.
    while size_bytes < enough:
        failing = _failing(size_bytes, kept, demands)
        if failing is None:
            break
        # What fails usually fails in the next size, too.
        demands.insert(0, demands.pop(failing))
        size_bytes = math.ceil(size_bytes * _STEP)
    return _with_margin(size_bytes)


def _demands(
    runs: Sequence[tuple[Allocations, int]], other_threads: Sequence[int]
) -> list[tuple[Events, int]]:
    """Return what a region has to serve, each once, and what it is larger by when it does.

    A device that has more threads adds ``thread_bytes`` for each; one with fewer adds nothing.
    """
    found = [(events, 0) for one, pixels in runs for events in one.events(pixels)]
    each = max((one.thread_bytes(pixels) for one, pixels in runs), default=0)
    for count in other_threads if each else ():
        more = max(0, count - THREADS) * each
        found += [(e, more) for one, pixels in runs for e in one.events(pixels, count)]
    return list(dict.fromkeys(found))


def _failing(
    size_bytes: int, kept: Sequence[int], demands: Sequence[tuple[Events, int]]
) -> int | None:
    """Return the position of a demand that a region does not meet, with or without the margin."""
    for tried in (size_bytes, _with_margin(size_bytes)):
        free_bytes: dict[int, int | None] = {}
        for index, (events, more) in enumerate(demands):
            if more not in free_bytes:
                free_bytes[more] = free_behind(kept, tried + more)
            room = free_bytes[more]
            if room is None or not fits(events, room):
                return index
    return None


def whole_allocations(
    view: GraphView, processor: ProcessorClass, threads: int = THREADS
) -> Allocations:
    """Return what onnxruntime allocates for a graph on a processor. The window has one pixel."""
    kernels = with_channels_last(with_integer_kernels(view))
    return allocations_of(kernels, (), 1, Engine.ONNXRUNTIME, processor, threads=threads)


def _with_margin(size_bytes: int) -> int:
    return math.ceil(size_bytes * _MARGIN) + _MARGIN_BYTES


def border_size(border: Border, height: int, width: int) -> int:
    """Return the bytes of a border tensor for a window or frame of (height, width) pixels."""
    return math.prod(border.shape_at(height, width)) * np.dtype(border.dtype).itemsize
