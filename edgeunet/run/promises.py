"""What a bundle is expected to take on this processor, and whether that is within its budget."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass

from edgeunet.bundle.manifest import CpuEntry, Manifest, ProcessorEntry
from edgeunet.imitation.onnxruntime_arena import pool_for
from edgeunet.processors import (
    CPU_NAMES,
    UNKNOWN,
    ProcessorClass,
    this_processor,
    usable_cores,
)
from edgeunet.run.export_command import export_command
from edgeunet.run.process_memory import process_memory
from edgeunet.specs import Engine, Pool
from edgeunet.units import format_bytes

KNOWN_VERSIONS = ("1.32",)
"""The releases of onnxruntime whose allocations were traced and are those predicted."""

# Set aside on top of a prediction for what was not measured.
_MARGIN = 1.25
# What a rehearsal may take more than predicted before anybody is told: nothing else runs then.
_REHEARSAL_TOLERANCE = 1.05
_REHEARSAL_TOLERANCE_BYTES = 512 << 10
# The same for a first frame without a rehearsal: meanwhile other threads read the next frames and
# write videos.
_TOLERANCE = 1.1
_TOLERANCE_BYTES = 16 << 20
_TOLERATED_FRAMES = 4
# What a thread more than the predicted ones takes at most in bundles that do not say it.
_STACK_BYTES = 24 << 10


@dataclass(frozen=True)
class Promise:
    """region_bytes: for onnxruntime's arena; 0 where nothing is known of it.

    predicted_bytes: activations of a run, buffers included; None where that is not known.
    notes: one sentence each, for the user.
    """

    region_bytes: int
    predicted_bytes: int | None
    notes: tuple[str, ...] = ()

    @property
    def pool(self) -> Pool | None:
        """The memory that an engine should set aside; None when the bundle does not say."""
        return pool_for(self.region_bytes) if self.region_bytes else None


def promise_of(
    manifest: Manifest, threads: int | None = None, workers: int | None = None
) -> Promise:
    """Return what onnxruntime is expected to take on this processor.

    threads: of the CPU; None takes every core.
    workers: windows that run at a time; None for those of the plan.
    """
    processor = this_processor()
    together = _bytes_of_further_workers(manifest, workers)
    if manifest.cpu is None:
        return _of_older(manifest, processor, together)
    entry = _entry_of(manifest.cpu, processor)
    reason = None
    if entry is None:
        reason = f"nothing was predicted for {processor.title}"
        entry = max(manifest.cpu.processors, key=lambda one: one.region_bytes)
    elif not _version().startswith(tuple(f"{known}." for known in KNOWN_VERSIONS)):
        reason = f"the memory of onnxruntime {_version()} was not measured"
    count, cpu_threads = threads or usable_cores(), manifest.cpu.threads
    further = max(0, count - cpu_threads)
    margin = 1.0 if reason is None else _MARGIN
    region = int((entry.region_bytes + further * entry.thread_bytes) * margin)
    stack = _STACK_BYTES if entry.stack_bytes is None else entry.stack_bytes
    more = further * (entry.thread_bytes + stack)
    if entry.stack_bytes is not None:
        more -= max(0, cpu_threads - count) * stack
    predicted = int((entry.predicted_bytes + more) * margin)
    notes = list(_about_margin(reason))
    notes += _about_budget(manifest, manifest.cpu, processor, predicted, more)
    return Promise(region, predicted + int(together * margin), tuple(notes))


class Rehearsal:
    """Holds what the engine takes in a rehearsal against the prediction (Linux)."""

    def __init__(self, predicted_bytes: int | None, buffers_bytes: int) -> None:
        """Note the memory that the process has now, before the rehearsal.

        buffers_bytes: of the prediction, what is no memory of the engine.
        """
        self._predicted_bytes = 0 if predicted_bytes is None else predicted_bytes - buffers_bytes
        self._before = process_memory() if self._predicted_bytes > 0 else None

    def note(self) -> str | None:
        """Return a sentence if the engine took more than predicted."""
        now = process_memory()
        if self._before is None or now is None:
            return None
        taken = now.private_bytes - self._before.private_bytes
        expected = self._predicted_bytes
        if taken <= expected * _REHEARSAL_TOLERANCE + _REHEARSAL_TOLERANCE_BYTES:
            return None
        return (
            f"memory: the engine took {format_bytes(taken)}, {format_bytes(expected)} were "
            "predicted; edgeunet memory BUNDLE --measure says what the network takes alone"
        )


class FirstFrame:
    """Holds what the first frame takes against the prediction (Linux)."""

    def __init__(self, predicted_bytes: int | None, frame_bytes: int) -> None:
        """Note the memory that the process has now, before the first frame.

        frame_bytes: size of a frame of three bytes per pixel.
        """
        self._predicted_bytes = predicted_bytes
        self._tolerated_bytes = _TOLERANCE_BYTES + _TOLERATED_FRAMES * frame_bytes
        self._before = None if predicted_bytes is None else process_memory()

    def note(self) -> str | None:
        """Return a sentence if the frame took more than predicted. Call it once, after the frame.

        The arena gives nothing back, so what the process has now is what the frame took.
        """
        now = process_memory()
        if self._predicted_bytes is None or self._before is None or now is None:
            return None
        taken = now.own_bytes - self._before.own_bytes
        if taken <= self._predicted_bytes * _TOLERANCE + self._tolerated_bytes:
            return None
        predicted = format_bytes(self._predicted_bytes)
        return (
            f"memory: the first frame took {format_bytes(taken)}, {predicted} were predicted; "
            "edgeunet memory BUNDLE --measure says what the network takes alone"
        )


def _bytes_of_further_workers(manifest: Manifest, workers: int | None) -> int:
    """Return what more workers than those of the plan take, negative for fewer."""
    plan = manifest.plan
    return 0 if plan is None or workers is None else (workers - plan.workers) * plan.worker_bytes


def _of_older(manifest: Manifest, processor: ProcessorClass, worker_bytes: int) -> Promise:
    """Return the promise of a bundle that says nothing of classes.

    worker_bytes: of the workers beyond those of the plan.
    """
    plan, region = manifest.plan, manifest.memory.region_bytes
    if not region:
        return Promise(0, None)
    predicted = None
    if plan is not None and plan.engine is Engine.ONNXRUNTIME:
        predicted = plan.predicted_bytes + worker_bytes if plan.predicted_bytes else None
    if processor in CPU_NAMES["avx512"]:
        return Promise(region, predicted)
    note = (
        f"memory: this bundle's was predicted for x86-64 with AVX-512; on {processor.title} it may "
        f"be more; export it again: {export_command(manifest)}"
    )
    return Promise(region, None, (note,))


def _entry_of(cpu: CpuEntry, processor: ProcessorClass) -> ProcessorEntry | None:
    return next((entry for entry in cpu.processors if processor.name in entry.classes), None)


def _about_margin(reason: str | None) -> Iterator[str]:
    if reason is not None:
        yield (
            f"memory: {reason}, so a quarter more is set aside; "
            "edgeunet memory BUNDLE --measure says what is taken"
        )


def _about_budget(
    manifest: Manifest,
    cpu: CpuEntry,
    processor: ProcessorClass,
    predicted_bytes: int,
    thread_bytes: int,
) -> Iterator[str]:
    budget = cpu.budget_bytes
    if budget is None or predicted_bytes <= budget:
        return
    where = processor.title
    if thread_bytes > 0 and predicted_bytes - thread_bytes <= budget:
        cure = f"run it with --threads {cpu.threads}"
    else:
        command = export_command(manifest, cpu=_cpu_name(processor), budget_bytes=budget)
        cure = f"this one fits: {command}"
    yield (
        f"memory: {format_bytes(predicted_bytes)} are predicted on {where}, over the budget of "
        f"{format_bytes(budget)}; {cure}"
    )


def _cpu_name(processor: ProcessorClass) -> str | None:
    """Return the ``--cpu`` that a processor's class is one of; None stands for every class."""
    if processor is UNKNOWN:
        return None
    return next((name for name, kinds in CPU_NAMES.items() if processor in kinds), None)


def _version() -> str:
    try:
        return importlib.metadata.version("onnxruntime")
    except importlib.metadata.PackageNotFoundError:
        return "of an unknown version"
