"""The few calls of the CUDA driver that this project makes, and how their failures are told.

Two packages offer them: pycuda (``pycuda_device.py``) and cuda-python (``cuda_python_device.py``).
Addresses are plain integers. Nothing here imports CUDA.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from edgeunet.errors import EngineError
from edgeunet.specs import Array
from edgeunet.units import format_bytes

OLDEST_DRIVER = (11, 4)
"""Of JetPack 5: the oldest whose TensorRT and Python this project runs on."""

# CU_STREAM_NON_BLOCKING: else a stream waits for whatever any library puts on the default one, and
# a capture ends with an error when one does.
NON_BLOCKING = 1


@dataclass(frozen=True)
class DeviceFacts:
    """A GPU. integrated: it shares the CPU's memory. memory_bytes: all there is.

    maps_host_memory: kernels can read and write page-locked host memory.
    driver: the newest CUDA it runs, (major, minor).
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
        return "{}.{}".format(*self.compute_capability)


@dataclass(frozen=True)
class StridedCopy:
    """A box of bytes from one place of device memory to another.

    ``depth`` slices of ``height`` rows of ``width_bytes``. pitch_bytes: from row to row; rows: from
    slice to slice.
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
        return self.height == self.depth == 1


@dataclass(frozen=True)
class Block:
    """Device memory. token: what the package frees it by."""

    address: int
    size_bytes: int
    token: Any = None


@dataclass(frozen=True)
class HostBlock:
    """Page-locked host memory, (size,) uint8. address: as kernels see it, None if not mapped."""

    array: Array
    address: int | None
    token: Any = None


class Driver(Protocol):
    """One package. Streams, events, contexts and graphs are its own objects.

    Every call but ``open``, ``push`` and ``release`` needs a context that was pushed in this
    thread. Failures raise what ``translated`` knows.
    """

    backend: str
    has_graphs: bool

    def open(self, ordinal: int) -> DeviceFacts:
        """Load the driver and look at a device; no context is made yet."""
        ...

    def retain(self, ordinal: int) -> Any:
        """Return the device's primary context, the one that TensorRT works in."""
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
        """Return what makes the copy; nothing is prepared anew when it is called."""
        ...

    def clear(self, address: int, size_bytes: int, stream: Any) -> None: ...

    def make_stream(self) -> Any: ...

    def handle_of(self, stream: Any) -> int: ...

    def wait(self, stream: Any, event: Any) -> None:
        """Hold what comes on a stream until an event has been reached."""
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
    """A call of the driver failed. reason: the driver's own words, with the error's name."""

    def __init__(self, call: str, reason: str) -> None:
        super().__init__(f"{call}: {reason}")
        self.call = call
        self.reason = reason


@dataclass(frozen=True)
class _Explained:
    words: tuple[str, ...]
    what: str
    hint: str


# First match wins. Both the names and the sentences of the driver occur, in any case.
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
    """Return the error that a person can act on."""
    reason = failure.reason.strip().rstrip(".")
    lowered = reason.lower()
    for known in _EXPLAINED:
        if any(word in lowered for word in known.words):
            return EngineError(f"{known.what} ({failure.call}: {reason})", hint=known.hint)
    return EngineError(
        f"CUDA failed in {failure.call}: {reason}",
        hint="see what is installed with: edgeunet doctor",
    )


def too_little_memory(
    asked_bytes: int, free_bytes: int | None, purpose: str, *, host: bool
) -> EngineError:
    """Return the error for an allocation that failed: what was asked for, and what is free."""
    left = "" if free_bytes is None else f", {format_bytes(free_bytes)} are free"
    kind = "page-locked memory" if host else "GPU memory"
    return EngineError(
        f"{purpose} needs {format_bytes(asked_bytes)} of {kind}{left}",
        hint="close other programs, or export for a smaller --budget or --size",
    )


def check_driver(found: tuple[int, int]) -> None:
    """Raise EngineError for a driver that is too old."""
    if found < OLDEST_DRIVER:
        oldest = "{}.{}".format(*OLDEST_DRIVER)
        raise EngineError(
            f"the GPU's driver is for CUDA {found[0]}.{found[1]}, and {oldest} is the oldest that "
            "works",
            hint="update the driver; on a Jetson: JetPack 5 or newer",
        )


def version_of(number: int) -> tuple[int, int]:
    """Return (major, minor) of CUDA's number for a version, like 12020."""
    return number // 1000, number % 1000 // 10
