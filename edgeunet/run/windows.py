"""Runs a stage of a frame plan on whole buffers, window by window or once.

Each window is copied into a scratch block and run, and its settled part is copied to the outputs.
Settled pixels are those that the window computes as the whole frame would. All copies are bound
before the first frame. The ``Space`` decides where the memory is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from edgeunet.bundle.manifest import HeldEntry, StageEntry, TensorEntry
from edgeunet.frame_windows import Window
from edgeunet.run.spaces import Call, Index, Opened, Space, TensorT, Work
from edgeunet.specs import FRAME

_ALIGNMENT_BYTES = 64


@dataclass(frozen=True)
class _Step:
    """The calls before and after one window's run."""

    before: tuple[Call, ...]
    after: tuple[Call, ...]


@dataclass(frozen=True)
class _Grid:
    """The windows of a stage. All have the same size; sizes are (height, width) in pixels.

    rows, columns: windows along each axis.
    size: size of a window.
    padded: size of the padded frame.
    frame: size of the frame.
    """

    rows: Sequence[Window]
    columns: Sequence[Window]
    size: tuple[int, int]
    padded: tuple[int, int]
    frame: tuple[int, int]


class StageRunner(Generic[TensorT]):
    """One stage with its window buffers and all of its copies.

    opened: the stage, bound to its tensors.
    """

    def __init__(
        self,
        stage: StageEntry,
        buffers: Mapping[str, TensorT],
        tensors: Mapping[str, HeldEntry],
        scratch: Any,
        frame: tuple[int, int],
        space: Space[TensorT],
    ) -> None:
        """Open a stage and bind its copies.

        buffers: whole tensors, by name.
        tensors: how each tensor lies over the frame, by name; empty for a bundle without a plan.
        scratch: a block of ``scratch_bytes``, followed by the space's ``work_bytes``.
        frame: (height, width) of the frame; the padding is not copied into outputs.
        """
        self._stage = stage
        self._buffers = buffers
        self._tensors = tensors
        self._space = space
        self._own, used_bytes = _window_buffers(stage, buffers, scratch, space)
        place = {**buffers, **self._own}
        self.opened: Opened = space.open(
            stage,
            {entry.name: place[entry.name] for entry in stage.inputs},
            {entry.name: place[entry.name] for entry in stage.outputs},
            Work(scratch, used_bytes),
        )
        self._steps = tuple(self._windowed(frame) if self._own else self._once())

    def calls(self) -> Iterator[Call]:
        """Yield all calls of a frame, in order."""
        for step in self._steps:
            yield from step.before
            yield self.opened.run
            yield from step.after

    @property
    def windows(self) -> int:
        return len(self._steps)

    @property
    def _reads_frame(self) -> bool:
        return any(entry.name == FRAME for entry in self._stage.inputs)

    def _once(self) -> Iterator[_Step]:
        arrival = self._space.arrival(self._buffers[FRAME].shape[1]) if self._reads_frame else None
        yield _Step(_present(arrival), self._send_whole(self._stage.outputs))

    def _windowed(self, frame: tuple[int, int]) -> Iterator[_Step]:
        sizes = (_pixels(self._tensors[name]) for name in self._own)
        padded = next(size for size in sizes if size is not None)
        window = self._stage.window
        wanted = padded if window is None else (window.height, window.width)
        size = (min(wanted[0], padded[0]), min(wanted[1], padded[1]))
        uncut = ([Window(0, 0, padded[0])], [Window(0, 0, padded[1])])
        grid = _Grid(*(uncut if window is None else window.cover(*padded)), size, padded, frame)
        inputs = [entry.name for entry in self._stage.inputs if entry.name in self._own]
        outputs = [entry.name for entry in self._stage.outputs if entry.name in self._own]
        for row in grid.rows:
            arrival = self._space.arrival(row.start + size[0]) if self._reads_frame else None
            for column in grid.columns:
                before = [self._copy_in(name, row, column, grid) for name in inputs]
                after = [*_present(*(self._copy_out(name, row, column, grid) for name in outputs))]
                if column is grid.columns[-1]:
                    after += [call for name in outputs for call in self._send_band(name, row, grid)]
                    if row is grid.rows[-1]:
                        whole = [e for e in self._stage.outputs if e.name not in self._own]
                        after += self._send_whole(whole)
                yield _Step((*_present(arrival), *before), tuple(after))
                arrival = None

    def _copy_in(self, name: str, row: Window, column: Window, grid: _Grid) -> Call:
        reach = [
            (w.start, w.start + length) for w, length in zip((row, column), grid.size, strict=True)
        ]
        own = self._own[name]
        return self._space.copy(
            self._buffers[name], _part(self._tensors[name], reach), own, _whole_index(own)
        )

    def _copy_out(self, name: str, row: Window, column: Window, grid: _Grid) -> Call | None:
        entry = self._tensors[name]
        span = self._settled(name, row, column, grid)
        if any(start == stop for start, stop in span):
            # The window settles padding only.
            return None
        inside = [(a - w.start, b - w.start) for (a, b), w in zip(span, (row, column), strict=True)]
        return self._space.copy(
            self._own[name], _part(entry, inside), self._buffers[name], _part(entry, span)
        )

    def _settled(
        self, name: str, row: Window, column: Window, grid: _Grid
    ) -> list[tuple[int, int]]:
        """Return the half-open ranges of rows and of columns that a window settles, in pixels."""
        # Outputs have the frame's size; held tensors include the padding.
        keeps_padding = self._buffers[name].shape == self._tensors[name].shape
        ends = grid.padded if keeps_padding else grid.frame
        return [
            (min(w.first, end), min(w.last, end))
            for w, end in zip((row, column), ends, strict=True)
        ]

    def _send_band(self, name: str, row: Window, grid: _Grid) -> tuple[Call, ...]:
        """Return calls that send an output's rows to the host once a row of windows is done."""
        span = self._settled(name, row, grid.columns[-1], grid)
        rows = _part(self._tensors[name], span)[1]
        if rows.start == rows.stop:
            return ()
        return _present(self._space.departure(name, (rows.start, rows.stop)))

    def _send_whole(self, outputs: Sequence[TensorEntry]) -> tuple[Call, ...]:
        return _present(*(self._space.departure(entry.name, None) for entry in outputs))


def scratch_bytes(
    stage: StageEntry,
    whole: Mapping[str, tuple[int, ...]],
    alignment_bytes: int = _ALIGNMENT_BYTES,
) -> int:
    """Return the size of a stage's window buffers in bytes. whole: shapes of the whole buffers."""
    return sum(
        _aligned(entry.spec().size_bytes, alignment_bytes)
        for entry in (*stage.inputs, *stage.outputs)
        if entry.shape != whole[entry.name]
    )


def _window_buffers(
    stage: StageEntry, buffers: Mapping[str, TensorT], scratch: Any, space: Space[TensorT]
) -> tuple[dict[str, TensorT], int]:
    """Return scratch views for tensors that are smaller than their whole buffers, by name.

    Also returns the bytes they take, from the scratch's start.
    """
    found: dict[str, TensorT] = {}
    offset = 0
    for entry in (*stage.inputs, *stage.outputs):
        if entry.shape == buffers[entry.name].shape:
            continue
        spec = entry.spec()
        found[entry.name] = space.view(scratch, offset, spec)
        offset += _aligned(spec.size_bytes, space.alignment_bytes)
    return found, offset


def _pixels(entry: HeldEntry) -> tuple[int, int] | None:
    """Return (height, width) of the padded frame that a tensor covers, None for a vector."""
    if entry.axes is None:
        return None
    rows, columns = entry.axes
    return entry.shape[rows] * entry.stride, entry.shape[columns] * entry.stride


def _part(entry: HeldEntry, spans: Sequence[tuple[int, int]]) -> Index:
    """Return the index of a tensor's part. spans: ranges of rows and columns, in frame pixels."""
    assert entry.axes is not None
    index = [slice(0, length) for length in entry.shape]
    for axis, (start, stop) in zip(entry.axes, spans, strict=True):
        index[axis] = slice(start // entry.stride, stop // entry.stride)
    return tuple(index)


def _whole_index(tensor: TensorT) -> Index:
    return tuple(slice(0, length) for length in tensor.shape)


def _present(*calls: Call | None) -> tuple[Call, ...]:
    return tuple(call for call in calls if call is not None)


def _aligned(size_bytes: int, alignment_bytes: int) -> int:
    return -(-size_bytes // alignment_bytes) * alignment_bytes
