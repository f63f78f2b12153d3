"""GPU memory that a bundle takes, as the compiler, the plans and the driver report it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeunet.bundle import Bundle
from edgeunet.engine.cuda import Device, open_device
from edgeunet.engine.cuda.settings import read_settings
from edgeunet.engine.trt.plans import read_info
from edgeunet.errors import EngineError
from edgeunet.run.device_space import DeviceUse
from edgeunet.run.executor import HELD, WINDOW
from edgeunet.specs import Engine

_MEMINFO = Path("/proc/meminfo")
_KIB = 1024


@dataclass(frozen=True)
class StageBytes:
    """Memory of one stage's plan, in bytes.

    All but work_bytes come from the compiler's log and are None where it does not print them.
    stage: name of the stage.
    activation_bytes: tensors between kernels, and the kernels' scratch.
    scratch_bytes: scratch of the kernels; part of activation_bytes.
    persistent_bytes: device memory kept per context.
    weight_bytes: weights, kept per plan.
    work_bytes: memory that the loaded plan needs to run (TensorRT's device_memory_size).
    """

    stage: str
    activation_bytes: int | None
    scratch_bytes: int | None
    persistent_bytes: int | None
    weight_bytes: int | None
    work_bytes: int


@dataclass(frozen=True)
class DeviceMeasurement:
    """GPU memory of a bundle, in bytes.

    title: engine and GPU.
    integrated: the GPU shares the CPU's memory.
    mapped: the GPU works on the frame and the outputs in host memory.
    stages: figures of each stage's plan.
    frame_bytes: the frame and the outputs.
    held_bytes: the block of tensors that stages hold for later stages.
    scratch_bytes: the block for the current window's buffers and the current plan's work memory.
    taken_bytes: free memory of the driver with a context alone, minus that after loading and
        running.
    context_bytes: system memory that making the context took; None when it is unknown.
    process_bytes: resident memory of the process at the end.
    """

    title: str
    integrated: bool
    mapped: bool
    stages: tuple[StageBytes, ...]
    frame_bytes: int
    held_bytes: int
    scratch_bytes: int
    taken_bytes: int
    context_bytes: int | None
    process_bytes: int

    @property
    def allocated_bytes(self) -> int:
        """The memory that this project allocated through the driver."""
        return self.frame_bytes + self.held_bytes + self.scratch_bytes

    @property
    def weight_bytes(self) -> int:
        """The weights of all stages; stages without a figure count as 0."""
        return sum(stage.weight_bytes or 0 for stage in self.stages)

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> DeviceMeasurement:
        """Read the JSON object that a process of ``measured.ask`` answered."""
        stages = tuple(StageBytes(**stage) for stage in answer["stages"])
        return cls(**{**answer, "stages": stages})


class Baseline:
    """The GPU's memory with a context and nothing else.

    Open it before the bundle is loaded and close it after the measurement.
    """

    def __init__(self) -> None:
        settings = read_settings()
        before = _available_bytes()
        self._device: Device = open_device(settings.backend, settings.ordinal)
        after = _available_bytes()
        self.context_bytes = None if before is None or after is None else max(0, before - after)
        self._free_bytes = self._device.free_bytes()

    def measured(self, bundle: Bundle, use: DeviceUse, process_bytes: int) -> DeviceMeasurement:
        """Return the figures of a bundle that is loaded and has run."""
        return DeviceMeasurement(
            title=use.title,
            integrated=self._device.facts.integrated,
            mapped=use.mapped,
            stages=tuple(
                _stage_bytes(bundle, name, work_bytes)
                for name, work_bytes in use.work_bytes.items()
            ),
            frame_bytes=use.frame_bytes,
            held_bytes=use.block_bytes.get(HELD, 0),
            scratch_bytes=use.block_bytes.get(WINDOW, 0),
            taken_bytes=self._free_bytes - self._device.free_bytes(),
            context_bytes=self.context_bytes,
            process_bytes=process_bytes,
        )

    def close(self) -> None:
        self._device.close()


def open_baseline(bundle: Bundle, engine: str) -> Baseline | None:
    """Return a baseline when the bundle may run on a GPU, else None."""
    if engine not in (Engine.TENSORRT, "auto"):
        return None
    try:
        for stage in bundle.manifest.stages:
            read_info(bundle, stage.name)
        return Baseline()
    except EngineError:
        # The executor reports the reason where TensorRT was asked for.
        return None


def _stage_bytes(bundle: Bundle, stage: str, work_bytes: int) -> StageBytes:
    lines = read_info(bundle, stage).memory
    return StageBytes(
        stage=stage,
        activation_bytes=lines.activation_bytes,
        scratch_bytes=lines.scratch_bytes,
        persistent_bytes=lines.persistent_device_bytes,
        weight_bytes=lines.weight_bytes,
        work_bytes=work_bytes,
    )


def _available_bytes() -> int | None:
    if not _MEMINFO.exists():
        return None
    for line in _MEMINFO.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * _KIB
    return None
