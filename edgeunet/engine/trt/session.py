"""Runs plans: one execution context per stage, in memory that the caller gives.

Contexts are made without memory of their own. The stages of a bundle run one after the other, so
they can share one block of the largest size. Plans take tensors by address and run on the caller's
stream. All functions here must be called with the device's context active.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgeunet.bundle.manifest import StageEntry
from edgeunet.engine.trt.provider import LogLines, Provider, TensorrtLogger, make_logger
from edgeunet.errors import EngineError
from edgeunet.specs import TensorSpec

ALIGNMENT_BYTES = 256
"""Every address that TensorRT is given must be a multiple of this."""

_NUMPY_NAMES = {
    "BOOL": "bool",
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
}


class PlanRuntime:
    """TensorRT's runtime in this process. It must live as long as its plans."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._logger: TensorrtLogger = make_logger(provider)
        self._native: Any = provider.module.Runtime(self._logger.native)
        if self._native is None:
            raise self._failed("TensorRT cannot start")

    @property
    def log(self) -> LogLines:
        return self._logger.log

    def load(self, stage: StageEntry, plan: bytes) -> LoadedPlan:
        """Load a plan that ``read_plan`` has accepted.

        Raises EngineError when TensorRT refuses it, or when its tensors are not the stage's.
        """
        self.log.clear()
        engine = self._native.deserialize_cuda_engine(plan)
        if engine is None:
            raise self._failed(f"TensorRT cannot load the plan of stage {stage.name!r}")
        return LoadedPlan(stage, engine, self)

    def close(self) -> None:
        self._native = None

    def _failed(self, what: str) -> EngineError:
        errors = self.log.errors
        said = f": {errors[0]}" if errors else ""
        return EngineError(
            f"{what}{said}", hint="build it again on this device: edgeunet build BUNDLE"
        )


class LoadedPlan:
    """The loaded plan of one stage.

    inputs, outputs: its tensors.
    work_bytes: size of the memory block that a run needs.
    """

    def __init__(self, stage: StageEntry, engine: Any, runtime: PlanRuntime) -> None:
        self.stage = stage.name
        self._engine = engine
        self._runtime = runtime
        self._context: Any = None
        self.inputs, self.outputs = self._tensors()
        self._check(stage)
        provider = runtime.provider
        # Both are in bytes. The older one is a 32-bit number on some versions.
        if provider.offers("ICudaEngine.device_memory_size_v2"):
            self.work_bytes = int(engine.device_memory_size_v2)
        else:
            self.work_bytes = int(engine.device_memory_size)

    def bind(
        self, addresses: Mapping[str, int], work_address: int, stream: int
    ) -> Callable[[], None]:
        """Return a call that puts one run on a stream.

        addresses: address of every input and output, by name.
        work_address: a block of ``work_bytes`` that nothing else uses during the run.
        stream: CUDA handle of the stream.
        All addresses must be multiples of ALIGNMENT_BYTES; otherwise EngineError is raised.
        """
        for name, address in (*addresses.items(), ("its block", work_address)):
            if address % ALIGNMENT_BYTES:
                raise EngineError(
                    f"stage {self.stage!r}: {name} does not start at a multiple of "
                    f"{ALIGNMENT_BYTES} bytes",
                    hint="this is a bug in edgeunet; report it with the bundle",
                )
        context = self._make_context()
        self._give_memory(context, work_address)
        for spec in (*self.inputs, *self.outputs):
            if not context.set_tensor_address(spec.name, addresses[spec.name]):
                raise self._failed(f"does not take an address for {spec.name!r}")
        self._context = context
        log = self._runtime.log

        def enqueue() -> None:
            # Read from self each time, so that ``close`` drops the only reference to it.
            if not self._context.execute_async_v3(stream):
                raise self._failed("cannot be run")
            # Warnings may come with every frame; the list would grow without end.
            if log.lines:
                log.clear()

        return enqueue

    def close(self) -> None:
        self._context = None
        self._engine = None

    def _make_context(self) -> Any:
        provider = self._runtime.provider
        if provider.has_user_managed_memory:
            strategy = provider.module.ExecutionContextAllocationStrategy.USER_MANAGED
            context = self._engine.create_execution_context(strategy)
        else:
            context = self._engine.create_execution_context_without_device_memory()
        if context is None:
            raise self._failed("cannot be made ready to run")
        return context

    def _give_memory(self, context: Any, address: int) -> None:
        if self._runtime.provider.has_sized_device_memory:
            context.set_device_memory(address, self.work_bytes)
        else:
            context.device_memory = address

    def _tensors(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        engine, modes = self._engine, self._runtime.provider.module.TensorIOMode
        inputs: list[TensorSpec] = []
        outputs: list[TensorSpec] = []
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            kind = engine.get_tensor_dtype(name).name
            dtype = _NUMPY_NAMES.get(kind, kind.lower())
            spec = TensorSpec(name, tuple(engine.get_tensor_shape(name)), dtype)
            (inputs if engine.get_tensor_mode(name) == modes.INPUT else outputs).append(spec)
        return tuple(inputs), tuple(outputs)

    def _check(self, stage: StageEntry) -> None:
        listed = {entry.spec() for entry in (*stage.inputs, *stage.outputs)}
        found = {*self.inputs, *self.outputs}
        if found != listed:
            differs = sorted(spec.name for spec in found ^ listed)[0]
            raise EngineError(
                f"the plan of stage {self.stage!r} has another {differs!r} than the bundle",
                hint="build it again on this device: edgeunet build BUNDLE",
            )

    def _failed(self, what: str) -> EngineError:
        errors = self._runtime.log.errors
        said = f": {errors[0]}" if errors else ""
        return EngineError(
            f"the plan of stage {self.stage!r} {what}{said}",
            hint="start again; if it recurs, build it again: edgeunet build BUNDLE",
        )
