"""A stage of a plan on whole buffers: window by window, or once.

Every window is copied into one scratch buffer, run, and its settled part copied out. Nothing is
allocated per frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeunet.bundle.manifest import HeldEntry, StageEntry, TileEntry
from edgeunet.specs import Array, Session
from edgeunet.tiling import Halo, Window, windows

OpenSession = Callable[[Mapping[str, Array]], Session]
"""Opens a stage's session on the arrays that its outputs go to."""

_ALIGNMENT_BYTES = 64


@dataclass(frozen=True)
class _Copy:
    """From one view to another, of equal shape."""

    source: Array
    target: Array


@dataclass(frozen=True)
class _Step:
    """One window: what is copied in before it runs and out after."""

    before: tuple[_Copy, ...]
    after: tuple[_Copy, ...]


class StageRunner:
    """One stage with its session, its window buffers and every copy it will make."""

    def __init__(
        self,
        stage: StageEntry,
        buffers: Mapping[str, Array],
        tensors: Mapping[str, HeldEntry],
        scratch: Array,
        frame: tuple[int, int],
        open_session: OpenSession,
    ) -> None:
        """buffers: whole tensors by name. scratch: uint8, at least ``scratch_bytes`` long.

        frame: (height, width) of the frame; what lies beyond it is not copied into outputs.
        """
        own = _window_buffers(stage, buffers, scratch)
        self.feeds = {
            entry.name: own[entry.name] if entry.name in own else buffers[entry.name]
            for entry in stage.inputs
        }
        outputs = {
            entry.name: own[entry.name] if entry.name in own else buffers[entry.name]
            for entry in stage.outputs
        }
        self._steps = _steps(stage, own, buffers, tensors, frame)
        self.session = open_session(outputs)

    def run(self, given: Mapping[str, Array]) -> None:
        """Run every window. given: inputs that take the place of the whole buffers bound here."""
        feeds = {name: given.get(name, array) for name, array in self.feeds.items()}
        for step in self._steps:
            for copy in step.before:
                np.copyto(copy.target, copy.source)
            self.session.run(feeds)
            for copy in step.after:
                np.copyto(copy.target, copy.source)

    @property
    def windows(self) -> int:
        return len(self._steps)

    def close(self) -> None:
        self.session.close()


def scratch_bytes(stage: StageEntry, whole: Mapping[str, tuple[int, ...]]) -> int:
    """Return what a stage's window buffers take; ``whole``: shapes of the whole buffers."""
    return sum(
        _aligned(entry.spec().size_bytes)
        for entry in (*stage.inputs, *stage.outputs)
        if entry.shape != whole[entry.name]
    )


def windows_of(
    tile: TileEntry | None, height: int, width: int
) -> tuple[list[Window], list[Window]]:
    """Return the windows along the rows and along the columns of a padded frame."""
    if tile is None:
        return [Window(0, 0, height)], [Window(0, 0, width)]
    return (
        windows(height, min(tile.height, height), align=tile.align, halo=Halo(*tile.rows)),
        windows(width, min(tile.width, width), align=tile.align, halo=Halo(*tile.columns)),
    )


def _window_buffers(
    stage: StageEntry, buffers: Mapping[str, Array], scratch: Array
) -> dict[str, Array]:
    """Return a buffer in the scratch for whatever is smaller or larger than its whole tensor."""
    found: dict[str, Array] = {}
    offset = 0
    for entry in (*stage.inputs, *stage.outputs):
        if entry.shape == buffers[entry.name].shape:
            continue
        spec = entry.spec()
        raw = scratch[offset : offset + spec.size_bytes]
        found[entry.name] = raw.view(spec.dtype).reshape(spec.shape)
        offset += _aligned(spec.size_bytes)
    return found


def _steps(
    stage: StageEntry,
    own: Mapping[str, Array],
    buffers: Mapping[str, Array],
    tensors: Mapping[str, HeldEntry],
    frame: tuple[int, int],
) -> list[_Step]:
    if not own:
        return [_Step((), ())]
    padded = next(size for name in own if (size := _pixels(tensors[name])) is not None)
    grid = windows_of(stage.tile, *padded)
    tile = padded if stage.tile is None else (stage.tile.height, stage.tile.width)
    window = (min(tile[0], padded[0]), min(tile[1], padded[1]))

    def copy_in(name: str, row: Window, column: Window) -> _Copy:
        reach = [
            (w.start, w.start + length) for w, length in zip((row, column), window, strict=True)
        ]
        return _Copy(buffers[name][_part(tensors[name], reach)], own[name])

    def copy_out(name: str, row: Window, column: Window) -> _Copy:
        # Only outputs end at the frame; what is held keeps the padding.
        ends = padded if buffers[name].shape == tensors[name].shape else frame
        places = list(zip((row, column), ends, strict=True))
        span = [(min(w.first, end), min(w.last, end)) for w, end in places]
        inside = [(a - w.start, b - w.start) for (a, b), (w, _) in zip(span, places, strict=True)]
        source = own[name][_part(tensors[name], inside)]
        return _Copy(source, buffers[name][_part(tensors[name], span)])

    return [
        _Step(
            tuple(copy_in(e.name, row, column) for e in stage.inputs if e.name in own),
            tuple(copy_out(e.name, row, column) for e in stage.outputs if e.name in own),
        )
        for row in grid[0]
        for column in grid[1]
    ]


def _pixels(entry: HeldEntry) -> tuple[int, int] | None:
    """Return (height, width) of the padded frame a tensor belongs to, None for a vector."""
    if entry.axes is None:
        return None
    rows, columns = entry.axes
    return entry.shape[rows] * entry.stride, entry.shape[columns] * entry.stride


def _part(entry: HeldEntry, spans: Sequence[tuple[int, int]]) -> tuple[slice, ...]:
    """Return the index of a part of a tensor, given in full-resolution pixels."""
    assert entry.axes is not None
    index = [slice(None)] * len(entry.shape)
    for axis, (start, stop) in zip(entry.axes, spans, strict=True):
        index[axis] = slice(start // entry.stride, stop // entry.stride)
    return tuple(index)


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
