"""Where a bundle's tensors live: in the process (numpy and onnxruntime), or on a GPU.

The executor lays out buffers, windows and copies once, in terms of a ``Space``; what a frame then
takes is a list of calls without arguments. One code path for all engines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from edgeunet.bundle.manifest import StageEntry
from edgeunet.specs import FRAME, Array, Image, Session, TensorSpec

Call = Callable[[], object]
Index = tuple[slice, ...]
OpenStage = Callable[[StageEntry, Mapping[str, Array]], Session]
"""Opens a stage's session on the arrays that its outputs go to."""


class Placed(Protocol):
    """A tensor somewhere."""

    @property
    def shape(self) -> tuple[int, ...]: ...


TensorT = TypeVar("TensorT", bound=Placed)


@dataclass(frozen=True)
class Opened:
    """A stage that can run: on the tensors it was opened with."""

    run: Call
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class Work:
    """A place in a block, for an engine's own use."""

    block: Any
    offset_bytes: int


class Space(Protocol[TensorT]):
    """Makes tensors, binds copies between their parts, opens stages, and runs the calls.

    alignment_bytes: where in a block tensors may start.
    """

    @property
    def alignment_bytes(self) -> int: ...

    def frame(self, spec: TensorSpec, size: tuple[int, int], *, padded: bool) -> TensorT:
        """Make the frame's tensor. size: of what comes in; beyond it there are zeros."""
        ...

    def output(self, spec: TensorSpec) -> TensorT:
        """Make an output, which ``run`` answers with."""
        ...

    def block(self, size_bytes: int, purpose: str) -> Any: ...

    def view(self, block: Any, offset_bytes: int, spec: TensorSpec) -> TensorT:
        """Return the tensor that lies at a place in a block."""
        ...

    def work_bytes(self, stage: StageEntry) -> int:
        """Return what a stage needs of a block while it runs, beside its tensors."""
        ...

    def open(
        self,
        stage: StageEntry,
        inputs: Mapping[str, TensorT],
        outputs: Mapping[str, TensorT],
        work: Work,
    ) -> Opened: ...

    def copy(self, source: TensorT, part: Index, target: TensorT, place: Index) -> Call:
        """Bind a copy of a part of one tensor to a place in another, of equal shape."""
        ...

    def arrival(self, rows: int) -> Call | None:
        """Return what waits until the frame's first rows are there; None when they are."""
        ...

    def departure(self, name: str, rows: tuple[int, int] | None) -> Call | None:
        """Return what sends an output's rows off, or all of it; None when they need not be."""
        ...

    def ready(self, calls: Sequence[Call]) -> None:
        """Take the calls of a frame, and do what is done once."""
        ...

    def run(self, image: Image) -> Mapping[str, Array]:
        """Run the calls on a frame; the arrays returned are overwritten by the next run."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class HostCopy:
    """From one view to another, of equal shape."""

    source: Array
    target: Array

    def __call__(self) -> None:
        np.copyto(self.target, self.source)


class HostSpace:
    """Numpy arrays. A frame goes in without a copy, unless it must be padded or made floats."""

    alignment_bytes = 64

    def __init__(self, open_stage: OpenStage) -> None:
        self._open_stage = open_stage
        self._sessions: list[Session] = []
        self._outputs: dict[str, Array] = {}
        self._pixels: Array | None = None
        # Feeds in which the caller's own array takes the frame's place in every run.
        self._given: list[dict[str, Array]] = []
        self._calls: tuple[Call, ...] = ()

    def frame(self, spec: TensorSpec, size: tuple[int, int], *, padded: bool) -> Array:
        if not padded and spec.dtype == "uint8":
            return np.broadcast_to(np.uint8(0), spec.shape)
        frame = np.zeros(spec.shape, spec.dtype)
        self._pixels = frame[0, : size[0], : size[1]]
        return frame

    def output(self, spec: TensorSpec) -> Array:
        array = self._outputs[spec.name] = spec.empty()
        return array

    def block(self, size_bytes: int, purpose: str) -> Array:
        return np.empty(size_bytes, np.uint8)

    def view(self, block: Array, offset_bytes: int, spec: TensorSpec) -> Array:
        raw: Array = block[offset_bytes:][: spec.size_bytes]
        return raw.view(spec.dtype).reshape(spec.shape)

    def work_bytes(self, stage: StageEntry) -> int:
        return 0

    def open(
        self,
        stage: StageEntry,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array],
        work: Work,
    ) -> Opened:
        session = self._open_stage(stage, outputs)
        self._sessions.append(session)
        feeds = dict(inputs)
        if self._pixels is None and FRAME in feeds:
            self._given.append(feeds)
        return Opened(lambda: session.run(feeds), session.inputs, session.outputs)

    def copy(self, source: Array, part: Index, target: Array, place: Index) -> HostCopy:
        return HostCopy(source[part], target[place])

    def arrival(self, rows: int) -> Call | None:
        return None

    def departure(self, name: str, rows: tuple[int, int] | None) -> Call | None:
        return None

    def ready(self, calls: Sequence[Call]) -> None:
        self._calls = tuple(calls)

    def run(self, image: Image) -> Mapping[str, Array]:
        if self._pixels is not None:
            np.copyto(self._pixels, image)
        given = np.ascontiguousarray(image)[np.newaxis] if self._given else None
        for feeds in self._given:
            assert given is not None
            feeds[FRAME] = given
        for call in self._calls:
            call()
        return self._outputs

    def close(self) -> None:
        for session in self._sessions:
            session.close()
        self._sessions.clear()
        self._outputs.clear()
        self._given.clear()
        self._calls = ()
        self._pixels = None
