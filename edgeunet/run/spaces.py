"""Memory for a bundle's tensors: numpy arrays for onnxruntime, or a GPU's memory.

The executor prepares buffers, windows and copies once, through a ``Space``. After that a frame is a
list of calls without arguments, the same for all engines.
"""

from __future__ import annotations

import functools
import mmap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from edgeunet.bundle.manifest import StageEntry
from edgeunet.errors import EngineError
from edgeunet.specs import FRAME, Array, Image, Session, TensorSpec
from edgeunet.window_turns import pieces_of

Call = Callable[[], object]
OnRows = Callable[[int, Image], None]
"""Takes the number of the first row, and rows of an image, (rows, W, 3) uint8 BGR; keeps none."""
Index = tuple[slice, ...]
OpenStage = Callable[[StageEntry, Mapping[str, Array]], Session]
"""Opens a stage's session; the mapping holds the arrays that its outputs are written to."""


class Placed(Protocol):
    """A tensor in any memory."""

    @property
    def shape(self) -> tuple[int, ...]: ...


TensorT = TypeVar("TensorT", bound=Placed)


@dataclass(frozen=True)
class Opened:
    """A stage that is bound to its tensors.

    run: runs the stage once.
    inputs, outputs: the tensors that its graph has.
    """

    run: Call
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class Work:
    """Memory for an engine's own use: a block, and the offset in it, in bytes."""

    block: Any
    offset_bytes: int


class Space(Protocol[TensorT]):
    """Allocates tensors, binds copies between their parts, opens stages, and runs the calls.

    alignment_bytes: tensors in a block start at multiples of it.
    """

    @property
    def alignment_bytes(self) -> int: ...

    def frame(self, spec: TensorSpec, size: tuple[int, int], *, padded: bool) -> TensorT:
        """Allocate the tensor of the frame.

        spec: shape (1, H, W, 3) and dtype.
        size: (height, width) of the frames that come in; the rest of the tensor is zero.
        padded: frames are copied into a buffer; otherwise the caller's array may be used.
        """
        ...

    def output(self, spec: TensorSpec) -> TensorT:
        """Allocate an output, which ``run`` returns."""
        ...

    def block(self, size_bytes: int, purpose: str) -> Any:
        """Allocate a block of memory. purpose: what needs it, for error messages."""
        ...

    def view(self, block: Any, offset_bytes: int, spec: TensorSpec) -> TensorT:
        """Return the tensor at an offset in a block."""
        ...

    def work_bytes(self, stage: StageEntry) -> int:
        """Return how many bytes of a block a stage needs to run, beside its tensors."""
        ...

    def open(
        self,
        stage: StageEntry,
        inputs: Mapping[str, TensorT],
        outputs: Mapping[str, TensorT],
        work: Work,
        lane: int = 0,
    ) -> Opened:
        """Open a stage on its tensors.

        work: memory of ``work_bytes`` for the engine. lane: the worker that runs it, from 0.
        """
        ...

    def copy(self, source: TensorT, part: Index, target: TensorT, place: Index) -> Call:
        """Return a call that copies a part of one tensor to a part of another, of equal shape."""
        ...

    def read(self, tensor: TensorT) -> Array:
        """Return a copy of a tensor that is not being computed."""
        ...

    def write(self, tensor: TensorT, values: Array) -> None:
        """Set a tensor between two frames. values: contiguous, of its shape and dtype."""
        ...

    def arrival(self, rows: int) -> Call | None:
        """Return a call that waits for the frame's first ``rows`` rows.

        Returns None when they are known to be there.
        """
        ...

    def departure(self, name: str, rows: tuple[int, int] | None) -> Call | None:
        """Return a call that sends rows of an output to the host; None when that is not needed.

        rows: half-open range; None sends the whole output.
        """
        ...

    def ready(self, calls: Sequence[Call]) -> None:
        """Take the calls of a frame and prepare them, once."""
        ...

    def run(self, image: Image) -> Mapping[str, Array]:
        """Run the calls on a frame. The next run overwrites the returned arrays."""
        ...

    def close(self) -> None: ...


@dataclass
class HostCopy:
    """A copy from one array view to another of equal shape."""

    source: Array
    target: Array

    def __call__(self) -> None:
        np.copyto(self.target, self.source)

    def read_from(self, part: Index, array: Array) -> None:
        """Take a part of another array for the source."""
        self.source = array[part]

    def write_to(self, place: Index, array: Array) -> None:
        """Take a part of another array for the target."""
        self.target = array[place]


class HostSpace:
    """A ``Space`` of numpy arrays.

    The caller's frame is used without a copy, unless it must be padded or converted to floats.
    Outputs are written into arrays of its own, or into those of ``write_to``.
    on_rows: called with the rows of the output that ``give_rows`` named, as soon as they are final.
    buffers_bytes: of all buffers that it made.
    """

    alignment_bytes = 64

    def __init__(self, *open_stage: OpenStage) -> None:
        """open_stage: what opens stages, for every worker."""
        self._open_stage = open_stage
        self._sessions: list[Session] = []
        self._own_outputs: dict[str, Array] = {}
        self._outputs: dict[str, Array] = {}
        # Per output, what has to know where it lies.
        self._followers: dict[str, list[Callable[[Array], object]]] = {}
        self._in_rows = ""
        self.on_rows: OnRows | None = None
        self._pixels: Array | None = None
        # Feeds whose frame is replaced by the caller's array in every run.
        self._feeds_with_frame: list[dict[str, Array]] = []
        self._calls: tuple[Call, ...] = ()
        self._own_memory: list[mmap.mmap] = []
        self.buffers_bytes = 0

    def frame(self, spec: TensorSpec, size: tuple[int, int], *, padded: bool) -> Array:
        if not padded and spec.dtype == "uint8":
            return np.broadcast_to(np.uint8(0), spec.shape)
        frame: Array = self.block(spec.size_bytes, "").view(spec.dtype).reshape(spec.shape)
        self._pixels = frame[0, : size[0], : size[1]]
        return frame

    def output(self, spec: TensorSpec) -> Array:
        memory = mmap.mmap(-1, max(spec.size_bytes, 1))
        self._own_memory.append(memory)
        array: Array = self._array(memory, spec.size_bytes).view(spec.dtype).reshape(spec.shape)
        self._own_outputs[spec.name] = self._outputs[spec.name] = array
        self._followers[spec.name] = []
        return array

    def block(self, size_bytes: int, purpose: str) -> Array:
        return self._array(mmap.mmap(-1, max(size_bytes, 1)), size_bytes)

    def _array(self, memory: mmap.mmap, size_bytes: int) -> Array:
        """Return bytes on pages that the process did not have before, so they count when used.

        What the C library hands out may be what loading left behind. Then a frame would seem to
        take less than it does.
        """
        self.buffers_bytes += size_bytes
        return np.frombuffer(memory, np.uint8, count=size_bytes)

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
        lane: int = 0,
    ) -> Opened:
        session = self._open_stage[lane](stage, outputs)
        self._sessions.append(session)
        feeds = dict(inputs)
        for name, array in inputs.items():
            self._follow(array, functools.partial(feeds.__setitem__, name))
        for name, array in outputs.items():
            self._follow(array, functools.partial(session.write_to, name))
        if self._pixels is None and FRAME in feeds:
            self._feeds_with_frame.append(feeds)
        return Opened(lambda: session.run(feeds), session.inputs, session.outputs)

    def copy(self, source: Array, part: Index, target: Array, place: Index) -> HostCopy:
        copy = HostCopy(source[part], target[place])
        self._follow(source, functools.partial(copy.read_from, part))
        self._follow(target, functools.partial(copy.write_to, place))
        return copy

    def read(self, tensor: Array) -> Array:
        copied: Array = tensor.copy()
        return copied

    def write(self, tensor: Array, values: Array) -> None:
        np.copyto(tensor, values)

    def arrival(self, rows: int) -> Call | None:
        return None

    def give_rows(self, name: str) -> None:
        """Hand rows of an output on in place of the output, whose array holds some rows only."""
        self._in_rows = name

    def departure(self, name: str, rows: tuple[int, int] | None) -> Call | None:
        if name != self._in_rows or rows is None:
            return None
        return functools.partial(self._hand_on, *rows)

    def _hand_on(self, start: int, stop: int) -> None:
        array = self._outputs[self._in_rows]
        for first, last, place in pieces_of(start, stop, array.shape[1]):
            if self.on_rows is not None:
                self.on_rows(first, array[0, place : place + last - first])

    def ready(self, calls: Sequence[Call]) -> None:
        self._calls = tuple(calls)

    def write_to(self, arrays: Mapping[str, Array]) -> None:
        """Have the next run write outputs into these arrays, and the others into its own.

        arrays: by output name; contiguous, of the output's shape and dtype. An output that is
            handed on in rows stays where it is.
        Raises EngineError for an array that does not fit.
        """
        for name, own in self._own_outputs.items():
            array = own if name == self._in_rows else arrays.get(name, own)
            if array is not self._outputs[name]:
                fits = array.shape == own.shape and array.dtype == own.dtype
                if not fits or not array.flags.c_contiguous:
                    raise EngineError(
                        f"the array for {name!r} is {array.dtype} {array.shape}, or has gaps",
                        hint=f"give a contiguous one of {own.dtype} {own.shape}",
                    )
                self._outputs[name] = array
                for follow in self._followers[name]:
                    follow(array)

    def _follow(self, array: Array, move: Callable[[Array], object]) -> None:
        """Call ``move`` whenever an output lies elsewhere. array: the output, or another tensor."""
        for name, own in self._own_outputs.items():
            if own is array:
                self._followers[name].append(move)

    def run(self, image: Image) -> Mapping[str, Array]:
        if self._pixels is not None:
            np.copyto(self._pixels, image)
        given = np.ascontiguousarray(image)[np.newaxis] if self._feeds_with_frame else None
        for feeds in self._feeds_with_frame:
            assert given is not None
            feeds[FRAME] = given
        for call in self._calls:
            call()
        return {name: a for name, a in self._outputs.items() if name != self._in_rows}

    def rehearse(self, calls: Sequence[Call]) -> None:
        """Make these calls on a black frame. What they leave in buffers is to be overwritten."""
        for feeds in self._feeds_with_frame:
            feeds[FRAME] = np.zeros(feeds[FRAME].shape, np.uint8)
        for call in calls:
            call()
        # Frames may never use them: they can be written to arrays of the caller.
        for memory in self._own_memory:
            if hasattr(mmap, "MADV_REMOVE"):
                memory.madvise(mmap.MADV_REMOVE)

    def close(self) -> None:
        for session in self._sessions:
            session.close()
        self._sessions.clear()
        self._own_outputs.clear()
        self._outputs.clear()
        self._followers.clear()
        self._feeds_with_frame.clear()
        self._calls = ()
        self._pixels = None
