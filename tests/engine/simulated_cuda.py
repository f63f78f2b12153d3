"""The parts of pycuda and cuda-python that are used, on a simulated GPU.

They have only what the packages document: an attribute that is missing here must not be used.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.engine.simulated_gpu import CudaFailureError, Event, Gpu, Graph, Memory, Stream

Layout = str
LAYOUTS = ("pycuda", "cuda.bindings", "cuda.cuda")


def install(monkeypatch: pytest.MonkeyPatch, gpu: Gpu, layout: Layout) -> None:
    """Make one package importable and hide the other."""
    gone = ("pycuda", "pycuda.driver", "cuda", "cuda.cuda", "cuda.bindings", "cuda.bindings.driver")
    for name in gone:
        monkeypatch.setitem(sys.modules, name, None)
    if layout == "pycuda":
        parts = {"pycuda": ModuleType("pycuda"), "pycuda.driver": pycuda_driver(gpu)}
    elif layout == "cuda.bindings":
        parts = {
            "cuda": ModuleType("cuda"),
            "cuda.bindings": ModuleType("cuda.bindings"),
            "cuda.bindings.driver": cuda_python(gpu, old=False),
        }
    else:
        parts = {"cuda": ModuleType("cuda"), "cuda.cuda": cuda_python(gpu, old=True)}
    for name, module in parts.items():
        module.__path__ = []
        module.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)


def pycuda_driver(gpu: Gpu) -> ModuleType:
    module: Any = ModuleType("pycuda.driver")

    class Error(Exception):
        """The base of all."""

    class LogicError(Error): ...

    class MemoryError(Error): ...

    def told(call: str, work: Callable[[], Any], *, context: bool = True) -> Any:
        try:
            gpu.enter(call) if context else gpu.called(call)
            return work()
        except CudaFailureError as failure:
            kind = MemoryError if "OUT_OF_MEMORY" in failure.name else LogicError
            raise kind(f"{call} failed: {failure.text}") from None

    class device_attribute:  # noqa: N801
        INTEGRATED = "integrated"
        CAN_MAP_HOST_MEMORY = "maps"

    class host_alloc_flags:  # noqa: N801
        PORTABLE = 1
        DEVICEMAP = 2

    class event_flags:  # noqa: N801
        DEFAULT = 0
        DISABLE_TIMING = 2

    class PrimaryContext:
        def push(self) -> None:
            told("cuCtxPushCurrent", gpu.push, context=False)

        def detach(self) -> None:
            if not gpu.retained:
                raise LogicError("context detached twice")
            gpu.retained -= 1

    class Context:
        @staticmethod
        def pop() -> None:
            told("cuCtxPopCurrent", gpu.pop, context=False)

    class Device:
        @staticmethod
        def count() -> int:
            return gpu.devices

        def __init__(self, ordinal: int) -> None:
            assert 0 <= ordinal < gpu.devices

        def name(self) -> str:
            return gpu.name

        def compute_capability(self) -> tuple[int, int]:
            return gpu.compute_capability

        def total_memory(self) -> int:
            return gpu.memory_bytes

        def get_attribute(self, which: str) -> int:
            return int({"integrated": gpu.integrated, "maps": gpu.maps}[which])

        def retain_primary_context(self) -> PrimaryContext:
            gpu.called("cuDevicePrimaryCtxRetain")
            gpu.retained += 1
            return PrimaryContext()

    class DeviceAllocation:
        def __init__(self, memory: Memory) -> None:
            self._memory = memory

        def __int__(self) -> int:
            return self._memory.address

        def free(self) -> None:
            told("cuMemFree", lambda: gpu.free(self._memory.address, "device"))

    class HostAllocation:
        def __init__(self, memory: Memory) -> None:
            self._memory = memory

        @property
        def __array_interface__(self) -> dict[str, Any]:
            return {
                "data": (self._memory.address, False),
                "shape": (self._memory.size_bytes,),
                "typestr": "|u1",
                "version": 3,
            }

        def get_device_pointer(self) -> int:
            assert self._memory.mapped
            return self._memory.address

        def free(self) -> None:
            told("cuMemFreeHost", lambda: gpu.free(self._memory.address, "host"))

    def pagelocked_empty(shape: tuple[int], dtype: str, *, mem_flags: int = 0) -> Any:
        assert dtype == "uint8"
        (size_bytes,) = shape
        memory = told(
            "cuMemHostAlloc", lambda: gpu.allocate(size_bytes, "host", mapped=bool(mem_flags & 2))
        )
        # The array's base is then the allocation, as in pycuda.
        return np.asarray(HostAllocation(memory))

    class PycudaStream:
        def __init__(self, flags: int = 0) -> None:
            self.of: Stream = told("cuStreamCreate", gpu.make_stream)

        @property
        def handle(self) -> int:
            return self.of.handle

        def synchronize(self) -> None:
            told("cuStreamSynchronize", lambda: gpu.synchronise(self.of))

        def wait_for_event(self, event: PycudaEvent) -> None:
            told("cuStreamWaitEvent", lambda: gpu.wait(self.of, event.of))

        def __del__(self) -> None:
            gpu.drop_stream(self.of)

    class PycudaEvent:
        def __init__(self, flags: int = 0) -> None:
            self.of = Event()
            gpu.events.append(self.of)

        def record(self, stream: PycudaStream) -> None:
            told("cuEventRecord", lambda: gpu.record(self.of, stream.of))

        def time_since(self, other: PycudaEvent) -> float:
            return float(self.of.done - other.of.done)

        def __del__(self) -> None:
            gpu.drop_event(self.of)

    class Memcpy3D:
        """Fields that CUDA ignores unless set are zero."""

        src_pitch = src_height = dst_pitch = dst_height = 0
        width_in_bytes = height = depth = 0

        def set_src_device(self, address: int) -> None:
            self._source = address

        def set_dst_device(self, address: int) -> None:
            self._target = address

        def __call__(self, stream: PycudaStream) -> None:
            size = (self.width_in_bytes, self.height, self.depth)
            source = (self._source, self.src_pitch, self.src_height)
            target = (self._target, self.dst_pitch, self.dst_height)
            told("cuMemcpy3DAsync", lambda: gpu.copy_box(source, target, size, stream.of))

    module.Error, module.LogicError, module.MemoryError = Error, LogicError, MemoryError
    module.init = lambda: told("cuInit", lambda: None, context=False)
    module.get_driver_version = lambda: gpu.driver
    module.Device, module.Context = Device, Context
    module.device_attribute = device_attribute
    module.host_alloc_flags, module.event_flags = host_alloc_flags, event_flags
    module.mem_get_info = lambda: told("cuMemGetInfo", gpu.free_and_total)
    module.mem_alloc = lambda size: DeviceAllocation(
        told("cuMemAlloc", lambda: gpu.allocate(size, "device"))
    )
    module.pagelocked_empty = pagelocked_empty
    module.Stream, module.Event, module.Memcpy3D = PycudaStream, PycudaEvent, Memcpy3D
    module.memcpy_htod_async = lambda dest, src, stream=None: told(
        "cuMemcpyHtoDAsync",
        lambda: gpu.copy(src.ctypes.data, dest, src.nbytes, stream.of, kinds="hd"),
    )
    module.memcpy_dtoh_async = lambda dest, src, stream=None: told(
        "cuMemcpyDtoHAsync",
        lambda: gpu.copy(src, dest.ctypes.data, dest.nbytes, stream.of, kinds="dh"),
    )
    module.memcpy_dtod_async = lambda dest, src, size, stream=None: told(
        "cuMemcpyDtoDAsync", lambda: gpu.copy(src, dest, size, stream.of, kinds="dd")
    )
    module.memset_d8_async = lambda dest, data, size, stream=None: told(
        "cuMemsetD8Async", lambda: gpu.clear(dest, data, size, stream.of)
    )
    return module  # type: ignore[no-any-return]


def cuda_python(gpu: Gpu, *, old: bool) -> ModuleType:
    """Every function answers (error, results...). old: of CUDA 12.x and before."""
    module: Any = ModuleType("cuda.cuda" if old else "cuda.bindings.driver")

    class CUresult(enum.IntEnum):
        CUDA_SUCCESS = 0
        CUDA_ERROR_INVALID_VALUE = 1
        CUDA_ERROR_OUT_OF_MEMORY = 2
        CUDA_ERROR_NO_DEVICE = 100
        CUDA_ERROR_INVALID_CONTEXT = 201
        CUDA_ERROR_ILLEGAL_STATE = 401
        CUDA_ERROR_ILLEGAL_ADDRESS = 700
        CUDA_ERROR_CONTEXT_IS_DESTROYED = 709
        CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803
        CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900
        CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901

    class CUdevice_attribute(enum.IntEnum):  # noqa: N801
        CU_DEVICE_ATTRIBUTE_INTEGRATED = 18
        CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY = 19
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76

    class CUmemorytype(enum.IntEnum):
        CU_MEMORYTYPE_HOST = 1
        CU_MEMORYTYPE_DEVICE = 2

    class CUstreamCaptureMode(enum.IntEnum):
        CU_STREAM_CAPTURE_MODE_GLOBAL = 0
        CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1

    class CUevent_flags(enum.IntEnum):  # noqa: N801
        CU_EVENT_DEFAULT = 0
        CU_EVENT_DISABLE_TIMING = 2

    class CUDA_MEMCPY3D:  # noqa: N801
        srcMemoryType = dstMemoryType = CUmemorytype.CU_MEMORYTYPE_HOST  # noqa: N815
        srcDevice = dstDevice = srcPitch = srcHeight = dstPitch = dstHeight = 0  # noqa: N815
        WidthInBytes = Height = Depth = 0

    texts: dict[int, str] = {}

    def call(name: str, work: Callable[..., Any], *, context: bool = True) -> None:
        def function(*arguments: Any) -> tuple[Any, ...]:
            try:
                gpu.enter(name) if context else gpu.called(name)
                result = work(*arguments)
            except CudaFailureError as failure:
                code = CUresult[failure.name]
                texts[code] = failure.text
                return (code, None) if result_of.get(name) else (code,)
            if not result_of.get(name):
                return (CUresult.CUDA_SUCCESS,)
            return (CUresult.CUDA_SUCCESS, *(result if isinstance(result, tuple) else (result,)))

        setattr(module, name, function)

    attributes = {18: gpu.integrated, 19: gpu.maps, 75: gpu.compute_capability[0]}
    attributes[76] = gpu.compute_capability[1]
    gives = (
        "cuDriverGetVersion cuDeviceGetCount cuDeviceGet cuDeviceGetName cuDeviceGetAttribute "
        "cuDeviceTotalMem cuDevicePrimaryCtxRetain cuCtxPopCurrent cuMemGetInfo cuMemAlloc "
        "cuMemHostAlloc cuMemHostGetDevicePointer cuStreamCreate cuEventCreate "
        "cuEventElapsedTime cuStreamEndCapture cuGraphInstantiate cuGraphInstantiateWithFlags"
    )
    result_of = dict.fromkeys(gives.split(), True)

    def retain(device: int) -> str:
        gpu.retained += 1
        return "primary"

    def pop() -> str:
        gpu.pop()
        return "primary"

    def release(device: int) -> None:
        gpu.retained -= 1

    def end_event() -> Event:
        event = Event()
        gpu.events.append(event)
        return event

    def copy_box(order: Any, stream: CUstream) -> None:
        assert order.srcMemoryType == order.dstMemoryType == CUmemorytype.CU_MEMORYTYPE_DEVICE
        gpu.copy_box(
            (order.srcDevice, order.srcPitch, order.srcHeight),
            (order.dstDevice, order.dstPitch, order.dstHeight),
            (order.WidthInBytes, order.Height, order.Depth),
            stream.of,
        )

    class CUstream:
        """A stream. Its ``int`` is the handle that TensorRT takes."""

        def __init__(self, of: Stream) -> None:
            self.of = of

        def __int__(self) -> int:
            return self.of.handle

    def memory_at(kind: str) -> Callable[..., int]:
        def allocate(size_bytes: int, flags: int = 0) -> int:
            return gpu.allocate(size_bytes, kind, mapped=bool(flags & 2)).address

        return allocate

    def drop_graph(graph: Graph) -> None:
        graph.alive = False

    no_context: dict[str, Callable[..., Any]] = {
        "cuInit": lambda flags: None,
        "cuDriverGetVersion": lambda: gpu.driver,
        "cuDeviceGetCount": lambda: gpu.devices,
        "cuDeviceGet": lambda ordinal: ordinal,
        "cuDeviceGetName": lambda length, device: gpu.name.encode().ljust(length, b"\0"),
        "cuDeviceGetAttribute": lambda which, device: int(attributes[int(which)]),
        "cuDeviceTotalMem": lambda device: gpu.memory_bytes,
        "cuDevicePrimaryCtxRetain": retain,
        "cuDevicePrimaryCtxRelease": release,
        "cuCtxPushCurrent": lambda context: gpu.push(),
        "cuCtxPopCurrent": pop,
    }
    in_context: dict[str, Callable[..., Any]] = {
        "cuMemGetInfo": gpu.free_and_total,
        "cuMemAlloc": memory_at("device"),
        "cuMemFree": lambda address: gpu.free(address, "device"),
        "cuMemHostAlloc": memory_at("host"),
        "cuMemHostGetDevicePointer": lambda address, flags: address,
        "cuMemFreeHost": lambda address: gpu.free(address, "host"),
        "cuMemcpyHtoDAsync": lambda dst, src, n, s: gpu.copy(src, dst, n, s.of, kinds="hd"),
        "cuMemcpyDtoHAsync": lambda dst, src, n, s: gpu.copy(src, dst, n, s.of, kinds="dh"),
        "cuMemcpyDtoDAsync": lambda dst, src, n, s: gpu.copy(src, dst, n, s.of, kinds="dd"),
        "cuMemcpy3DAsync": copy_box,
        "cuMemsetD8Async": lambda dst, value, n, s: gpu.clear(dst, value, n, s.of),
        "cuStreamCreate": lambda flags: CUstream(gpu.make_stream()),
        "cuStreamDestroy": lambda stream: gpu.drop_stream(stream.of),
        "cuStreamWaitEvent": lambda stream, event, flags: gpu.wait(stream.of, event),
        "cuStreamSynchronize": lambda stream: gpu.synchronise(stream.of),
        "cuEventCreate": lambda flags: end_event(),
        "cuEventRecord": lambda event, stream: gpu.record(event, stream.of),
        "cuEventElapsedTime": lambda start, end: float(end.done - start.done),
        "cuEventDestroy": gpu.drop_event,
        "cuStreamBeginCapture": lambda stream, mode: gpu.begin_capture(stream.of),
        "cuStreamEndCapture": lambda stream: gpu.end_capture(stream.of),
        "cuGraphInstantiateWithFlags" if old else "cuGraphInstantiate": lambda graph, flags: graph,
        "cuGraphDestroy": lambda graph: None,
        "cuGraphLaunch": lambda graph, stream: gpu.launch(graph, stream.of),
        "cuGraphExecDestroy": drop_graph,
    }
    for name, work in no_context.items():
        call(name, work, context=False)
    for name, work in in_context.items():
        call(name, work)
    module.cuGetErrorString = lambda code: (CUresult.CUDA_SUCCESS, texts.get(code, "").encode())
    module.CUresult, module.CUdevice_attribute = CUresult, CUdevice_attribute
    module.CUmemorytype, module.CUDA_MEMCPY3D = CUmemorytype, CUDA_MEMCPY3D
    module.CUstreamCaptureMode, module.CUevent_flags = CUstreamCaptureMode, CUevent_flags
    return module  # type: ignore[no-any-return]
