"""Runtime of a simulated TensorRT: it loads plans, takes addresses, and "runs" the plans."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.engine.simulated_attributes import ERROR, Guarded
from tests.engine.simulated_network import DataType

if TYPE_CHECKING:
    from tests.engine.simulated_tensorrt import Simulation


@dataclass(frozen=True)
class Execution:
    """One ``execute_async_v3``: the plan's name, and the addresses it was given."""

    plan: str
    addresses: dict[str, int]
    work_address: int
    stream: int


class Runtime(Guarded):
    _class = "Runtime"

    def __init__(self, simulation: Simulation, logger: Any) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_logger", logger)

    def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
        simulation = self._simulation
        try:
            plan = json.loads(bytes(data))
        except ValueError:
            self._logger.log(ERROR, "Serialization assertion magicTagRead == kMAGIC_TAG failed.")
            return None
        if (plan["version"], plan["gpu"]) != (simulation.version, simulation.gpu):
            self._logger.log(ERROR, "Version tag does not match.")
            return None
        return Engine(simulation, plan)


class Engine(Guarded):
    _class = "ICudaEngine"

    def __init__(self, simulation: Simulation, plan: dict[str, Any]) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_plan", plan)
        object.__setattr__(self, "_tensors", {t[0]: t for t in plan["tensors"]})

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        return str(self._plan["tensors"][index][0])

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._tensors[name][1])

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType[self._tensors[name][2]]

    def get_tensor_mode(self, name: str) -> Any:
        return getattr(self._simulation.module.TensorIOMode, self._tensors[name][3])

    @property
    def device_memory_size(self) -> int:
        return self._simulation.work_bytes  # type: ignore[no-any-return]

    @property
    def device_memory_size_v2(self) -> int:
        return self._simulation.work_bytes  # type: ignore[no-any-return]

    def create_execution_context(self, strategy: Any = None) -> Context:
        own = strategy is None or strategy.name != "USER_MANAGED"
        return Context(self._simulation, self, own_memory=own)

    def create_execution_context_without_device_memory(self) -> Context:
        return Context(self._simulation, self, own_memory=False)


class Context(Guarded):
    _class = "IExecutionContext"

    def __init__(self, simulation: Simulation, engine: Engine, *, own_memory: bool) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_engine", engine)
        object.__setattr__(self, "_addresses", {})
        object.__setattr__(self, "_work", -1 if own_memory else 0)

    def set_tensor_address(self, name: str, address: int) -> bool:
        if name not in self._engine._tensors or address <= 0:
            return False
        self._addresses[name] = address
        return True

    def set_device_memory(self, address: int, size_bytes: int) -> None:
        assert size_bytes >= self._simulation.work_bytes, "too small a block"
        object.__setattr__(self, "_work", address)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "device_memory":
            object.__setattr__(self, "_work", value)

    def execute_async_v3(self, stream: int) -> bool:
        if self._work == 0 or set(self._addresses) != set(self._engine._tensors):
            return False
        if self._simulation.on_execute is not None:
            name = self._engine._plan["name"]
            work = max(self._work, 0)
            self._simulation.on_execute(Execution(name, dict(self._addresses), work, stream))
        return True
