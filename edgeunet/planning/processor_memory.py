"""What an engine takes for the stages of a plan, on each class of processors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeunet.graph.summary import GraphView
from edgeunet.imitation.allocations import Allocations
from edgeunet.imitation.prediction import (
    bytes_beside_weights,
    engine_bytes,
    further_thread_bytes,
    region_bytes,
    used_bytes,
    whole_allocations,
)
from edgeunet.processors import ProcessorClass, same_kernels
from edgeunet.specs import Engine


@dataclass(frozen=True)
class ProcessorMemory:
    """What the engine takes on the processors of some classes, in bytes.

    processors: classes that run the same kernels.
    region_bytes: what onnxruntime's arena needs, packed weights included; 0 for other engines.
    engine_bytes: what the engine takes without weights; see ``Prediction``.
    thread_bytes: what both are larger by, for each thread more than ``processors.THREADS``.
    stack_bytes: what the second is larger by besides, for each more, and smaller for each fewer.
    """

    processors: tuple[ProcessorClass, ...]
    region_bytes: int
    engine_bytes: int
    thread_bytes: int = 0
    stack_bytes: int = 0


def kernel_groups(
    engine: Engine, processors: Sequence[ProcessorClass], *, integers: bool
) -> tuple[tuple[ProcessorClass, ...], ...]:
    """Return the classes in groups that take the same memory; the CPU is nothing to TensorRT.

    integers: whether the graph has integer kernels.
    """
    if engine is not Engine.ONNXRUNTIME:
        return (tuple(processors),)
    return same_kernels(processors, integers=integers)


def memory_of(
    engine: Engine,
    processors: tuple[ProcessorClass, ...],
    runs: Sequence[tuple[Allocations, int]],
) -> ProcessorMemory:
    """Return what an engine takes for stages that run in turn; see ``engine_bytes``."""
    if engine is not Engine.ONNXRUNTIME:
        return ProcessorMemory(processors, 0, engine_bytes(engine, runs))
    region = region_bytes(runs)
    more = max((one.thread_bytes(pixels) for one, pixels in runs), default=0)
    return ProcessorMemory(
        processors, region, bytes_beside_weights(region, runs), more, further_thread_bytes(runs)
    )


def further_worker_bytes(
    engine: Engine, memory: ProcessorMemory, runs: Sequence[tuple[Allocations, int]]
) -> int:
    """Return what an engine takes for one more worker, whose region is as large as the first one's.

    memory: of all stages. runs: those that the worker runs.
    """
    if engine is not Engine.ONNXRUNTIME:
        return engine_bytes(engine, runs)
    return bytes_beside_weights(used_bytes(memory.region_bytes, runs), runs)


def memory_of_graph(
    view: GraphView, processors: Sequence[ProcessorClass]
) -> tuple[ProcessorMemory, ...]:
    """Return what onnxruntime takes for a graph that runs alone, for every group of classes."""
    integers = any(node.op_type == "QuantizeLinear" for node in view.nodes)
    return tuple(
        memory_of(Engine.ONNXRUNTIME, group, [(whole_allocations(view, group[0]), 1)])
        for group in kernel_groups(Engine.ONNXRUNTIME, processors, integers=integers)
    )
