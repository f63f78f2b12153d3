"""A simulated GPU: its memory can be read, and its streams run as late as allowed.

Work on a stream runs when something waits for it. Work of other streams may then run before or
after
(``order``), so a missing event gives wrong pixels. Misuse of the driver fails the test: memory used
after it was freed or beyond its end, memory freed twice or never, a call without a context, a
context
left on a thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Operation = Callable[[], None]


class MisuseError(AssertionError):
    """The program did something that would crash a GPU or give wrong results."""


class CudaFailureError(Exception):
    """An error code of the driver."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name
        self.text = text


@dataclass
class Memory:
    """A live allocation.

    content: its bytes, at their real address.
    kind: device or host.
    """

    address: int
    size_bytes: int
    kind: str
    mapped: bool
    content: Any


@dataclass
class Event:
    """An event.

    seen: number of times it was recorded.
    done: number of these that were reached.
    """

    seen: int = 0
    done: int = 0
    alive: bool = True


@dataclass
class Stream:
    handle: int
    queue: deque[Any] = field(default_factory=deque)
    alive: bool = True


@dataclass
class Graph:
    operations: list[tuple[Any, Any]]
    alive: bool = True


@dataclass
class Gpu:
    """One GPU with its driver.

    order: the stream that runs first when several can: the "first" or the "last" made.
    fails: driver calls that fail, by name, with (error name, text).
    """

    name: str = "Orin"
    compute_capability: tuple[int, int] = (8, 7)
    memory_bytes: int = 1 << 30
    integrated: bool = True
    maps: bool = True
    driver: int = 12060
    devices: int = 1
    order: str = "last"
    fails: dict[str, tuple[str, str]] = field(default_factory=dict)
    captures: bool = True

    def __post_init__(self) -> None:
        self.live: dict[int, Memory] = {}
        self.streams: dict[int, Stream] = {}
        self.events: list[Event] = []
        self.graphs: list[Graph] = []
        self.retained = 0
        self.calls: list[str] = []
        self.peak_bytes = 0
        self._local = threading.local()
        self._pushed: dict[int, int] = {}
        self._capture: tuple[Stream, Graph] | None = None
        self._next_handle = 0x1000

    # contexts

    @property
    def depth(self) -> int:
        return int(getattr(self._local, "depth", 0))

    def push(self) -> None:
        if not self.retained:
            raise CudaFailureError("CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed")
        self._local.depth = self.depth + 1
        self._pushed[threading.get_ident()] = self.depth

    def pop(self) -> None:
        if not self.depth:
            raise CudaFailureError("CUDA_ERROR_INVALID_CONTEXT", "invalid device context")
        self._local.depth = self.depth - 1
        self._pushed[threading.get_ident()] = self.depth

    def lose_context(self) -> None:
        """Take the context off this thread, as a library with an error does."""
        self._local.depth = 0
        self._pushed[threading.get_ident()] = 0

    def enter(self, call: str) -> None:
        """Begin a call of the driver that needs a context."""
        self.called(call)
        if not self.depth:
            raise CudaFailureError("CUDA_ERROR_INVALID_CONTEXT", "invalid device context")

    def called(self, call: str) -> None:
        self.calls.append(call)
        if call in self.fails:
            raise CudaFailureError(*self.fails[call])

    # memory

    @property
    def used_bytes(self) -> int:
        return sum(m.size_bytes for m in self.live.values() if m.kind == "device")

    def allocate(self, size_bytes: int, kind: str, *, mapped: bool = False) -> Memory:
        if size_bytes <= 0:
            raise CudaFailureError("CUDA_ERROR_INVALID_VALUE", "invalid argument")
        if self.used_bytes + size_bytes > self.memory_bytes:
            raise CudaFailureError("CUDA_ERROR_OUT_OF_MEMORY", "out of memory")
        # cuMemAlloc aligns to 256 bytes and more, cuMemHostAlloc to pages.
        raw = np.empty(size_bytes + 4096, np.uint8)
        offset = -raw.ctypes.data % 4096
        content = raw[offset : offset + size_bytes]
        content[:] = 0xA5
        memory = Memory(content.ctypes.data, size_bytes, kind, mapped, content)
        self.live[memory.address] = memory
        self.peak_bytes = max(self.peak_bytes, self.used_bytes)
        return memory

    def free(self, address: int, kind: str) -> None:
        memory = self.live.get(address)
        if memory is None or memory.kind != kind:
            raise MisuseError(f"{kind} memory at {address:#x} was given back twice, or never made")
        if any(stream.queue for stream in self.streams.values()):
            raise MisuseError("memory was given back while work was waiting")
        memory.content[:] = 0x5A
        del self.live[address]

    def reach(self, address: int, size_bytes: int, *, device: bool) -> Any:
        """Return the bytes at an address that one side uses; raises MisuseError outside."""
        for memory in self.live.values():
            if memory.address <= address < memory.address + memory.size_bytes:
                start = address - memory.address
                if start + size_bytes > memory.size_bytes:
                    raise MisuseError(
                        f"{size_bytes} bytes at {start} of a block of {memory.size_bytes}"
                    )
                if device and memory.kind == "host" and not memory.mapped:
                    raise MisuseError("the GPU was given host memory that is not mapped")
                if not device and memory.kind == "device":
                    raise MisuseError("the CPU was given device memory")
                return memory.content[start : start + size_bytes]
        raise MisuseError(f"{address:#x} is in no live block")

    def box(self, address: int, pitch: int, rows: int, size: tuple[int, int, int]) -> Iterator[Any]:
        """Yield the rows of a box of (width, height, depth)."""
        width, height, depth = size
        if width > pitch or (depth > 1 and height > rows):
            raise CudaFailureError("CUDA_ERROR_INVALID_VALUE", "invalid argument")
        for z in range(depth):
            for y in range(height):
                yield self.reach(address + (z * rows + y) * pitch, width, device=True)

    def free_and_total(self) -> tuple[int, int]:
        return self.memory_bytes - self.used_bytes, self.memory_bytes

    def copy(
        self, source: int, target: int, size_bytes: int, stream: Stream, *, kinds: str
    ) -> None:
        """Put a copy on a stream. kinds: of source and target, h for host and d for device."""
        sides = [kind == "d" for kind in kinds]

        def move() -> None:
            content = self.reach(source, size_bytes, device=sides[0])
            self.reach(target, size_bytes, device=sides[1])[:] = content

        for address, device in zip((source, target), sides, strict=True):
            self.reach(address, size_bytes, device=device)
        self.put(stream, move)

    def copy_box(
        self,
        source: tuple[int, int, int],
        target: tuple[int, int, int],
        size: tuple[int, int, int],
        stream: Stream,
    ) -> None:
        """Put a copy of a box on a stream; places are (address, pitch, rows)."""

        def move() -> None:
            for one, other in zip(self.box(*source, size), self.box(*target, size), strict=True):
                other[:] = one

        for place in (source, target):
            for _ in self.box(*place, size):
                pass
        self.put(stream, move)

    def clear(self, address: int, value: int, size_bytes: int, stream: Stream) -> None:
        def write() -> None:
            self.reach(address, size_bytes, device=True)[:] = value

        self.put(stream, write)

    # streams

    def drop_stream(self, stream: Stream) -> None:
        if not stream.alive:
            raise MisuseError("a stream was destroyed twice")
        if not self.depth:
            raise MisuseError("a stream was destroyed without a context")
        stream.alive = False
        del self.streams[stream.handle]

    def drop_event(self, event: Event) -> None:
        if not event.alive:
            raise MisuseError("an event was destroyed twice")
        if not self.depth:
            raise MisuseError("an event was destroyed without a context")
        event.alive = False

    def make_stream(self) -> Stream:
        self._next_handle += 0x10
        stream = self.streams[self._next_handle] = Stream(self._next_handle)
        return stream

    def put(self, stream: Stream, operation: Operation) -> None:
        self._put(stream, ("run", operation))

    def record(self, event: Event, stream: Stream) -> None:
        self._check_event(event)
        event.seen += 1
        self._put(stream, ("record", event, event.seen))

    def wait(self, stream: Stream, event: Event) -> None:
        self._check_event(event)
        self._put(stream, ("wait", event, event.seen))

    def synchronise(self, stream: Stream) -> None:
        self._check_stream(stream)
        if self._capture is not None:
            self._capture[1].alive = False
            raise CudaFailureError(
                "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
                "operation not permitted when stream is capturing",
            )
        while stream.queue:
            streams = list(self.streams.values())
            if self.order == "last":
                streams.reverse()
            # The one that is waited for comes last: it must not depend on luck.
            streams.sort(key=lambda other: other is stream)
            if not any(self._advance(other) for other in streams):
                raise MisuseError("streams wait for each other for ever")

    def begin_capture(self, stream: Stream) -> None:
        if not self.captures:
            raise CudaFailureError(
                "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
                "operation not permitted when stream is capturing",
            )
        graph = Graph([])
        self.graphs.append(graph)
        self._capture = (stream, graph)

    def end_capture(self, stream: Stream) -> Graph:
        if self._capture is None or self._capture[0] is not stream:
            raise CudaFailureError("CUDA_ERROR_ILLEGAL_STATE", "no capture")
        graph = self._capture[1]
        self._capture = None
        if not graph.alive:
            self.graphs.remove(graph)
            raise CudaFailureError(
                "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
                "operation failed due to a previous error during capture",
            )
        return graph

    def launch(self, graph: Graph, stream: Stream) -> None:
        if not graph.alive:
            raise MisuseError("a graph was launched after it was destroyed")
        self._check_stream(stream)
        # A graph keeps the dependencies; its streams are those it was captured from.
        for owner, entry in graph.operations:
            if entry[0] == "record":
                entry[1].seen += 1
                owner.queue.append(("record", entry[1], entry[1].seen))
            elif entry[0] == "wait":
                owner.queue.append(("wait", entry[1], entry[1].seen))
            else:
                owner.queue.append(entry)

    def stream_at(self, handle: int) -> Stream:
        return self.streams[handle]

    def finish(self) -> None:
        """Check that nothing is left: at the end of a test."""
        left = [(m.kind, m.size_bytes) for m in self.live.values()]
        assert not left, f"memory was never given back: {left}"
        assert not self.streams, "a stream was never destroyed"
        assert not [e for e in self.events if e.alive], "an event was never destroyed"
        assert not [g for g in self.graphs if g.alive], "a graph was never destroyed"
        assert not self.retained, "the primary context was never released"
        assert not any(self._pushed.values()), "a thread was left with a context"

    def _put(self, stream: Stream, entry: tuple[Any, ...]) -> None:
        self._check_stream(stream)
        if self._capture is not None:
            self._capture[1].operations.append((stream, entry))
        else:
            stream.queue.append(entry)

    def _advance(self, stream: Stream) -> bool:
        """Do one thing on a stream; False when it has nothing to do or must wait."""
        if not stream.queue:
            return False
        kind, *rest = stream.queue[0]
        if kind == "wait" and rest[0].done < rest[1]:
            return False
        stream.queue.popleft()
        if kind == "record":
            rest[0].done = rest[1]
        elif kind == "run":
            rest[0]()
        return True

    def _check_stream(self, stream: Stream) -> None:
        if not stream.alive:
            raise MisuseError("a stream was used after it was destroyed")

    def _check_event(self, event: Event) -> None:
        if not event.alive:
            raise MisuseError("an event was used after it was destroyed")
