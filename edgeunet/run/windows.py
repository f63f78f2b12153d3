"""A stage of a plan on whole buffers: window by window, or once.

Every window is copied into one scratch block, run, and its settled part copied out. Everything is
bound before the first frame; where it lies is up to the ``Space``.
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
    """One window: what happens before it runs and after."""

    before: tuple[Call, ...]
    after: tuple[Call, ...]


@dataclass(frozen=True)
class _Grid:
    """The windows of a stage, all of one ``size``; sizes are (height, width)."""

    rows: Sequence[Window]
    columns: Sequence[Window]
    size: tuple[int, int]
    padded: tuple[int, int]
    frame: tuple[int, int]


class StageRunner(Generic[TensorT]):
    """One stage with its window buffers and every copy it will make."""

    def __init__(
        self,
        stage: StageEntry,
        buffers: Mapping[str, TensorT],
        tensors: Mapping[str, HeldEntry],
        scratch: Any,
        frame: tuple[int, int],
        space: Space[TensorT],
    ) -> None:
        """buffers: whole tensors by name. scratch: a block of ``scratch_bytes``, and after them
        what the space wants for the stage.

        frame: (height, width) of the frame; what lies beyond it is not copied into outputs.
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
        """Yield everything a frame takes, in order."""
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
        yield _Step(_some(arrival), self._left(self._stage.outputs))

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
                after = [*_some(*(self._copy_out(name, row, column, grid) for name in outputs))]
                if column is grid.columns[-1]:
                    after += [call for name in outputs for call in self._band_left(name, row, grid)]
                    if row is grid.rows[-1]:
                        whole = [e for e in self._stage.outputs if e.name not in self._own]
                        after += self._left(whole)
                yield _Step((*_some(arrival), *before), tuple(after))
                arrival = None

    def _copy_in(self, name: str, row: Window, column: Window, grid: _Grid) -> Call:
        reach = [
            (w.start, w.start + length) for w, length in zip((row, column), grid.size, strict=True)
        ]
        own = self._own[name]
        return self._space.copy(
            self._buffers[name], _part(self._tensors[name], reach), own, _all(own)
        )

    def _copy_out(self, name: str, row: Window, column: Window, grid: _Grid) -> Call | None:
        entry = self._tensors[name]
        span = self._settled(name, row, column, grid)
        if any(start == stop for start, stop in span):
            # All that the window settles is padding.
            return None
        inside = [(a - w.start, b - w.start) for (a, b), w in zip(span, (row, column), strict=True)]
        return self._space.copy(
            self._own[name], _part(entry, inside), self._buffers[name], _part(entry, span)
        )

    def _settled(
        self, name: str, row: Window, column: Window, grid: _Grid
    ) -> list[tuple[int, int]]:
        """Return the pixels a window settles, along the rows and along the columns."""
        # Only outputs end at the frame; what is held keeps the padding.
        keeps_padding = self._buffers[name].shape == self._tensors[name].shape
        ends = grid.padded if keeps_padding else grid.frame
        return [
            (min(w.first, end), min(w.last, end))
            for w, end in zip((row, column), ends, strict=True)
        ]

    def _band_left(self, name: str, row: Window, grid: _Grid) -> tuple[Call, ...]:
        """Return what sends an output's rows off once a row of windows has settled them."""
        span = self._settled(name, row, grid.columns[-1], grid)
        rows = _part(self._tensors[name], span)[1]
        if rows.start == rows.stop:
            return ()
        return _some(self._space.departure(name, (rows.start, rows.stop)))

    def _left(self, outputs: Sequence[TensorEntry]) -> tuple[Call, ...]:
        return _some(*(self._space.departure(entry.name, None) for entry in outputs))


def scratch_bytes(
    stage: StageEntry,
    whole: Mapping[str, tuple[int, ...]],
    alignment_bytes: int = _ALIGNMENT_BYTES,
) -> int:
    """Return what a stage's window buffers take; ``whole``: shapes of the whole buffers."""
    return sum(
        _aligned(entry.spec().size_bytes, alignment_bytes)
        for entry in (*stage.inputs, *stage.outputs)
        if entry.shape != whole[entry.name]
    )


def _window_buffers(
    stage: StageEntry, buffers: Mapping[str, TensorT], scratch: Any, space: Space[TensorT]
) -> tuple[dict[str, TensorT], int]:
    """Return a buffer in the scratch for whatever is not as large as its whole tensor.

    And the bytes they take, from the scratch's start.
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
    """Return (height, width) of the padded frame a tensor belongs to, None for a vector."""
    if entry.axes is None:
        return None
    rows, columns = entry.axes
    return entry.shape[rows] * entry.stride, entry.shape[columns] * entry.stride


def _part(entry: HeldEntry, spans: Sequence[tuple[int, int]]) -> Index:
    """Return the index of a part of a tensor, given in full-resolution pixels."""
    assert entry.axes is not None
    index = [slice(0, length) for length in entry.shape]
    for axis, (start, stop) in zip(entry.axes, spans, strict=True):
        index[axis] = slice(start // entry.stride, stop // entry.stride)
    return tuple(index)


def _all(tensor: TensorT) -> Index:
    return tuple(slice(0, length) for length in tensor.shape)


def _some(*calls: Call | None) -> tuple[Call, ...]:
    return tuple(call for call in calls if call is not None)


def _aligned(size_bytes: int, alignment_bytes: int) -> int:
    return -(-size_bytes // alignment_bytes) * alignment_bytes
