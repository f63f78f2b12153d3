"""The CUDA driver calls that this project makes, and the messages for their failures.

Two packages offer these calls: pycuda (``pycuda_device.py``) and cuda-python
(``cuda_python_device.py``). Addresses are plain integers. This file does not import CUDA.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from edgeunet.errors import EngineError
from edgeunet.specs import Array
from edgeunet.units import format_bytes

OLDEST_DRIVER = (11, 4)
"""The driver of JetPack 5, the oldest JetPack whose TensorRT and Python are supported here."""

# CU_STREAM_NON_BLOCKING. Other streams wait for the work that any library puts on the default
# stream, and such work ends a capture with an error.
NON_BLOCKING = 1


@dataclass(frozen=True)
class DeviceFacts:
    """Properties of a GPU.

    ordinal: its number, from 0.
    name: as the driver has it.
    compute_capability: (major, minor).
    memory_bytes: all of its memory.
    integrated: it shares the CPU's memory.
    maps_host_memory: kernels can read and write page-locked host memory.
    driver: the newest CUDA version that the driver runs, (major, minor).
    """

    ordinal: int
    name: str
    compute_capability: tuple[int, int]
    memory_bytes: int
    integrated: bool
    maps_host_memory: bool
    driver: tuple[int, int]

    @property
    def compute_capability_text(self) -> str:
        """The compute capability as ``major.minor``."""
        return "{}.{}".format(*self.compute_capability)


@dataclass(frozen=True)
class StridedCopy:
    """A copy of a box of bytes between two places in device memory.

    source, target: address of the box's first byte.
    source_pitch_bytes, target_pitch_bytes: bytes from one row to the next.
    source_rows, target_rows: rows from one slice to the next.
    width_bytes: bytes per row.
    height: rows per slice.
    depth: slices.
    """

    source: int
    source_pitch_bytes: int
    source_rows: int
    target: int
    target_pitch_bytes: int
    target_rows: int
    width_bytes: int
    height: int
    depth: int

    @property
    def contiguous(self) -> bool:
        """Whether the box is a single row."""
        return self.height == self.depth == 1


@dataclass(frozen=True)
class Block:
    """A block of device memory. token: the package's object that frees it."""

    address: int
    size_bytes: int
    token: Any = None


@dataclass(frozen=True)
class HostBlock:
    """A block of page-locked host memory.

    array: (size,) uint8.
    address: where kernels find it; None when it is not mapped.
    token: the package's object that frees it.
    """

    array: Array
    address: int | None
    token: Any = None


class Driver(Protocol):
    """The calls that each package implements.

    Streams, events, contexts and graphs are the package's own objects. All calls but ``open``,
    ``retain``, ``push`` and ``release`` need a context that was pushed in the same thread.
    Failures raise DriverFailureError, which ``translated`` turns into an EngineError.
    """

    backend: str
    has_graphs: bool

    def open(self, ordinal: int) -> DeviceFacts:
        """Load the driver and read a device's properties. No context is made."""
        ...

    def retain(self, ordinal: int) -> Any:
        """Return the device's primary context, which TensorRT uses as well."""
        ...

    def release(self, context: Any, ordinal: int) -> None: ...

    def push(self, context: Any) -> None: ...

    def pop(self) -> None: ...

    def free_bytes(self) -> int: ...

    def allocate(self, size_bytes: int) -> Block: ...

    def free(self, block: Block) -> None: ...

    def allocate_host(self, size_bytes: int, *, mapped: bool) -> HostBlock: ...

    def free_host(self, block: HostBlock) -> None: ...

    def copy_in(self, target: int, source: Array, stream: Any) -> None:
        """Copy a contiguous page-locked array to the device, asynchronously."""
        ...

    def copy_out(self, target: Array, source: int, stream: Any) -> None: ...

    def bind_copy(self, copy: StridedCopy, stream: Any) -> Callable[[], None]:
        """Return a call that makes the copy, with all of its arguments prepared now."""
        ...

    def clear(self, address: int, size_bytes: int, stream: Any) -> None: ...

    def make_stream(self) -> Any: ...

    def handle_of(self, stream: Any) -> int: ...

    def wait(self, stream: Any, event: Any) -> None:
        """Make later work on a stream wait until an event has been reached."""
        ...

    def synchronise(self, stream: Any) -> None: ...

    def drop_stream(self, stream: Any) -> None: ...

    def make_event(self, *, timed: bool) -> Any: ...

    def record(self, event: Any, stream: Any) -> None: ...

    def elapsed_ms(self, start: Any, end: Any) -> float: ...

    def drop_event(self, event: Any) -> None: ...

    def begin_capture(self, stream: Any) -> None: ...

    def end_capture(self, stream: Any) -> Any: ...

    def launch(self, graph: Any, stream: Any) -> None: ...

    def drop_graph(self, graph: Any) -> None: ...


class DriverFailureError(Exception):
    """A driver call failed. reason: the driver's message, with the error's name."""

    def __init__(self, call: str, reason: str) -> None:
        super().__init__(f"{call}: {reason}")
        self.call = call
        self.reason = reason


@dataclass(frozen=True)
class _Explained:
    words: tuple[str, ...]
    message: str
    hint: str


# The first match wins. Reasons are the driver's error names or its sentences; case is ignored.
_EXPLAINED = (
    _Explained(
        ("out of memory", "out_of_memory"),
        "the GPU has too little memory",
        "close other programs, or export for a smaller --budget or --size",
    ),
    _Explained(
        ("insufficient", "driver version mismatch", "mismatch", "compat_not", "stub library"),
        "the GPU's driver does not fit the CUDA that is installed here",
        "update the driver (on a Jetson: a newer JetPack), or install the CUDA of this driver",
    ),
    _Explained(
        ("no cuda-capable device", "no_device", "no device", "invalid device ordinal"),
        "the driver finds no GPU",
        "look at: nvidia-smi (on a Jetson: tegrastats), and run in a container with --gpus all",
    ),
    _Explained(
        (
            "context is destroyed",
            "context_is_destroyed",
            "invalid device context",
            "invalid_context",
            "invalid context",
            "no currently active context",
            "deinitialized",
            "shutting down",
        ),
        "the CUDA context was lost",
        "something in this process reset the GPU or took its context off a thread; close it there, "
        "or run it in a process of its own",
    ),
    _Explained(
        ("illegal memory access", "illegal_address", "launch fail", "launch_failed", "uncorrect"),
        "the GPU stopped with an error, and nothing more can run in this process",
        "start the program again; if it recurs, build the plans again: edgeunet build BUNDLE",
    ),
)


def translated(failure: DriverFailureError) -> EngineError:
    """Return the error for the user, with a hint that fits the driver's reason."""
    reason = failure.reason.strip().rstrip(".")
    lowered = reason.lower()
    for known in _EXPLAINED:
        if any(word in lowered for word in known.words):
            return EngineError(f"{known.message} ({failure.call}: {reason})", hint=known.hint)
    return EngineError(
        f"CUDA failed in {failure.call}: {reason}",
        hint="see what is installed with: edgeunet doctor",
    )


def too_little_memory(
    asked_bytes: int, free_bytes: int | None, purpose: str, *, host: bool
) -> EngineError:
    """Return the error for a failed allocation.

    asked_bytes: size of the allocation.
    free_bytes: memory that is free now; None when it is unknown.
    purpose: what needed the memory.
    host: it was page-locked memory, not GPU memory.
    """
    left = "" if free_bytes is None else f", {format_bytes(free_bytes)} are free"
    kind = "page-locked memory" if host else "GPU memory"
    return EngineError(
        f"{purpose} needs {format_bytes(asked_bytes)} of {kind}{left}",
        hint="close other programs, or export for a smaller --budget or --size",
    )


def check_driver(found: tuple[int, int]) -> None:
    """Raise EngineError for a driver older than ``OLDEST_DRIVER``."""
    if found < OLDEST_DRIVER:
        oldest = "{}.{}".format(*OLDEST_DRIVER)
        raise EngineError(
            f"the GPU's driver is for CUDA {found[0]}.{found[1]}, and {oldest} is the oldest that "
            "works",
            hint="update the driver; on a Jetson: JetPack 5 or newer",
        )


def version_of(number: int) -> tuple[int, int]:
    """Return (major, minor) of a version as CUDA encodes it, for example 12020 for 12.2."""
    return number // 1000, number % 1000 // 10
