"""A GPU that is held open: its memory, streams and events, all given back when it is closed.

Every call of the driver is made with the device's primary context pushed in the calling thread,
and what a thread pushes it pops: no thread ends with a context of ours.
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
    """One GPU through one package.

    Calls outside of ``active()`` push and pop the context themselves; a caller with many of them
    wraps all in one ``active()``. Blocks, streams, events and graphs belong to the device and end
    with it.
    """

    def __init__(self, driver: Driver, ordinal: int = 0) -> None:
        self._driver = driver
        self._local = threading.local()
        self._made: list[tuple[Callable[[Any], None], Any]] = []
        self._streams: list[Any] = []
        self.backend = driver.backend
        with _told():
            self.facts: DeviceFacts = driver.open(ordinal)
            check_driver(self.facts.driver)
            self._context: Any = driver.retain(ordinal)

    @property
    def has_graphs(self) -> bool:
        return self._driver.has_graphs

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make the device's context this thread's; failures of the driver become EngineError."""
        if self._context is None:
            raise EngineError("the GPU was closed", hint="open the bundle again")
        depth: int = getattr(self._local, "depth", 0)
        with _told():
            if depth == 0:
                self._driver.push(self._context)
            self._local.depth = depth + 1
            try:
                yield
            except BaseException:
                self._local.depth = depth
                if depth == 0:
                    # The first failure is the one to tell.
                    with contextlib.suppress(DriverFailureError):
                        self._driver.pop()
                raise
            self._local.depth = depth
            if depth == 0:
                self._driver.pop()

    def free_bytes(self) -> int:
        """Return what the driver calls free; on integrated GPUs it leaves out what it could get."""
        with self.active():
            return self._driver.free_bytes()

    def allocate(self, size_bytes: int, purpose: str) -> Block:
        """Return device memory with anything in it. purpose: who needs it, for the message."""
        with self.active():
            try:
                block = self._driver.allocate(size_bytes)
            except DriverFailureError as failure:
                raise self._short(failure, size_bytes, purpose, host=False) from failure
            self._keep(block, self._driver.free)
            return block

    def allocate_host(self, size_bytes: int, purpose: str, *, mapped: bool) -> HostBlock:
        """Return page-locked memory, zeroed; mapped: kernels can use it where it lies."""
        with self.active():
            try:
                block = self._driver.allocate_host(size_bytes, mapped=mapped)
            except DriverFailureError as failure:
                raise self._short(failure, size_bytes, purpose, host=True) from failure
            block.array[:] = 0
            self._keep(block, self._driver.free_host)
            return block

    def stream(self) -> Any:
        with self.active():
            stream = self._keep(self._driver.make_stream(), self._driver.drop_stream)
            self._streams.append(stream)
            return stream

    def event(self, *, timed: bool = False) -> Any:
        with self.active():
            return self._keep(self._driver.make_event(timed=timed), self._driver.drop_event)

    def handle_of(self, stream: Any) -> int:
        """Return the stream as other libraries take it."""
        return self._driver.handle_of(stream)

    def copy_in(self, target: int, source: Array, stream: Any) -> Call:
        """Bind a copy of page-locked memory to the device."""
        return lambda: self._driver.copy_in(target, source, stream)

    def copy_out(self, target: Array, source: int, stream: Any) -> Call:
        """Bind a copy from the device to page-locked memory."""
        return lambda: self._driver.copy_out(target, source, stream)

    def copy(self, copy: StridedCopy, stream: Any) -> Call:
        """Bind a copy on the device. What is bound is called in ``active()``."""
        return self._driver.bind_copy(copy, stream)

    def clear(self, block: Block, stream: Any) -> None:
        with self.active():
            self._driver.clear(block.address, block.size_bytes, stream)

    def record(self, event: Any, stream: Any) -> Call:
        return lambda: self._driver.record(event, stream)

    def wait(self, stream: Any, event: Any) -> Call:
        return lambda: self._driver.wait(stream, event)

    def synchronise(self, stream: Any) -> None:
        """Wait until everything on a stream is done."""
        with self.active():
            self._driver.synchronise(stream)

    def elapsed_ms(self, start: Any, end: Any) -> float:
        with self.active():
            return self._driver.elapsed_ms(start, end)

    def capture(self, stream: Any, work: Call) -> Any:
        """Return what ``work`` puts on a stream as a graph, without running it.

        Raises EngineError when something in it cannot be captured; the stream is good afterwards.
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
        """Run a graph; call it in ``active()``."""
        self._driver.launch(graph, stream)

    def close(self) -> None:
        """Give everything back, last made first. Closing twice is closing once."""
        if self._context is None:
            return
        failure: EngineError | None = None
        try:
            with self.active():
                # After a failure there may be work left on what is given back now.
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
            with _told():
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

    def _short(
        self, failure: DriverFailureError, size_bytes: int, purpose: str, *, host: bool
    ) -> Exception:
        """Return what to raise for an allocation that failed."""
        text = failure.reason.lower()
        if "out of memory" not in text and "out_of_memory" not in text:
            return failure
        try:
            free = self._driver.free_bytes()
        except DriverFailureError:
            free = None
        return too_little_memory(size_bytes, free, purpose, host=host)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except DriverFailureError as failure:
        raise translated(failure) from failure
