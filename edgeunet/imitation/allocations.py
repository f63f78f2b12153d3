"""The order in which an engine allocates and frees memory for one graph."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeunet.graph.summary import GraphView, TensorKind
from edgeunet.imitation.convolution_memory import packing
from edgeunet.imitation.kernels import Kernel, Scratch, bytes_of, nodes_of, source_of
from edgeunet.imitation.one_region import Events, extent_bytes
from edgeunet.imitation.onnxruntime_arena import Arena
from edgeunet.imitation.onnxruntime_kernels import orders_of
from edgeunet.imitation.thread_memory import stack_bytes_of
from edgeunet.processors import AVX512_VNNI, ProcessorClass
from edgeunet.specs import Engine

_NO_END = 1 << 60


@dataclass(frozen=True)
class Buffer:
    """The size of one buffer: a number of bytes per pixel of the window, plus a constant.

    least_bytes: it is never smaller. until_bytes: a size that it never reaches; in windows where it
        would, ``beyond_bytes`` are taken instead.
    threads: the number of threads that share it, if every further one takes as much again, up to
        ``most_threads``; 0 for other buffers.
    """

    slope: float
    constant: int
    least_bytes: int = 0
    until_bytes: int | None = None
    beyond_bytes: int = 0
    threads: int = 0
    most_threads: int = 0

    def with_threads(self, threads: int) -> Buffer:
        """Return the same for another number of threads."""
        if not self.threads:
            return self
        count = min(threads, self.most_threads)
        if self.until_bytes is not None:
            beyond = self.beyond_bytes // self.threads * count
            return replace(self, beyond_bytes=beyond, threads=count)
        slope = self.slope / self.threads * count
        constant = self.constant // self.threads * count
        least = self.least_bytes // self.threads * count
        return replace(self, slope=slope, constant=constant, least_bytes=least, threads=count)

    def size_bytes(self, pixels: int) -> int:
        """Return the size for a window of this many pixels."""
        size_bytes = max(math.ceil(self.slope * pixels) + self.constant, self.least_bytes)
        if self.until_bytes is not None and size_bytes >= self.until_bytes:
            return self.beyond_bytes
        return size_bytes

    @property
    def line(self) -> tuple[float, int]:
        """Bytes per pixel and constant bytes that the buffer takes at least, in every window."""
        return (self.slope, self.constant) if self.until_bytes is None else (0.0, 0)


@dataclass(frozen=True)
class Allocations:
    """The buffers of one graph, and the steps that allocate and free them.

    buffers: all buffers, numbered by their position.
    steps: for every step, (buffers allocated before it, buffers freed after it).
    kept_bytes: sizes of the blocks that weights take in the arena when the graph is loaded.
    others: the same graph in the other orders that the engine may run it in. A region has to do
        for all of them; peaks are those of this one.
    stack_bytes: what every thread but the first takes on its stack; see ``thread_memory.py``.
    packed: the buffers that every thread may pack into, in the heap: the largest of them.
    """

    buffers: tuple[Buffer, ...]
    steps: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    kept_bytes: tuple[int, ...]
    others: tuple[Allocations, ...] = ()
    stack_bytes: int = 0
    packed: tuple[Buffer, ...] = ()

    def load(self, arena: Arena) -> None:
        """Allocate what stays allocated from loading on."""
        for size_bytes in self.kept_bytes:
            arena.take(size_bytes)

    def replay(self, arena: Arena, pixels: int) -> None:
        """Allocate and free, in an arena, the buffers of a window of this many pixels."""
        sizes = [buffer.size_bytes(pixels) for buffer in self.buffers]
        pieces = {}
        for taken, given in self.steps:
            for index in taken:
                pieces[index] = arena.take(sizes[index])
            for index in given:
                arena.give(pieces.pop(index))

    def events(self, pixels: int, threads: int | None = None) -> tuple[Events, ...]:
        """Return what a window of this many pixels allocates and frees, in each order once.

        threads: another number of threads than the buffers are for.
        """
        found = self._events.get((pixels, threads))
        if found is None:
            sizes = self._sizes(threads).bytes_at(pixels)
            buffers, freed = self._order
            own = np.where(freed < 0, freed, sizes[buffers]) if len(freed) else freed
            others = (events for one in self.others for events in one.events(pixels, threads))
            found = tuple(dict.fromkeys([tuple(own.tolist()), *others]))
            self._events[pixels, threads] = found
        return found

    def extent_bytes(self, pixels: int) -> int:
        """Return the end of the bytes that a window takes in a region without a limit."""
        return max(extent_bytes(events) for events in self.events(pixels))

    def peak_bytes(self, pixels: int) -> int:
        """Return the largest number of bytes in use at once for a window of this many pixels."""
        return max((math.ceil(s * pixels) + c for s, c in self.highest_lines), default=0)

    def packed_bytes(self, pixels: int) -> int:
        """Return what a thread packs into, for a window of this many pixels."""
        return max((one.size_bytes(pixels) for one in self.packed), default=0)

    def thread_bytes(self, pixels: int) -> int:
        """Return what one more thread takes, for a window of this many pixels."""
        return max((-(-one.size_bytes(pixels) // one.threads) for one in self._shared), default=0)

    def live_lines(self) -> tuple[tuple[float, int], ...]:
        """Return, per step, the live bytes as (bytes per pixel, constant bytes)."""
        found = []
        slope, constant = 0.0, 0
        slopes = [one.line[0] for one in self.buffers]
        constants = [one.line[1] for one in self.buffers]
        for taken, given in self.steps:
            slope += sum([slopes[index] for index in taken])
            constant += sum([constants[index] for index in taken])
            found.append((slope, constant))
            slope -= sum([slopes[index] for index in given])
            constant -= sum([constants[index] for index in given])
        return tuple(found)

    @functools.cached_property
    def highest_lines(self) -> tuple[tuple[float, int], ...]:
        """The live bytes of those steps that are not below another one in every window."""
        return highest(self.live_lines())

    @functools.cached_property
    def _shared(self) -> tuple[Buffer, ...]:
        """The buffers that threads share."""
        return tuple(dict.fromkeys(one for one in self.buffers if one.threads))

    @functools.cached_property
    def _events(self) -> dict[tuple[int, int | None], tuple[Events, ...]]:
        return {}

    @functools.cached_property
    def _sizes_of_threads(self) -> dict[int | None, _Sizes]:
        return {}

    def _sizes(self, threads: int | None) -> _Sizes:
        if threads not in self._sizes_of_threads:
            buffers = self.buffers
            if threads is not None:
                buffers = tuple(one.with_threads(threads) for one in buffers)
            self._sizes_of_threads[threads] = _Sizes.of(buffers)
        return self._sizes_of_threads[threads]

    @functools.cached_property
    def _order(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of every event, the buffer that is allocated, and what stands for one that is freed."""
        buffers: list[int] = []
        freed: list[int] = []
        position = {}
        for taken, given in self.steps:
            for index in taken:
                position[index] = len(buffers)
                buffers.append(index)
                freed.append(0)
            for index in given:
                buffers.append(0)
                freed.append(-1 - position[index])
        return np.array(buffers, np.int64), np.array(freed, np.int64)


def highest(lines: Iterable[tuple[float, int]]) -> tuple[tuple[float, int], ...]:
    """Return the lines (slope, constant) that are not below another line at every area."""
    kept: list[tuple[float, int]] = []
    for slope, constant in sorted(set(lines), reverse=True):
        if not kept or constant > kept[-1][1]:
            kept.append((slope, constant))
    return tuple(kept)


@dataclass(frozen=True)
class _Sizes:
    """The sizes of buffers as columns of equal length; see ``Buffer``."""

    slopes: NDArray[np.float64]
    constants: NDArray[np.int64]
    least: NDArray[np.int64]
    until: NDArray[np.int64]
    beyond: NDArray[np.int64]

    @classmethod
    def of(cls, buffers: Sequence[Buffer]) -> _Sizes:
        ends = [_NO_END if one.until_bytes is None else one.until_bytes for one in buffers]
        return cls(
            np.array([one.slope for one in buffers], np.float64),
            np.array([one.constant for one in buffers], np.int64),
            np.array([one.least_bytes for one in buffers], np.int64),
            np.array(ends, np.int64),
            np.array([one.beyond_bytes for one in buffers], np.int64),
        )

    def bytes_at(self, pixels: int) -> NDArray[np.int64]:
        """Return ``Buffer.size_bytes`` of every buffer."""
        grown = np.ceil(self.slopes * pixels).astype(np.int64) + self.constants
        sizes: NDArray[np.int64] = np.maximum(grown, self.least)
        return np.where(sizes >= self.until, self.beyond, sizes)


def allocations_of(
    view: GraphView,
    placed: Collection[str],
    pixels: int,
    engine: Engine,
    processor: ProcessorClass = AVX512_VNNI,
    *,
    threads: int = 1,
    in_place: bool = True,
) -> Allocations:
    """Return the allocations of a graph that was made for a window of ``pixels``.

    placed: the tensors that grow with the window.
    processor, threads: of the CPU, for onnxruntime.
    in_place: whether kernels may overwrite an input that they read last, as engines do.
    onnxruntime may run the kernels in several orders; the one with the highest peak is returned,
    with the others beside it. Other engines run the nodes in the order of the graph.
    """
    onnxruntime = engine is Engine.ONNXRUNTIME
    orders = orders_of(view, processor, threads) if onnxruntime else [nodes_of(view)]
    block = processor.channel_block if onnxruntime else None
    if not in_place:
        for kernel in itertools.chain(*orders):
            kernel.over = kernel.over if kernel.is_view else None
    found = [_allocations(kernels, view, placed, pixels, block) for kernels in orders]
    highest = found[0]
    if len(found) > 1:
        highest = max(found, key=lambda one: one.peak_bytes(pixels))
    others = tuple(one for one in found if one is not highest)
    if not onnxruntime:
        return replace(highest, others=others)
    packed = []
    for node in view.nodes:
        one = packing(node, view, processor) if node.op_type == "QLinearConv" else None
        if one is not None:
            packed.append(_scratch(one, source_of(node.outputs[0]) in placed, pixels))
    return replace(
        highest,
        others=others,
        stack_bytes=stack_bytes_of(orders[0], view),
        packed=tuple(dict.fromkeys(packed)),
    )


def _allocations(
    kernels: Sequence[Kernel],
    view: GraphView,
    placed: Collection[str],
    pixels: int,
    channel_block: int | None,
) -> Allocations:
    last = {name: i for i, k in enumerate(kernels) for name in (*k.inputs, *k.outputs)}
    owner = _owners(kernels, last, view)
    end: dict[str, int] = {}
    for name, index in last.items():
        held_by = owner.get(name, name)
        end[held_by] = max(end.get(held_by, 0), index)
    numbers: dict[str, int] = {}
    buffers: list[Buffer] = []
    steps: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for index, kernel in enumerate(kernels):
        taken = []
        for name in kernel.outputs:
            if name not in owner and not _is_callers(name, view):
                numbers[name] = len(buffers)
                taken.append(len(buffers))
                size_bytes = bytes_of(name, view, channel_block)
                buffers.append(_buffer(size_bytes, source_of(name) in placed, pixels))
        given = [numbers.pop(name) for name in list(numbers) if end[name] == index]
        grows = source_of(kernel.outputs[0]) in placed
        beside = range(len(buffers), len(buffers) + len(kernel.scratch))
        buffers += [_scratch(scratch, grows, pixels) for scratch in kernel.scratch]
        taken = [*beside, *taken] if kernel.scratch_first else [*taken, *beside]
        given += beside
        steps.append((tuple(taken), tuple(given)))
    kept = tuple(kernel.kept_bytes for kernel in kernels if kernel.kept_bytes)
    return Allocations(tuple(buffers), tuple(steps), kept)


def _owners(kernels: Sequence[Kernel], last: Mapping[str, int], view: GraphView) -> dict[str, str]:
    """Return, for every tensor that shares the bytes of another one, the name of that tensor."""
    owner: dict[str, str] = {}
    for index, kernel in enumerate(kernels):
        if kernel.over is None or kernel.over not in last:
            continue
        made = kernel.outputs[0]
        if _is_callers(made, view):
            continue
        root = owner.get(kernel.over, kernel.over)
        # A view may share the bytes of the caller, but no kernel may overwrite them.
        if _is_callers(root, view) and not kernel.is_view:
            continue
        sharing = [root, *(name for name, held_by in owner.items() if held_by == root)]
        if kernel.is_view or all(last[name] <= index for name in sharing):
            owner[made] = root
    return owner


def _is_callers(name: str, view: GraphView) -> bool:
    """Return whether a tensor lies in a buffer of the caller."""
    return name in view.by_name and view.tensor(name).kind is not TensorKind.ACTIVATION


@functools.lru_cache(maxsize=1 << 12)
def _buffer(size_bytes: int, grows: bool, pixels: int) -> Buffer:
    return Buffer(size_bytes / pixels, 0) if grows else Buffer(0.0, size_bytes)


def _scratch(scratch: Scratch, grows: bool, pixels: int) -> Buffer:
    size = _buffer(scratch.size_bytes, grows, pixels)
    return replace(
        size,
        least_bytes=scratch.least_bytes,
        until_bytes=scratch.until_bytes,
        beyond_bytes=scratch.beyond_bytes,
        threads=scratch.threads,
        most_threads=scratch.most_threads,
    )
