"""The CUDA driver through pycuda.

``pycuda.autoinit`` is not used, because it makes a context of its own.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

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


class _Held:
    """The only reference to a pycuda stream or event.

    pycuda destroys such an object with its last reference. Without this holder the traceback of an
    exception could keep the object longer than its
    context lives.
    """

    __slots__ = ("native",)

    def __init__(self, native: Any) -> None:
        self.native: Any = native


class PycudaDriver:
    """``Driver`` over pycuda.

    pycuda keeps its own stack of contexts per thread, so contexts are pushed and popped through
    pycuda only.
    """

    backend = "pycuda"
    # pycuda 2026.1 has no CUDA graphs.
    has_graphs = False

    def __init__(self) -> None:
        try:
            self._cuda: Any = importlib.import_module("pycuda.driver")
        except ImportError as error:
            # pycuda is linked against libcuda, so without a driver the import itself fails.
            raise EngineError(
                f"pycuda cannot be loaded: {str(error).splitlines()[0]}",
                hint="install the GPU's driver; on a Jetson it comes with JetPack",
            ) from error

    def open(self, ordinal: int) -> DeviceFacts:
        cuda = self._cuda
        with self._translated_errors("cuInit"):
            cuda.init()
            count = cuda.Device.count()
            if not 0 <= ordinal < count:
                raise DriverFailureError("cuDeviceGet", f"no device {ordinal}, there are {count}")
            device = cuda.Device(ordinal)
            known = cuda.device_attribute
            major, minor = device.compute_capability()
            return DeviceFacts(
                ordinal=ordinal,
                name=device.name(),
                compute_capability=(int(major), int(minor)),
                memory_bytes=int(device.total_memory()),
                integrated=bool(device.get_attribute(known.INTEGRATED)),
                maps_host_memory=bool(device.get_attribute(known.CAN_MAP_HOST_MEMORY)),
                driver=version_of(int(cuda.get_driver_version())),
            )

    def retain(self, ordinal: int) -> Any:
        with self._translated_errors("cuDevicePrimaryCtxRetain"):
            # pycuda compares contexts by object, so this one is kept for the whole session.
            return self._cuda.Device(ordinal).retain_primary_context()

    def release(self, context: Any, ordinal: int) -> None:
        with self._translated_errors("cuDevicePrimaryCtxRelease"):
            context.detach()

    def push(self, context: Any) -> None:
        with self._translated_errors("cuCtxPushCurrent"):
            context.push()

    def pop(self) -> None:
        with self._translated_errors("cuCtxPopCurrent"):
            self._cuda.Context.pop()

    def free_bytes(self) -> int:
        with self._translated_errors("cuMemGetInfo"):
            return int(self._cuda.mem_get_info()[0])

    def allocate(self, size_bytes: int) -> Block:
        with self._translated_errors("cuMemAlloc"):
            allocation = self._cuda.mem_alloc(size_bytes)
            return Block(int(allocation), size_bytes, allocation)

    def free(self, block: Block) -> None:
        with self._translated_errors("cuMemFree"):
            block.token.free()

    def allocate_host(self, size_bytes: int, *, mapped: bool) -> HostBlock:
        flags = self._cuda.host_alloc_flags
        with self._translated_errors("cuMemHostAlloc"):
            array = self._cuda.pagelocked_empty(
                (size_bytes,),
                "uint8",
                mem_flags=flags.PORTABLE | (flags.DEVICEMAP if mapped else 0),
            )
            owner = array.base
            address = int(owner.get_device_pointer()) if mapped else None
            return HostBlock(array, address, owner)

    def free_host(self, block: HostBlock) -> None:
        with self._translated_errors("cuMemFreeHost"):
            block.token.free()

    def copy_in(self, target: int, source: Array, stream: Any) -> None:
        with self._translated_errors("cuMemcpyHtoDAsync"):
            self._cuda.memcpy_htod_async(target, source, stream.native)

    def copy_out(self, target: Array, source: int, stream: Any) -> None:
        with self._translated_errors("cuMemcpyDtoHAsync"):
            self._cuda.memcpy_dtoh_async(target, source, stream.native)

    def bind_copy(self, copy: StridedCopy, stream: Any) -> Callable[[], None]:
        if copy.contiguous:
            copy_device = self._cuda.memcpy_dtod_async

            def move() -> None:
                with self._translated_errors("cuMemcpyDtoDAsync"):
                    copy_device(copy.target, copy.source, copy.width_bytes, stream.native)

            return move
        order = self._cuda.Memcpy3D()
        order.set_src_device(copy.source)
        order.src_pitch, order.src_height = copy.source_pitch_bytes, copy.source_rows
        order.set_dst_device(copy.target)
        order.dst_pitch, order.dst_height = copy.target_pitch_bytes, copy.target_rows
        order.width_in_bytes, order.height = copy.width_bytes, copy.height
        order.depth = copy.depth

        def move_box() -> None:
            with self._translated_errors("cuMemcpy3DAsync"):
                order(stream.native)

        return move_box

    def clear(self, address: int, size_bytes: int, stream: Any) -> None:
        with self._translated_errors("cuMemsetD8Async"):
            self._cuda.memset_d8_async(address, 0, size_bytes, stream.native)

    def make_stream(self) -> Any:
        with self._translated_errors("cuStreamCreate"):
            return _Held(self._cuda.Stream(NON_BLOCKING))

    def handle_of(self, stream: Any) -> int:
        return int(stream.native.handle)

    def wait(self, stream: Any, event: Any) -> None:
        with self._translated_errors("cuStreamWaitEvent"):
            stream.native.wait_for_event(event.native)

    def synchronise(self, stream: Any) -> None:
        with self._translated_errors("cuStreamSynchronize"):
            stream.native.synchronize()

    def drop_stream(self, stream: Any) -> None:
        stream.native = None

    def make_event(self, *, timed: bool) -> Any:
        flags = 0 if timed else self._cuda.event_flags.DISABLE_TIMING
        with self._translated_errors("cuEventCreate"):
            return _Held(self._cuda.Event(flags))

    def record(self, event: Any, stream: Any) -> None:
        with self._translated_errors("cuEventRecord"):
            event.native.record(stream.native)

    def elapsed_ms(self, start: Any, end: Any) -> float:
        with self._translated_errors("cuEventElapsedTime"):
            return float(end.native.time_since(start.native))

    def drop_event(self, event: Any) -> None:
        event.native = None

    def begin_capture(self, stream: Any) -> None:
        raise DriverFailureError("cuStreamBeginCapture", "pycuda has no graphs")

    def end_capture(self, stream: Any) -> Any:
        raise DriverFailureError("cuStreamEndCapture", "pycuda has no graphs")

    def launch(self, graph: Any, stream: Any) -> None:
        raise DriverFailureError("cuGraphLaunch", "pycuda has no graphs")

    def drop_graph(self, graph: Any) -> None:
        raise DriverFailureError("cuGraphExecDestroy", "pycuda has no graphs")

    @contextlib.contextmanager
    def _translated_errors(self, call: str) -> Iterator[None]:
        try:
            yield
        except self._cuda.Error as error:
            # pycuda writes "cuMemAlloc failed: out of memory".
            name, _, reason = str(error).partition(" failed: ")
            raise DriverFailureError(name if reason else call, reason or str(error)) from error
