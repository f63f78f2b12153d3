"""A ``tensorrt`` module as a version of it has it: any other attribute is an AttributeError.

It compiles nothing. A "plan" is JSON with the version and the tensors of the ONNX graph, so that
what is built can be "run": ``execute_async_v3`` calls ``Simulation.on_execute`` with the addresses
it was given. Everything that a real one refuses and that our code must not do is refused here too:
implicit batch, flags that contradict, memory of no size, contexts without memory.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from edgeunet.engine.trt.provider import Provider, provider_of
from tests.engine.tensorrt_versions import RTX, offered

_CODES = {1: "FLOAT", 2: "UINT8", 3: "INT8", 6: "INT32", 7: "INT64", 9: "BOOL", 10: "HALF"}
_SIZES = {"FLOAT": 4, "UINT8": 1, "INT8": 1, "INT32": 4, "INT64": 8, "BOOL": 1, "HALF": 2}

INTERNAL_ERROR, ERROR, WARNING, INFO = range(4)


@dataclass(frozen=True)
class Execution:
    """One ``execute_async_v3``: the plan's name, what it was given, and where."""

    plan: str
    addresses: dict[str, int]
    work_address: int
    stream: int


@dataclass
class Simulation:
    """What the simulated device has and does, and what it was asked for.

    failure: log lines of a build that fails. dla_cores: as many as ``num_DLA_cores`` says.
    gpu: in plans, with the version; a plan of another is not loaded. work_bytes: what every
    context needs. configs: every build's settings, as ``Class.attribute`` or pool -> value.
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


class _Guarded:
    """Only what the matrix lists for the version can be read or set."""

    _class = ""

    def __init__(self, simulation: Simulation) -> None:
        object.__setattr__(self, "_simulation", simulation)
        object.__setattr__(self, "_names", offered(simulation.version))

    def _check(self, name: str) -> None:
        qualified = f"{self._class}.{name}" if self._class else name
        if name.startswith("_") and name != "__version__":
            return
        if qualified not in object.__getattribute__(self, "_names"):
            simulation = object.__getattribute__(self, "_simulation")
            raise AttributeError(f"TensorRT {simulation.version} has no {qualified}")

    def __getattribute__(self, name: str) -> Any:
        if name in ("_check", "_class", "_simulation", "_names"):
            return object.__getattribute__(self, name)
        self._check(name)
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name)
        object.__setattr__(self, name, value)


class _Names(_Guarded):
    """An enumeration: only the members the version has."""

    def __init__(self, simulation: Simulation, name: str, members: tuple[str, ...]) -> None:
        object.__setattr__(self, "_class", name)
        super().__init__(simulation)
        for number, member in enumerate(members):
            object.__setattr__(self, member, _Member(name, number, member))

    def __dir__(self) -> list[str]:
        return [n.partition(".")[2] for n in self._names if n.startswith(f"{self._class}.")]


class _Member(int):
    """A member of an enumeration: a number with a name."""

    name: str

    def __new__(cls, owner: str, number: int, name: str) -> _Member:
        member = super().__new__(cls, number)
        member.name = name
        return member


class _Logger:
    def __init__(self) -> None: ...

    def log(self, severity: Any, message: str) -> None:
        raise NotImplementedError


class _ProgressMonitor:
    def __init__(self) -> None: ...


class _Module(_Guarded):
    ILogger = _Logger
    IProgressMonitor = _ProgressMonitor

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        rtx = simulation.version == RTX
        made: dict[str, Any] = {
            "__version__": "1.7.1.116" if rtx else simulation.version,
            "Builder": lambda logger: _Builder(simulation, logger),
            "OnnxParser": lambda network, logger: _Parser(simulation, network, logger),
            "Runtime": lambda logger: _Runtime(simulation, logger),
            "ComputeCapability": _Capabilities(),
            "DataType": _DataType,
        }
        for name, members in {
            "BuilderFlag": ("FP16", "INT8", "GPU_FALLBACK", "OBEY_PRECISION_CONSTRAINTS"),
            "DeviceType": ("GPU", "DLA"),
            "ExecutionContextAllocationStrategy": ("STATIC", "ON_PROFILE_CHANGE", "USER_MANAGED"),
            "MemoryPoolType": ("WORKSPACE", "TACTIC_DRAM"),
            "NetworkDefinitionCreationFlag": ("EXPLICIT_BATCH", "STRONGLY_TYPED"),
            "TensorIOMode": ("NONE", "INPUT", "OUTPUT"),
        }.items():
            made[name] = _Names(simulation, name, members)
        for name, value in made.items():
            object.__setattr__(self, name, value)


class _Capabilities:
    SM86, SM89 = 86, 89


class _DataType(enum.Enum):
    FLOAT, HALF, INT8, INT32, INT64, BOOL, UINT8 = range(7)


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    kind: str
    is_shape_tensor: bool = False

    @property
    def dtype(self) -> _DataType:
        return _DataType[self.kind]


class _Layer(_Guarded):
    """A node of the graph. A type for what is no float is refused, as it makes no sense."""

    _class = "ILayer"

    def __init__(
        self, simulation: Simulation, given: list[_Tensor | None], made: list[_Tensor]
    ) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_given", given)
        object.__setattr__(self, "_made", made)
        object.__setattr__(self, "_told", [])

    @property
    def num_inputs(self) -> int:
        return len(self._given)

    @property
    def num_outputs(self) -> int:
        return len(self._made)

    def get_input(self, index: int) -> _Tensor | None:
        return self._given[index]  # type: ignore[no-any-return]

    def get_output(self, index: int) -> _Tensor:
        return self._made[index]  # type: ignore[no-any-return]

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name)
        assert name == "precision"
        self._tell(value)

    def set_output_type(self, index: int, kind: _DataType) -> None:
        assert 0 <= index < self.num_outputs
        self._tell(kind)

    def _tell(self, kind: _DataType) -> None:
        for tensor in (*self._given, *self._made):
            assert tensor is None or tensor.dtype in (_DataType.FLOAT, _DataType.HALF), tensor
        self._told.append(kind.name)


class _Network(_Guarded):
    _class = "INetworkDefinition"

    def __init__(self, simulation: Simulation, flags: int) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_flags", flags)
        object.__setattr__(self, "_in", [])
        object.__setattr__(self, "_out", [])
        object.__setattr__(self, "_layers", [])
        object.__setattr__(self, "_name", "")

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    def get_layer(self, index: int) -> _Layer:
        return self._layers[index]  # type: ignore[no-any-return]

    @property
    def num_inputs(self) -> int:
        return len(self._in)

    @property
    def num_outputs(self) -> int:
        return len(self._out)

    def get_input(self, index: int) -> _Tensor:
        return self._in[index]  # type: ignore[no-any-return]

    def get_output(self, index: int) -> _Tensor:
        return self._out[index]  # type: ignore[no-any-return]


class _ParserError(_Guarded):
    _class = "ParserError"

    def __init__(self, simulation: Simulation, index: int, node: onnx.NodeProto) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_found", (index, node))

    def desc(self) -> str:
        return f"No importer registered for op: {self._found[1].op_type}"

    def node(self) -> int:
        return int(self._found[0])

    def node_name(self) -> str:
        return str(self._found[1].name)

    def node_operator(self) -> str:
        return str(self._found[1].op_type)


class _Parser(_Guarded):
    _class = "OnnxParser"

    def __init__(self, simulation: Simulation, network: _Network, logger: _Logger) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_network", network)
        object.__setattr__(self, "_errors", [])

    def parse_from_file(self, path: str) -> bool:
        simulation = self._simulation
        if simulation.version == "8.6.2":
            assert self._network._flags & 1, "8.x needs EXPLICIT_BATCH"
        try:
            model = onnx.load(path)
        except Exception:
            return True  # as the real one: nothing is found, and no error
        graph = model.graph
        for index, node in enumerate(graph.node):
            if node.op_type.startswith("NoSuch"):
                self._errors.append(_ParserError(simulation, index, node))
        self._network._in.extend(map(_tensor, graph.input))
        self._network._out.extend(map(_tensor, graph.output))
        object.__setattr__(self._network, "_name", Path(path).stem)
        if not self._errors:
            self._network._layers.extend(_layers(simulation, model))
        return not self._errors

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> _ParserError:
        return self._errors[index]  # type: ignore[no-any-return]


def _layers(simulation: Simulation, model: onnx.ModelProto) -> Iterator[_Layer]:
    """Yield a layer for every constant and every node; a convolution holds its own weights."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    named = (*graph.input, *graph.output, *graph.value_info)
    known = {value.name: _tensor(value) for value in named}
    for constant in graph.initializer:
        shape = tuple(constant.dims)
        known[constant.name] = _Tensor(constant.name, shape, _CODES[constant.data_type])
        yield _Layer(simulation, [], [known[constant.name]])
    for node in graph.node:
        names = node.input[:1] if node.op_type in ("Conv", "ConvTranspose") else node.input
        given = [known[name] if name else None for name in names]
        yield _Layer(simulation, given, [known[name] for name in node.output])


def _tensor(value: onnx.ValueInfoProto) -> _Tensor:
    kind = value.type.tensor_type
    return _Tensor(value.name, tuple(d.dim_value for d in kind.shape.dim), _CODES[kind.elem_type])


class _Serialized:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.nbytes = len(data)

    def __bytes__(self) -> bytes:
        return self._data


class _TimingCache(_Guarded):
    _class = "ITimingCache"

    def __init__(self, simulation: Simulation, data: bytes) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_data", data)

    def serialize(self) -> bytes:
        return self._data + b"|timed" if self._data else self._mark()

    def _mark(self) -> bytes:
        return f"timings of {self._simulation.version}".encode()


class _Config(_Guarded):
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


class _Builder(_Guarded):
    _class = "Builder"

    def __init__(self, simulation: Simulation, logger: _Logger) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_logger", logger)

    @property
    def num_DLA_cores(self) -> int:  # noqa: N802
        return self._simulation.dla_cores  # type: ignore[no-any-return]

    def create_network(self, flags: int) -> _Network:
        return _Network(self._simulation, flags)

    def create_builder_config(self) -> _Config:
        return _Config(self._simulation)

    def build_serialized_network(self, network: _Network, config: _Config) -> _Serialized | None:
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


class _Runtime(_Guarded):
    _class = "Runtime"

    def __init__(self, simulation: Simulation, logger: _Logger) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_logger", logger)

    def deserialize_cuda_engine(self, data: bytes) -> _Engine | None:
        simulation = self._simulation
        try:
            plan = json.loads(bytes(data))
        except ValueError:
            self._logger.log(ERROR, "Serialization assertion magicTagRead == kMAGIC_TAG failed.")
            return None
        if (plan["version"], plan["gpu"]) != (simulation.version, simulation.gpu):
            self._logger.log(ERROR, "Version tag does not match.")
            return None
        return _Engine(simulation, plan)


class _Engine(_Guarded):
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

    def get_tensor_dtype(self, name: str) -> _DataType:
        return _DataType[self._tensors[name][2]]

    def get_tensor_mode(self, name: str) -> Any:
        return getattr(self._simulation.module.TensorIOMode, self._tensors[name][3])

    @property
    def device_memory_size(self) -> int:
        return self._simulation.work_bytes  # type: ignore[no-any-return]

    @property
    def device_memory_size_v2(self) -> int:
        return self._simulation.work_bytes  # type: ignore[no-any-return]

    def create_execution_context(self, strategy: Any = None) -> _Context:
        own = strategy is None or strategy.name != "USER_MANAGED"
        return _Context(self._simulation, self, own_memory=own)

    def create_execution_context_without_device_memory(self) -> _Context:
        return _Context(self._simulation, self, own_memory=False)


class _Context(_Guarded):
    _class = "IExecutionContext"

    def __init__(self, simulation: Simulation, engine: _Engine, *, own_memory: bool) -> None:
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


def size_of(plan: bytes, name: str) -> int:
    """Return the bytes of one of a simulated plan's tensors."""
    shapes = {t[0]: (t[1], t[2]) for t in json.loads(plan)["tensors"]}
    shape, kind = shapes[name]
    return int(math.prod(shape) * _SIZES[kind])
