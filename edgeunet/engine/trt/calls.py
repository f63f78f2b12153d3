"""Every attribute of TensorRT that this package uses, and the versions that have it.

Supported are TensorRT 8.6 to 11 and TensorRT for RTX. An attribute in ``VARYING`` may only be used
after ``Provider.offers`` was asked for it. tests/engine/test_calls.py checks that in the sources,
and compares both tables with NVIDIA's bindings.
"""

from __future__ import annotations

from dataclasses import dataclass

OLDEST = (8, 6)


@dataclass(frozen=True)
class Span:
    """The versions of TensorRT that have an attribute: ``[since, until)``.

    since: first version that has it; None when only TensorRT for RTX has it.
    until: first version without it; None when the newest still has it.
    rtx: TensorRT for RTX has it.
    """

    since: tuple[int, ...] | None = OLDEST
    until: tuple[int, ...] | None = None
    rtx: bool = True

    def covers(self, version: tuple[int, ...], *, rtx: bool) -> bool:
        """Return whether a version has the attribute. version: numbers, such as (10, 3)."""
        if rtx:
            return self.rtx
        if self.since is None or version < self.since:
            return False
        return self.until is None or version < self.until


# Class -> attributes that every supported version has.
ALWAYS: dict[str, tuple[str, ...]] = {
    "": (
        "Builder",
        "BuilderFlag",
        "DataType",
        "DeviceType",
        "ILogger",
        "MemoryPoolType",
        "NetworkDefinitionCreationFlag",
        "OnnxParser",
        "Runtime",
        "TensorIOMode",
        "__version__",
    ),
    "Builder": (
        "build_serialized_network",
        "create_builder_config",
        "create_network",
        "num_DLA_cores",
    ),
    "BuilderFlag": ("GPU_FALLBACK",),
    "DataType": ("FLOAT", "HALF"),
    "DeviceType": ("DLA",),
    "IBuilderConfig": (
        "DLA_core",
        "builder_optimization_level",
        "create_timing_cache",
        "default_device_type",
        "get_timing_cache",
        "max_aux_streams",
        "set_flag",
        "set_memory_pool_limit",
        "set_timing_cache",
    ),
    "ICudaEngine": (
        "create_execution_context",
        "get_tensor_dtype",
        "get_tensor_mode",
        "get_tensor_name",
        "get_tensor_shape",
        "num_io_tensors",
    ),
    "IExecutionContext": (
        "device_memory",
        "execute_async_v3",
        "set_tensor_address",
    ),
    "ILayer": ("get_input", "get_output", "num_inputs", "num_outputs"),
    "INetworkDefinition": (
        "get_input",
        "get_layer",
        "get_output",
        "num_inputs",
        "num_layers",
        "num_outputs",
    ),
    "ITimingCache": ("serialize",),
    "MemoryPoolType": ("TACTIC_DRAM", "WORKSPACE"),
    "OnnxParser": ("get_error", "num_errors", "parse_from_file"),
    "ITensor": ("dtype", "is_shape_tensor", "name", "shape"),
    "ParserError": ("desc", "node"),
    "Runtime": ("deserialize_cuda_engine",),
    "TensorIOMode": ("INPUT", "OUTPUT"),
}

# Class.attribute -> the versions that have it, for attributes that some versions lack.
VARYING: dict[str, Span] = {
    "BuilderFlag.FP16": Span(until=(11, 0), rtx=False),
    "BuilderFlag.INT8": Span(until=(11, 0), rtx=False),
    "BuilderFlag.OBEY_PRECISION_CONSTRAINTS": Span(until=(11, 0), rtx=False),
    "ComputeCapability": Span(since=None),
    "ExecutionContextAllocationStrategy": Span(since=(10, 0)),
    "ExecutionContextAllocationStrategy.USER_MANAGED": Span(since=(10, 0)),
    "IBuilderConfig.num_compute_capabilities": Span(since=None),
    "IBuilderConfig.progress_monitor": Span(since=(10, 0)),
    "IBuilderConfig.set_compute_capability": Span(since=None),
    "ICudaEngine.create_execution_context_without_device_memory": Span(until=(11, 0), rtx=False),
    "ICudaEngine.device_memory_size": Span(until=(11, 0), rtx=False),
    "ICudaEngine.device_memory_size_v2": Span(since=(10, 1)),
    "IExecutionContext.set_device_memory": Span(since=(10, 1)),
    "ILayer.precision": Span(until=(11, 0), rtx=False),
    "ILayer.set_output_type": Span(until=(11, 0), rtx=False),
    "IProgressMonitor": Span(since=(10, 0)),
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH": Span(until=(11, 0), rtx=False),
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED": Span(since=(10, 0)),
    "ParserError.node_name": Span(since=(10, 0)),
    "ParserError.node_operator": Span(since=(10, 0)),
}
