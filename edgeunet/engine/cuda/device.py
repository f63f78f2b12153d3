"""An open GPU with its memory, streams, events and graphs. Closing it frees all of them.

Driver calls need the device's primary context. Each thread pushes the context before its calls
and pops it afterwards, so that no thread is left with a context of this project.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from edgeunet.engine.cuda.driver import (
    Block,
    DeviceFacts,
    Driver,
    DriverFailureError,
    HostBlock,
    StridedCopy,
    check_driver,
    too_little_memory,
    translated,
)
from edgeunet.errors import EngineError
from edgeunet.specs import Array

Call = Callable[[], None]


class Device:
    """One GPU, called through one Python package.

    The methods make the context active themselves, except for the bound calls and ``launch``.
    A caller with many calls wraps them in one ``active()``. Blocks, streams, events and graphs
    belong to the device and are freed by ``close``.

    backend: name of the package.
    facts: properties of the GPU.
    """

    def __init__(self, driver: Driver, ordinal: int = 0) -> None:
        self._driver = driver
        self._local = threading.local()
        self._made: list[tuple[Callable[[Any], None], Any]] = []
        self._streams: list[Any] = []
        self.backend = driver.backend
        with _translated_failures():
            self.facts: DeviceFacts = driver.open(ordinal)
            check_driver(self.facts.driver)
            self._context: Any = driver.retain(ordinal)

    @property
    def has_graphs(self) -> bool:
        """Whether this package can make CUDA graphs."""
        return self._driver.has_graphs

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make the device's context current in this thread. Driver failures become EngineError."""
        if self._context is None:
            raise EngineError("the GPU was closed", hint="open the bundle again")
        depth: int = getattr(self._local, "depth", 0)
        with _translated_failures():
            if depth == 0:
                self._driver.push(self._context)
            self._local.depth = depth + 1
            try:
                yield
            except BaseException:
                self._local.depth = depth
                if depth == 0:
                    # The first failure is reported; a second one would hide it.
                    with contextlib.suppress(DriverFailureError):
                        self._driver.pop()
                raise
            self._local.depth = depth
            if depth == 0:
                self._driver.pop()

    def free_bytes(self) -> int:
        """Return the free memory that the driver reports, in bytes.

        On integrated GPUs the figure leaves out memory that the system could still free.
        """
        with self.active():
            return self._driver.free_bytes()

    def allocate(self, size_bytes: int, purpose: str) -> Block:
        """Allocate device memory; its content is undefined.

        purpose: what needs it, for the error message.
        Raises EngineError when there is too little memory.
        """
        with self.active():
            try:
                block = self._driver.allocate(size_bytes)
            except DriverFailureError as failure:
                raise self._allocation_error(failure, size_bytes, purpose, host=False) from failure
            self._keep(block, self._driver.free)
            return block

    def allocate_host(self, size_bytes: int, purpose: str, *, mapped: bool) -> HostBlock:
        """Allocate page-locked host memory filled with zeros.

        purpose: what needs it, for the error message.
        mapped: kernels can read and write the memory without a copy.
        Raises EngineError when there is too little memory.
        """
        with self.active():
            try:
                block = self._driver.allocate_host(size_bytes, mapped=mapped)
            except DriverFailureError as failure:
                raise self._allocation_error(failure, size_bytes, purpose, host=True) from failure
            block.array[:] = 0
            self._keep(block, self._driver.free_host)
            return block

    def stream(self) -> Any:
        """Make a stream."""
        with self.active():
            stream = self._keep(self._driver.make_stream(), self._driver.drop_stream)
            self._streams.append(stream)
            return stream

    def event(self, *, timed: bool = False) -> Any:
        """Make an event. timed: it can be used with ``elapsed_ms``."""
        with self.active():
            return self._keep(self._driver.make_event(timed=timed), self._driver.drop_event)

    def handle_of(self, stream: Any) -> int:
        """Return the stream's CUDA handle as an integer, for other libraries."""
        return self._driver.handle_of(stream)

    def copy_in(self, target: int, source: Array, stream: Any) -> Call:
        """Return a call that copies page-locked memory to the device.

        Use it in ``active()``.
        """
        return lambda: self._driver.copy_in(target, source, stream)

    def copy_out(self, target: Array, source: int, stream: Any) -> Call:
        """Return a call that copies device memory to page-locked memory.

        Use it in ``active()``.
        """
        return lambda: self._driver.copy_out(target, source, stream)

    def copy(self, copy: StridedCopy, stream: Any) -> Call:
        """Return a call that copies within the device; use it in ``active()``."""
        return self._driver.bind_copy(copy, stream)

    def clear(self, block: Block, stream: Any) -> None:
        """Fill a block with zeros, asynchronously."""
        with self.active():
            self._driver.clear(block.address, block.size_bytes, stream)

    def record(self, event: Any, stream: Any) -> Call:
        """Return a call that records an event on a stream; use it in ``active()``."""
        return lambda: self._driver.record(event, stream)

    def wait(self, stream: Any, event: Any) -> Call:
        """Return a call that makes a stream wait for an event; use it in ``active()``."""
        return lambda: self._driver.wait(stream, event)

    def synchronise(self, stream: Any) -> None:
        """Block until everything on a stream is done."""
        with self.active():
            self._driver.synchronise(stream)

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """Return the milliseconds between two timed events that have been reached."""
        with self.active():
            return self._driver.elapsed_ms(start, end)

    def capture(self, stream: Any, work: Call) -> Any:
        """Record what ``work`` puts on a stream and return it as a graph. Nothing is run.

        Raises EngineError when a call cannot be captured; the stream can still be used afterwards.
        """
        with self.active():
            self._driver.begin_capture(stream)
            try:
                work()
            except BaseException:
                with contextlib.suppress(DriverFailureError):
                    self._driver.drop_graph(self._driver.end_capture(stream))
                raise
            return self._keep(self._driver.end_capture(stream), self._driver.drop_graph)

    def launch(self, graph: Any, stream: Any) -> None:
        """Run a graph on a stream; call it in ``active()``."""
        self._driver.launch(graph, stream)

    def close(self) -> None:
        """Free everything in the reverse order of its making. A second call does nothing."""
        if self._context is None:
            return
        failure: EngineError | None = None
        try:
            with self.active():
                # After a failure the streams may still be using what is freed now.
                for stream in self._streams:
                    with contextlib.suppress(DriverFailureError):
                        self._driver.synchronise(stream)
                for drop, thing in reversed(self._made):
                    try:
                        drop(thing)
                    except DriverFailureError as error:
                        failure = failure or translated(error)
        finally:
            self._made.clear()
            self._streams.clear()
            context, self._context = self._context, None
            with _translated_failures():
                self._driver.release(context, self.facts.ordinal)
        if failure is not None:
            raise failure

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _keep(self, thing: Any, drop: Callable[[Any], None]) -> Any:
        self._made.append((drop, thing))
        return thing

    def _allocation_error(
        self, failure: DriverFailureError, size_bytes: int, purpose: str, *, host: bool
    ) -> Exception:
        """Return the exception for a failed allocation."""
        text = failure.reason.lower()
        if "out of memory" not in text and "out_of_memory" not in text:
            return failure
        try:
            free = self._driver.free_bytes()
        except DriverFailureError:
            free = None
        return too_little_memory(size_bytes, free, purpose, host=host)


@contextlib.contextmanager
def _translated_failures() -> Iterator[None]:
    try:
        yield
    except DriverFailureError as failure:
        raise translated(failure) from failure
