"""Options of a build, and the checks that they are possible."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edgeunet.bundle.manifest import Manifest
from edgeunet.engine.trt.provider import Provider
from edgeunet.errors import EngineError, UsageError
from edgeunet.specs import Engine, Precision

LEVELS = range(6)
MOST_AUX_STREAMS = 7

# TensorRT versions without DLA, as [first, end). From 11.4.1 on it works on AGX Orin only.
_WITHOUT_DLA = ((10, 8), (11, 4, 1))


@dataclass(frozen=True)
class BuildOptions:
    """How plans are built. None keeps TensorRT's default.

    workspace_bytes: most memory that one kernel may use beside its tensors.
    tactic_bytes: most device memory that a build may use to try kernels.
    optimization_level: 0 (builds fastest) to 5 (runs fastest).
    dla_core: DLA core that runs the layers it supports; None uses the GPU only.
    aux_streams: streams for kernels that run at the same time, 0 to 7. Each needs more memory.
    timing_cache: file with kernel timings; None takes one in the user's cache folder.
    compute_capabilities: GPUs to build for, as ``major.minor``; TensorRT-RTX only.
    Raises UsageError for a value out of range.
    """

    workspace_bytes: int | None = None
    tactic_bytes: int | None = None
    optimization_level: int | None = None
    dla_core: int | None = None
    aux_streams: int = 0
    timing_cache: Path | None = None
    compute_capabilities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        level = self.optimization_level
        if level is not None and level not in LEVELS:
            raise UsageError(
                f"{level} is not an optimization level",
                hint=f"use {LEVELS[0]} (builds fastest) to {LEVELS[-1]} (runs fastest)",
            )
        if not 0 <= self.aux_streams <= MOST_AUX_STREAMS:
            raise UsageError(
                f"{self.aux_streams} is not a number of auxiliary streams",
                hint=f"use 0 to {MOST_AUX_STREAMS}; 0 takes least memory",
            )
        for pool, size_bytes in (
            ("--workspace", self.workspace_bytes),
            ("--tactic-memory", self.tactic_bytes),
        ):
            if size_bytes == 0:
                raise UsageError(f"{pool} 0 leaves nothing to build with", hint="like 256MiB")
        if self.dla_core is not None and self.dla_core < 0:
            raise UsageError(f"there is no DLA core {self.dla_core}", hint="use 0 or 1")

    def words(self) -> tuple[str, ...]:
        """Return the options that were set, as text for a plan's ``flags``."""
        return tuple(
            f"{name} {value}"
            for name, value in (
                ("workspace bytes", self.workspace_bytes),
                ("tactic bytes", self.tactic_bytes),
                ("optimization level", self.optimization_level),
                ("DLA core", self.dla_core),
                ("auxiliary streams", self.aux_streams),
            )
            if value is not None
        )


def check_integers(manifest: Manifest, name: str) -> None:
    """Raise UsageError for a bundle whose integers are for another engine. name: of the bundle."""
    quantized = manifest.quantization
    if quantized is not None and quantized.target != Engine.TENSORRT.value:
        raise UsageError(
            f"{name} is quantized for {quantized.target}, whose integers TensorRT does not compute "
            "with",
            hint="export it again with --int8 --target tensorrt",
        )


def check_dla(provider: Provider, precision: Precision, core: int, cores: int) -> None:
    """Raise EngineError when a DLA core cannot be used.

    core: number of the core that was asked for.
    cores: number of cores that TensorRT finds on this board.
    """
    hint = "leave --dla out: the GPU runs everything"
    if provider.rtx:
        raise EngineError("TensorRT-RTX runs on desktop GPUs, which have no DLA", hint=hint)
    if precision is Precision.FP32:
        raise EngineError(
            "DLA computes fp16 and int8, and this bundle is fp32",
            hint="export with --fp16 or --int8, or leave --dla out",
        )
    since, again = _WITHOUT_DLA
    if since <= provider.version < again:
        raise EngineError(
            f"{provider.title} has no DLA: 10.7 was the last before 11.4.1, which has it on "
            "AGX Orin with JetPack 7.2.2",
            hint=hint,
        )
    if cores == 0:
        raise EngineError(
            "TensorRT finds no DLA on this board: Orin Nano and Thor have none, and a container "
            "needs the libnvdla libraries of the host",
            hint=hint,
        )
    if core >= cores:
        known = " and ".join(map(str, range(cores)))
        raise EngineError(f"there is no DLA core {core}", hint=f"this board has {known}")


def cache_folder() -> Path:
    """Return the user's cache folder for edgeunet. The folder is not made."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification says to ignore a relative path.
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return root / "edgeunet"
