"""What a bundle takes of a GPU, from everybody who counts: the compiler, the plans, the driver."""

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
    """One stage's plan. The first four are the compiler's words; None where it did not say.

    activation_bytes: tensors between kernels, with the kernels' scratch (scratch_bytes) in it.
    persistent_bytes: kept per context. weight_bytes: kept per plan. work_bytes: what the plan asks
    for when it is loaded (device_memory_size).
    """

    stage: str
    activation_bytes: int | None
    scratch_bytes: int | None
    persistent_bytes: int | None
    weight_bytes: int | None
    work_bytes: int


@dataclass(frozen=True)
class DeviceMeasurement:
    """All of it, in bytes.

    mapped: the GPU works on the frame and the outputs in the host's memory; frame_bytes: of these.
    held_bytes: one block for what stages hand on. scratch_bytes: one block for windows and what the
    plan at hand works in. taken_bytes: what the driver has less after loading and running than with
    a context alone. context_bytes: what the system has less once there is a context.
    process_bytes: resident at the end.
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
        """What this project asked the driver for."""
        return self.frame_bytes + self.held_bytes + self.scratch_bytes

    @property
    def weight_bytes(self) -> int:
        return sum(stage.weight_bytes or 0 for stage in self.stages)

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> DeviceMeasurement:
        """Read what a process in ``ask`` answered."""
        stages = tuple(StageBytes(**stage) for stage in answer["stages"])
        return cls(**{**answer, "stages": stages})


class Baseline:
    """The GPU with a context and nothing else; open it before the bundle, close it after."""

    def __init__(self) -> None:
        settings = read_settings()
        before = _available_bytes()
        self._device: Device = open_device(settings.backend, settings.ordinal)
        after = _available_bytes()
        self.context_bytes = None if before is None or after is None else max(0, before - after)
        self._free_bytes = self._device.free_bytes()

    def measured(self, bundle: Bundle, use: DeviceUse, process_bytes: int) -> DeviceMeasurement:
        """Return the figures, while the bundle is loaded and has run."""
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
    """Return a baseline where the bundle may run on a GPU; None where it cannot and need not."""
    if engine not in (Engine.TENSORRT, "auto"):
        return None
    try:
        for stage in bundle.manifest.stages:
            read_info(bundle, stage.name)
        return Baseline()
    except EngineError:
        # The executor says why, and only where it was asked for.
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
