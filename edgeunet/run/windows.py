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
from edgeunet.window_turns import pieces_of

_ALIGNMENT_BYTES = 64


@dataclass(frozen=True)
class Touched:
    """The parts of whole buffers, as (name, index), that a window reads and that it writes."""

    reads: tuple[tuple[str, Index], ...]
    writes: tuple[tuple[str, Index], ...]


@dataclass(frozen=True)
class _Step:
    """The calls before and after one window's run, and what they and the run touch."""

    before: tuple[Call, ...]
    after: tuple[Call, ...]
    touched: Touched = Touched((), ())


@dataclass(frozen=True)
class _Grid:
    """The windows of a stage. All have the same size; sizes are (height, width) in pixels.

    rows, columns: windows along each axis.
    size: size of a window.
    padded: size of the padded frame.
    """

    rows: Sequence[Window]
    columns: Sequence[Window]
    size: tuple[int, int]
    padded: tuple[int, int]


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
        space: Space[TensorT],
        held_rows: Mapping[str, int],
        lane: int = 0,
    ) -> None:
        """Open a stage and bind its copies.

        buffers: whole tensors, by name.
        tensors: how each tensor lies over the frame, by name; empty for a bundle without a plan.
        scratch: a block of ``scratch_bytes``, followed by the space's ``work_bytes``.
        held_rows: how many rows the buffers of relayed tensors have, in pixels.
        lane: the worker that it runs on, from 0.
        """
        self._stage = stage
        self._held_rows = held_rows
        self._buffers = buffers
        self._tensors = tensors
        self._space = space
        self._own, used_bytes = _window_buffers(stage, buffers, held_rows, scratch, space)
        place = {**buffers, **self._own}
        self.opened: Opened = space.open(
            stage,
            {entry.name: place[entry.name] for entry in stage.inputs},
            {entry.name: place[entry.name] for entry in stage.outputs},
            Work(scratch, used_bytes),
            lane,
        )
        self._rows = tuple(self._windowed() if self._own else self._once())

    def calls(self, row: int | None = None) -> list[Call]:
        """Return the calls of a frame in order; row: only those of this row of windows."""
        return [call for step in self.steps(row) for call in step]

    def steps(self, row: int | None = None) -> list[tuple[Call, ...]]:
        """Return the calls of every window; row: only of this row of windows."""
        return [
            (*step.before, self.opened.run, *step.after)
            for steps in (self._rows if row is None else (self._rows[row],))
            for step in steps
        ]

    def touched(self, row: int | None = None) -> list[Touched]:
        """Return what every window touches; row: only those of this row of windows."""
        return [
            step.touched
            for steps in (self._rows if row is None else (self._rows[row],))
            for step in steps
        ]

    @property
    def windows(self) -> int:
        return sum(len(row) for row in self._rows)

    @property
    def _reads_frame(self) -> bool:
        return any(entry.name == FRAME for entry in self._stage.inputs)

    def _once(self) -> Iterator[tuple[_Step, ...]]:
        arrival = self._space.arrival(self._buffers[FRAME].shape[1]) if self._reads_frame else None
        yield (_Step(_present(arrival), self._send_whole(self._stage.outputs)),)

    def _windowed(self) -> Iterator[tuple[_Step, ...]]:
        """Yield the steps of every row of windows."""
        padded = (self._buffers[FRAME].shape[1], self._buffers[FRAME].shape[2])
        window = self._stage.window
        wanted = padded if window is None else (window.height, window.width)
        size = (min(wanted[0], padded[0]), min(wanted[1], padded[1]))
        uncut = ([Window(0, 0, padded[0])], [Window(0, 0, padded[1])])
        grid = _Grid(*(uncut if window is None else window.cover(*padded)), size, padded)
        inputs = [entry.name for entry in self._stage.inputs if entry.name in self._own]
        outputs = [entry.name for entry in self._stage.outputs if entry.name in self._own]
        for row in grid.rows:
            arrival = self._space.arrival(row.start + size[0]) if self._reads_frame else None
            steps = []
            for column in grid.columns:
                reads = {name: self._parts_in(name, row, column) for name in inputs}
                writes = {name: self._parts_out(name, row, column, grid) for name in outputs}
                before = [
                    self._space.copy(self._buffers[name], held, self._own[name], inside)
                    for name, parts in reads.items()
                    for held, inside in parts
                ]
                after: list[Call] = [
                    self._space.copy(self._own[name], inside, self._buffers[name], held)
                    for name, parts in writes.items()
                    for held, inside in parts
                ]
                if column is grid.columns[-1]:
                    after += [call for name in outputs for call in self._send_band(name, row, grid)]
                    if row is grid.rows[-1]:
                        whole = [e for e in self._stage.outputs if e.name not in self._own]
                        after += self._send_whole(whole)
                touched = Touched(
                    self._touched(self._stage.inputs, reads),
                    self._touched(self._stage.outputs, writes),
                )
                steps.append(_Step((*_present(arrival), *before), tuple(after), touched))
                arrival = None
            yield tuple(steps)

    def _parts_in(self, name: str, row: Window, column: Window) -> list[tuple[Index, Index]]:
        """Return where the parts that a window reads lie, see ``_parts``."""
        entry, own = self._tensors[name], self._own[name]
        starts = [_elements(entry, w.start) for w in (row, column)]
        lengths = [own.shape[axis] for axis in _axes(entry)]
        reach = [(start, start + length) for start, length in zip(starts, lengths, strict=True)]
        return list(self._parts(name, reach, row, column))

    def _parts_out(
        self, name: str, row: Window, column: Window, grid: _Grid
    ) -> list[tuple[Index, Index]]:
        """Return where the parts that a window settles lie, see ``_parts``."""
        span = self._settled(name, row, column, grid)
        if any(start == stop for start, stop in span):
            # The window settles padding only.
            return []
        return list(self._parts(name, span, row, column))

    def _touched(
        self, entries: Sequence[TensorEntry], parts: Mapping[str, list[tuple[Index, Index]]]
    ) -> tuple[tuple[str, Index], ...]:
        """Return the parts of buffers; of what the stage uses in place, all of it."""
        found: list[tuple[str, Index]] = []
        for entry in entries:
            if entry.name in parts:
                found += [(entry.name, held) for held, _ in parts[entry.name]]
            else:
                whole = tuple(slice(0, length) for length in self._buffers[entry.name].shape)
                found.append((entry.name, whole))
        return tuple(found)

    def _parts(
        self, name: str, span: Sequence[tuple[int, int]], row: Window, column: Window
    ) -> Iterator[tuple[Index, Index]]:
        """Yield where a part of a tensor lies in its buffer, and where in the window's.

        span: ranges of its rows and columns, in elements.
        """
        entry = self._tensors[name]
        (start, stop), (left, right) = span
        top, side = _elements(entry, row.start), _elements(entry, column.start)
        held_rows = self._held_rows.get(name)
        rows = None if held_rows is None else _elements(entry, held_rows)
        for first, last, place in pieces_of(start, stop, rows):
            held = [(place, place + last - first), (left, right)]
            inside = [(first - top, last - top), (left - side, right - side)]
            yield _part(entry, held), _part(entry, inside)

    def _settled(
        self, name: str, row: Window, column: Window, grid: _Grid
    ) -> list[tuple[int, int]]:
        """Return the half-open ranges of rows and of columns that a window settles, in elements.

        A tensor may have a few elements more or fewer than fit into the frame: the last window
        settles all that are left.
        """
        entry, found = self._tensors[name], []
        for axis, window, end in zip(_axes(entry), (row, column), grid.padded, strict=True):
            # Outputs have the frame's size; held tensors include the padding.
            length = (entry if name in self._held_rows else self._buffers[name]).shape[axis]
            last = length if window.last == end else _elements(entry, window.last)
            found.append((min(_elements(entry, window.first), length), min(last, length)))
        return found

    def _send_band(self, name: str, row: Window, grid: _Grid) -> tuple[Call, ...]:
        """Return calls that send an output's rows to the host once a row of windows is done."""
        start, stop = self._settled(name, row, grid.columns[-1], grid)[0]
        if _axes(self._tensors[name])[0] != 1:
            # Behind channels, rows are no single piece of memory.
            return self._departing(name, None) if row is grid.rows[-1] else ()
        if start == stop:
            return ()
        return self._departing(name, (start, stop))

    def _departing(self, name: str, rows: tuple[int, int] | None) -> tuple[Call, ...]:
        return _present(self._space.departure(name, rows))

    def _send_whole(self, outputs: Sequence[TensorEntry]) -> tuple[Call, ...]:
        return _present(*(self._space.departure(entry.name, None) for entry in outputs))


def scratch_bytes(
    stage: StageEntry,
    whole: Mapping[str, tuple[int, ...]],
    held_rows: Mapping[str, int],
    alignment_bytes: int = _ALIGNMENT_BYTES,
) -> int:
    """Return the size of a stage's window buffers in bytes.

    whole: shapes of the whole buffers. held_rows: names the relayed tensors, which are always
    copied.
    """
    return sum(
        _aligned(entry.spec().size_bytes, alignment_bytes)
        for entry in (*stage.inputs, *stage.outputs)
        if entry.shape != whole[entry.name] or entry.name in held_rows
    )


def _window_buffers(
    stage: StageEntry,
    buffers: Mapping[str, TensorT],
    held_rows: Mapping[str, int],
    scratch: Any,
    space: Space[TensorT],
) -> tuple[dict[str, TensorT], int]:
    """Return scratch views for tensors that a window has in buffers of its own, by name.

    Also returns the bytes they take, from the scratch's start.
    """
    found: dict[str, TensorT] = {}
    offset = 0
    for entry in (*stage.inputs, *stage.outputs):
        if entry.shape == buffers[entry.name].shape and entry.name not in held_rows:
            continue
        spec = entry.spec()
        found[entry.name] = space.view(scratch, offset, spec)
        offset += _aligned(spec.size_bytes, space.alignment_bytes)
    return found, offset


def _axes(entry: HeldEntry) -> tuple[int, int]:
    assert entry.axes is not None, f"{entry.name} has no rows and columns"
    return entry.axes


def _elements(entry: HeldEntry, pixels: int) -> int:
    """Return the rows or columns of a tensor that lie before a pixel of the frame."""
    return pixels * entry.finer // entry.stride


def _part(entry: HeldEntry, spans: Sequence[tuple[int, int]]) -> Index:
    """Return the index of a tensor's part. spans: ranges of its rows and columns."""
    index = [slice(0, length) for length in entry.shape]
    for axis, (start, stop) in zip(_axes(entry), spans, strict=True):
        index[axis] = slice(start, stop)
    return tuple(index)


def _present(*calls: Call | None) -> tuple[Call, ...]:
    return tuple(call for call in calls if call is not None)


def _aligned(size_bytes: int, alignment_bytes: int) -> int:
    return -(-size_bytes // alignment_bytes) * alignment_bytes
