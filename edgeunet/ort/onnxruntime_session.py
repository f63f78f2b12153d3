"""ONNX Runtime on the CPU. Inputs and outputs stay where they are: nothing is copied per run.

Memory settings (peak above the loaded model, FP32, onnxruntime 1.31.1, two x86 cores, the highest
of five runs; the time per run does not differ beyond noise):

    ``unetmm`` of width 16 at 432x768, the plain graph:
    arena, pattern, reuse (the library's defaults)   144 MiB first run, 247 MiB from the second
    arena, no pattern, reuse                         144 MiB
    arena, no pattern, no reuse                      138 MiB

    whole frames, laid out, no pattern, no reuse:    regions that double   one region
    ``unetmm`` of width 16 at 720x1280               181 MiB               156 MiB
    ``unetmm-naf`` of width 16 at 480x640            175 MiB               107 MiB
    ``nafnet`` of width 16 at 256x384                 96 MiB                67 MiB

The memory pattern keeps a second copy of the peak. Without the arena runs are slower (page faults).
Regions that double leave more unused between them, and each costs a 32nd of itself for bookkeeping.

All stages of a bundle share one arena: they run one after the other, so that together they take
what the largest takes, not the sum; see ``onnxruntime_arenas.py``. Threads are each session's own:
once a process has a shared pool of threads, onnxruntime 1.31 refuses every session that does not
use it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import onnxruntime

from edgeunet.errors import EdgeUnetError, EngineError, UsageError
from edgeunet.ort.graph_loading import load
from edgeunet.ort.onnxruntime_arenas import arena_for
from edgeunet.processors import this_processor, usable_cores
from edgeunet.specs import Array, Engine, Pool, TensorSpec

_LOG_ERRORS_ONLY = 3

# Every thread takes a stack and a place in every barrier; onnxruntime itself asks no questions.
_MOST_THREADS = 64

_M_MMAP_THRESHOLD = -3
_MMAP_THRESHOLD_BYTES = 128 << 10

SPINNING = "EDGEUNET_SPINNING"
"""The variable that, set to ``on``, lets threads wait for work by spinning, as is the library's
default; ``benchmarks/spinning.py`` says what it costs."""

# In onnxruntime since 1.13. Weights beyond -64..63 become unsigned, for kernels that sum exactly.
_EXACT_INTEGER_SUMS = "session.x64quantprecision"

DISABLED_OPTIMIZERS = (
    # It would keep the float frame for the whole run, because its end reads it again.
    "CommonSubexpressionElimination",
    # It would quantize what is kept in floats, with one scale for all weights.
    "WeightBiasQuantization",
)
_DTYPES = {
    "tensor(bool)": "bool",
    "tensor(double)": "float64",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
}


class OnnxRuntimeSession:
    """One graph on the CPU. Every shape is fixed; outputs live in buffers made once.

    outputs: the caller's contiguous arrays to write results into, by name; the session makes
    the others, and ``write_to`` exchanges them. pool: what is set aside for activations; sessions
    that are given the same ``Pool`` share one arena. on_note: is told when there is no arena of
    that size to be had.
    """

    engine = Engine.ONNXRUNTIME

    def __init__(
        self,
        graph: Path,
        *,
        threads: int | None = None,
        outputs: Mapping[str, Array] | None = None,
        pool: Pool | None = None,
        on_note: Callable[[str], None] | None = None,
        integer_kernels: bool = True,
    ) -> None:
        self._name = graph.name
        options = _options(threads)
        if not integer_kernels:
            # Quantizers, dequantizers and what is between them run one by one, as they stand.
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        with arena_for(pool) as note:
            self._session = _load(graph, options)
        if note is not None and on_note is not None:
            on_note(note)
        self.inputs = tuple(self._spec(node) for node in self._session.get_inputs())
        self.outputs = tuple(self._spec(node) for node in self._session.get_outputs())
        self._binding = self._session.io_binding()
        given = outputs or {}
        self._buffers = {
            spec.name: given[spec.name] if spec.name in given else spec.empty()
            for spec in self.outputs
        }
        for name, buffer in self._buffers.items():
            self.write_to(name, buffer)

    def write_to(self, name: str, array: Array) -> None:
        spec = next(spec for spec in self.outputs if spec.name == name)
        self._check_array(spec, array)
        self._buffers[name] = array
        self._binding.bind_output(name, "cpu", 0, array.dtype.type, spec.shape, array.ctypes.data)

    def run(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run once. The arrays returned are the session's own: the next run overwrites them.

        Raises EngineError when the feeds are not the graph's inputs.
        """
        if self._binding is None:
            raise EngineError(f"{self._name} is closed", hint="open another session")
        self._check(feeds)
        for spec in self.inputs:
            array = feeds[spec.name]
            # The pointer stays good for the run: the caller's mapping holds the array.
            self._binding.bind_input(
                spec.name, "cpu", 0, array.dtype.type, spec.shape, array.ctypes.data
            )
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            raise EngineError(
                f"onnxruntime failed to run {self._name}: {_reason(error)}",
                hint="close other programs if memory is short, or export at a smaller --size",
            ) from error
        return self._buffers

    def close(self) -> None:
        self._binding = None
        self._session = None

    def __enter__(self) -> OnnxRuntimeSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _spec(self, node: onnxruntime.NodeArg) -> TensorSpec:
        shape = tuple(node.shape)
        if not all(isinstance(length, int) for length in shape):
            raise EngineError(
                f"{self._name}: {node.name!r} has no fixed shape {_shown(shape)}",
                hint="export the graph for one frame size",
            )
        if node.type not in _DTYPES:
            raise EngineError(
                f"{self._name}: {node.name!r} is a {node.type}, which numpy cannot hold",
                hint="give the graph's inputs and outputs a type numpy has",
            )
        return TensorSpec(node.name, shape, _DTYPES[node.type])

    def _check(self, feeds: Mapping[str, Array]) -> None:
        wanted = {spec.name for spec in self.inputs}
        if wanted != set(feeds):
            raise EngineError(
                f"{self._name} was given {_shown(sorted(feeds))}",
                hint=f"its inputs are {_shown(sorted(wanted))}",
            )
        for spec in self.inputs:
            self._check_array(spec, feeds[spec.name])

    def _check_array(self, spec: TensorSpec, array: Array) -> None:
        if array.shape != spec.shape or array.dtype != spec.dtype:
            raise EngineError(
                f"{self._name}: {spec.name!r} was given as {_shown(array.shape)} {array.dtype}",
                hint=f"it takes {_shown(spec.shape)} {spec.dtype}",
            )
        if not array.flags.c_contiguous:
            raise EngineError(
                f"{self._name}: {spec.name!r} is not contiguous in memory",
                hint="pass it through numpy.ascontiguousarray first",
            )


def _options(threads: int | None) -> onnxruntime.SessionOptions:
    if threads is not None and threads < 1:
        raise UsageError(
            f"{threads} is not a number of threads", hint="use 1 or more, or leave it out"
        )
    cores = usable_cores()
    if threads is not None and threads > max(_MOST_THREADS, cores):
        raise UsageError(
            f"{threads} threads are far more than this machine's {cores} cores",
            hint=f"use {cores}, or leave it out",
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _LOG_ERRORS_ONLY
    options.intra_op_num_threads = threads or cores
    if os.environ.get(SPINNING) == "on":
        # Else one stage's threads spin while the next one's work.
        options.add_session_config_entry("session.force_spinning_stop", "1")
    else:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Weights stay out of the arena: what it holds is then for activations alone.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    # Not everywhere: with it, a processor with VNNI gives its fast and exact kernels up as well.
    if this_processor().sums_saturate:
        options.add_session_config_entry(_EXACT_INTEGER_SUMS, "1")
    _quiet_heap()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.enable_cpu_mem_arena = True
    options.enable_mem_pattern = False
    options.enable_mem_reuse = False
    return options


@functools.cache
def _quiet_heap() -> None:
    """Else glibc keeps ever larger blocks that were freed, and regions lie anywhere."""
    with contextlib.suppress(OSError, AttributeError):  # a C library other than glibc
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)


def _load(graph: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    if not graph.is_file():
        raise EngineError(f"there is no graph {str(graph)!r}", hint="check the path")
    try:
        return load(graph, options, DISABLED_OPTIMIZERS)
    except EdgeUnetError:
        raise
    except Exception as error:  # onnxruntime's exceptions have no base class of their own
        raise EngineError(
            f"onnxruntime cannot load {graph.name}: {_reason(error)}",
            hint="export it again, or update onnxruntime if the file comes from a newer version",
        ) from error


def _reason(error: Exception) -> str:
    """Return the message without onnxruntime's status prefix, at most one line long."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rpartition(" : ")[2].strip()[:200]


def _shown(items: object) -> str:
    return str(tuple(items)) if isinstance(items, (list, tuple)) else str(items)
