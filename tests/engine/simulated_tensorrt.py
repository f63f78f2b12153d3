"""A simulated ``tensorrt`` module of a given version, without attributes that the version lacks.

It compiles nothing. A "plan" is JSON with the version and the tensors of the ONNX graph. To "run"
it,
``execute_async_v3`` calls ``Simulation.on_execute`` with the addresses it was given. Calls that a
real
TensorRT refuses fail here too: implicit batch, contradicting flags, memory without a size, contexts
without memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edgeunet.engine.trt.provider import Provider, provider_of
from tests.engine.simulated_attributes import ERROR, INFO, INTERNAL_ERROR, WARNING, Guarded, Names
from tests.engine.simulated_network import DataType, Network, Parser
from tests.engine.simulated_runtime import Execution, Runtime
from tests.engine.tensorrt_versions import RTX

__all__ = ["ERROR", "INTERNAL_ERROR", "WARNING", "Execution", "Simulation", "simulate"]


@dataclass
class Simulation:
    """The simulated TensorRT: its device, and the calls it has received.

    failure: log lines of a build that fails.
    dla_cores: value of ``num_DLA_cores``.
    gpu: written into plans with the version; a plan of another GPU is not loaded.
    work_bytes: memory that every context needs.
    configs: settings of every build, from ``Class.attribute`` or pool to value.
    """

    version: str
    dla_cores: int = 0
    gpu: str = "Orin"
    work_bytes: int = 4096
    failure: list[tuple[int, str]] | None = None
    on_execute: Callable[[Execution], None] | None = None
    configs: list[dict[str, Any]] = field(default_factory=list)
    module: Any = None

    @property
    def provider(self) -> Provider:
        name = "tensorrt-rtx" if self.version == RTX else "tensorrt"
        return provider_of(name, self.module)  # type: ignore[arg-type]


def simulate(version: str, **settings: Any) -> Simulation:
    """Return a simulation with its module; ``version`` is like 10.3.0, or "rtx"."""
    simulation = Simulation(version, **settings)
    simulation.module = _Module(simulation)
    return simulation


class _Logger:
    def __init__(self) -> None: ...

    def log(self, severity: Any, message: str) -> None:
        raise NotImplementedError


class _ProgressMonitor:
    def __init__(self) -> None: ...


class _Module(Guarded):
    ILogger = _Logger
    IProgressMonitor = _ProgressMonitor

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        rtx = simulation.version == RTX
        made: dict[str, Any] = {
            "__version__": "1.7.1.116" if rtx else simulation.version,
            "Builder": lambda logger: _Builder(simulation, logger),
            "OnnxParser": lambda network, logger: Parser(simulation, network, logger),
            "Runtime": lambda logger: Runtime(simulation, logger),
            "ComputeCapability": _Capabilities(),
            "DataType": DataType,
        }
        for name, members in {
            "BuilderFlag": ("FP16", "INT8", "GPU_FALLBACK", "OBEY_PRECISION_CONSTRAINTS"),
            "DeviceType": ("GPU", "DLA"),
            "ExecutionContextAllocationStrategy": ("STATIC", "ON_PROFILE_CHANGE", "USER_MANAGED"),
            "MemoryPoolType": ("WORKSPACE", "TACTIC_DRAM"),
            "NetworkDefinitionCreationFlag": ("EXPLICIT_BATCH", "STRONGLY_TYPED"),
            "TensorIOMode": ("NONE", "INPUT", "OUTPUT"),
        }.items():
            made[name] = Names(simulation, name, members)
        for name, value in made.items():
            object.__setattr__(self, name, value)


class _Capabilities:
    SM86, SM89 = 86, 89


class _Serialized:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.nbytes = len(data)

    def __bytes__(self) -> bytes:
        return self._data


class _TimingCache(Guarded):
    _class = "ITimingCache"

    def __init__(self, simulation: Simulation, data: bytes) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_data", data)

    def serialize(self) -> bytes:
        return self._data + b"|timed" if self._data else self._mark()

    def _mark(self) -> bytes:
        return f"timings of {self._simulation.version}".encode()


class _Config(Guarded):
    _class = "IBuilderConfig"

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        simulation.configs.append({})
        object.__setattr__(self, "_settings", simulation.configs[-1])
        object.__setattr__(self, "_cache", None)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self._settings[name] = value

    def set_flag(self, flag: Any) -> None:
        self._settings[flag.name] = True

    def set_memory_pool_limit(self, pool: Any, size_bytes: int) -> None:
        assert size_bytes > 0
        self._settings[pool.name] = size_bytes

    def set_compute_capability(self, capability: int, index: int) -> None:
        self._settings.setdefault("capabilities", {})[index] = capability

    def create_timing_cache(self, data: bytes) -> _TimingCache:
        return _TimingCache(self._simulation, data)

    def set_timing_cache(self, cache: _TimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if cache._data and not cache._data.startswith(cache._mark()):
            return False
        object.__setattr__(self, "_cache", cache)
        return True

    def get_timing_cache(self) -> _TimingCache | None:
        return self._cache  # type: ignore[no-any-return]


class _Builder(Guarded):
    _class = "Builder"

    def __init__(self, simulation: Simulation, logger: _Logger) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_logger", logger)

    @property
    def num_DLA_cores(self) -> int:  # noqa: N802
        return self._simulation.dla_cores  # type: ignore[no-any-return]

    def create_network(self, flags: int) -> Network:
        return Network(self._simulation, flags)

    def create_builder_config(self) -> _Config:
        return _Config(self._simulation)

    def build_serialized_network(self, network: Network, config: _Config) -> _Serialized | None:
        simulation, log = self._simulation, self._logger.log
        settings = config._settings
        if network._flags & 2:
            typing = {"FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS"}
            assert not settings.keys() & typing, "strongly typed networks have no flags"
        told = {layer._made[0].name: layer._told for layer in network._layers if layer._told}
        if told:
            settings["told"] = told
        _tell_progress(settings.get("progress_monitor"))
        log(INFO, "Applying generic optimizations to the graph for inference.")
        log(INFO, "Formats and tactics selection completed in 0.1 seconds.")
        if simulation.failure is not None:
            for severity, text in simulation.failure:
                log(severity, text)
            return None
        old = simulation.version.startswith("8.")
        unit = "" if old else " bytes"
        log(INFO, "Total Host Persistent Memory: 80" + unit)
        log(INFO, "Total Device Persistent Memory: 0" + unit)
        log(INFO, f"{'Total' if old else 'Max'} Scratch Memory: 1024{unit}")
        log(INFO, f"Total Activation Memory: {simulation.work_bytes}{unit}")
        if not old:
            log(INFO, "Total Weights Memory: 2048 bytes")
        tensors = [
            [t.name, t.shape, t.kind, mode]
            for mode, group in (("INPUT", network._in), ("OUTPUT", network._out))
            for t in group
        ]
        plan = {"version": simulation.version, "gpu": simulation.gpu, "name": network._name}
        return _Serialized(json.dumps({**plan, "tensors": tensors}).encode())


def _tell_progress(monitor: Any) -> None:
    if monitor is None:
        return
    monitor.phase_start("Building engine", None, 2)
    for step in range(2):
        if not monitor.step_complete("Building engine", step):
            break
    monitor.phase_finish("Building engine")
