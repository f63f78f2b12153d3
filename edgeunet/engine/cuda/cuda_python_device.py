"""The CUDA driver through cuda-python.

The module is ``cuda.bindings.driver``; before cuda-python 12.6 it was ``cuda.cuda``.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from edgeunet.engine.cuda.driver import (
    NON_BLOCKING,
    Block,
    DeviceFacts,
    DriverFailureError,
    HostBlock,
    StridedCopy,
    version_of,
)
from edgeunet.errors import EngineError
from edgeunet.specs import Array

# The newer name first.
MODULES = ("cuda.bindings.driver", "cuda.cuda")
_NAME_BYTES = 256
_PORTABLE, _DEVICEMAP = 1, 2


class CudaPythonDriver:
    """``Driver`` over cuda-python.

    Every function of the package returns (error, results...). ``_call`` raises
    DriverFailureError for an error and returns the results.
    """

    backend = "cuda-python"
    has_graphs = True

    def __init__(self) -> None:
        self._cuda: Any = _imported()

    def open(self, ordinal: int) -> DeviceFacts:
        cuda = self._cuda
        self._call("cuInit", 0)
        driver = self._call("cuDriverGetVersion")
        count = self._call("cuDeviceGetCount")
        if not 0 <= ordinal < count:
            raise DriverFailureError("cuDeviceGet", f"no device {ordinal}, there are {count}")
        device = self._call("cuDeviceGet", ordinal)
        known = cuda.CUdevice_attribute
        name = self._call("cuDeviceGetName", _NAME_BYTES, device)

        def attribute(which: Any) -> int:
            return int(self._call("cuDeviceGetAttribute", which, device))

        return DeviceFacts(
            ordinal=ordinal,
            name=bytes(name).split(b"\0")[0].decode(errors="replace"),
            compute_capability=(
                attribute(known.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
                attribute(known.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
            ),
            memory_bytes=int(self._call("cuDeviceTotalMem", device)),
            integrated=bool(attribute(known.CU_DEVICE_ATTRIBUTE_INTEGRATED)),
            maps_host_memory=bool(attribute(known.CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY)),
            driver=version_of(int(driver)),
        )

    def retain(self, ordinal: int) -> Any:
        return self._call("cuDevicePrimaryCtxRetain", self._call("cuDeviceGet", ordinal))

    def release(self, context: Any, ordinal: int) -> None:
        self._call("cuDevicePrimaryCtxRelease", self._call("cuDeviceGet", ordinal))

    def push(self, context: Any) -> None:
        self._call("cuCtxPushCurrent", context)

    def pop(self) -> None:
        self._call("cuCtxPopCurrent")

    def free_bytes(self) -> int:
        return int(self._call("cuMemGetInfo")[0])

    def allocate(self, size_bytes: int) -> Block:
        pointer = self._call("cuMemAlloc", size_bytes)
        return Block(int(pointer), size_bytes, pointer)

    def free(self, block: Block) -> None:
        self._call("cuMemFree", block.token)

    def allocate_host(self, size_bytes: int, *, mapped: bool) -> HostBlock:
        flags = _PORTABLE | (_DEVICEMAP if mapped else 0)
        pointer = int(self._call("cuMemHostAlloc", size_bytes, flags))
        content = (ctypes.c_uint8 * size_bytes).from_address(pointer)
        address = int(self._call("cuMemHostGetDevicePointer", pointer, 0)) if mapped else None
        return HostBlock(np.ctypeslib.as_array(content), address, pointer)

    def free_host(self, block: HostBlock) -> None:
        self._call("cuMemFreeHost", block.token)

    def copy_in(self, target: int, source: Array, stream: Any) -> None:
        self._call("cuMemcpyHtoDAsync", target, source.ctypes.data, source.nbytes, stream)

    def copy_out(self, target: Array, source: int, stream: Any) -> None:
        self._call("cuMemcpyDtoHAsync", target.ctypes.data, source, target.nbytes, stream)

    def bind_copy(self, copy: StridedCopy, stream: Any) -> Callable[[], None]:
        cuda = self._cuda
        if copy.contiguous:
            return self._bound(
                "cuMemcpyDtoDAsync", copy.target, copy.source, copy.width_bytes, stream
            )
        order = cuda.CUDA_MEMCPY3D()
        order.srcMemoryType = order.dstMemoryType = cuda.CUmemorytype.CU_MEMORYTYPE_DEVICE
        order.srcDevice, order.dstDevice = copy.source, copy.target
        order.srcPitch, order.srcHeight = copy.source_pitch_bytes, copy.source_rows
        order.dstPitch, order.dstHeight = copy.target_pitch_bytes, copy.target_rows
        order.WidthInBytes, order.Height, order.Depth = copy.width_bytes, copy.height, copy.depth
        return self._bound("cuMemcpy3DAsync", order, stream)

    def clear(self, address: int, size_bytes: int, stream: Any) -> None:
        self._call("cuMemsetD8Async", address, 0, size_bytes, stream)

    def make_stream(self) -> Any:
        return self._call("cuStreamCreate", NON_BLOCKING)

    def handle_of(self, stream: Any) -> int:
        return int(stream)

    def wait(self, stream: Any, event: Any) -> None:
        self._call("cuStreamWaitEvent", stream, event, 0)

    def synchronise(self, stream: Any) -> None:
        self._call("cuStreamSynchronize", stream)

    def drop_stream(self, stream: Any) -> None:
        self._call("cuStreamDestroy", stream)

    def make_event(self, *, timed: bool) -> Any:
        flags = self._cuda.CUevent_flags
        chosen = flags.CU_EVENT_DEFAULT if timed else flags.CU_EVENT_DISABLE_TIMING
        return self._call("cuEventCreate", int(chosen))

    def record(self, event: Any, stream: Any) -> None:
        self._call("cuEventRecord", event, stream)

    def elapsed_ms(self, start: Any, end: Any) -> float:
        return float(self._call("cuEventElapsedTime", start, end))

    def drop_event(self, event: Any) -> None:
        self._call("cuEventDestroy", event)

    def begin_capture(self, stream: Any) -> None:
        # CUDA calls of other threads, for example a camera's, must not end the capture.
        mode = self._cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._call("cuStreamBeginCapture", stream, mode)

    def end_capture(self, stream: Any) -> Any:
        graph = self._call("cuStreamEndCapture", stream)
        # Exists from CUDA 11.4 on. From CUDA 12 on the shorter name has the same signature.
        long_name = "cuGraphInstantiateWithFlags"
        try:
            name = long_name if hasattr(self._cuda, long_name) else "cuGraphInstantiate"
            return self._call(name, graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)

    def launch(self, graph: Any, stream: Any) -> None:
        self._call("cuGraphLaunch", graph, stream)

    def drop_graph(self, graph: Any) -> None:
        self._call("cuGraphExecDestroy", graph)

    def _bound(self, name: str, *arguments: Any) -> Callable[[], None]:
        function, success = getattr(self._cuda, name), self._cuda.CUresult.CUDA_SUCCESS

        def call() -> None:
            (code,) = function(*arguments)
            if code != success:
                raise self._failure(name, code)

        return call

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            code, *results = getattr(self._cuda, name)(*arguments)
        except RuntimeError as error:  # libcuda, or a function of it, is missing
            raise _no_driver(name, error) from error
        if code != self._cuda.CUresult.CUDA_SUCCESS:
            raise self._failure(name, code)
        return results[0] if len(results) == 1 else tuple(results)

    def _failure(self, call: str, code: Any) -> DriverFailureError:
        name = getattr(code, "name", str(code))
        _, text = self._cuda.cuGetErrorString(code)
        return DriverFailureError(call, f"{name}, {bytes(text or b'').decode(errors='replace')}")


def is_installed() -> bool:
    """Return whether cuda-python is installed, under either module name. Nothing is imported."""
    return any(_is_there(name) for name in MODULES)


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # the parent package is missing, or has no spec
        return False


def _imported() -> Any:
    # The names are spelled out for tests/house/test_owners.py.
    try:
        if _is_there(MODULES[0]):
            return importlib.import_module("cuda.bindings.driver")
        return importlib.import_module("cuda.cuda")
    except (ImportError, RuntimeError) as error:
        raise _no_driver("import", error) from error


def _no_driver(call: str, error: Exception) -> EngineError:
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return EngineError(
        f"CUDA's driver cannot be used ({call}: {text})",
        hint="install or update the GPU's driver; on a Jetson it comes with JetPack",
    )
