"""Describes a copy between parts of two tensors as one box of bytes that CUDA can copy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgeunet.engine.cuda.driver import StridedCopy
from edgeunet.errors import EngineError

Part = tuple[int, Sequence[int], Sequence[slice]]
"""A part of a contiguous tensor: (address, shape, one slice with start and stop per axis)."""

_MOST_AXES = 3


def box_of(source: Part, target: Part, item_bytes: int) -> StridedCopy:
    """Return the copy of one part onto another of the same shape.

    Neighbouring axes without gaps in both tensors are merged. Rows, slices and the bytes of a row
    must remain.
    item_bytes: size of one element.
    Raises EngineError when more axes remain, which does not happen for frames.
    """
    lengths = [index.stop - index.start for index in source[2]]
    if lengths != [index.stop - index.start for index in target[2]]:
        raise _unfit("have other shapes")
    strides = [_strides(part[1], item_bytes) for part in (source, target)]
    starts = [
        part[0] + sum(i.start * step for i, step in zip(part[2], of, strict=True))
        for part, of in zip((source, target), strides, strict=True)
    ]
    # (length, source stride, target stride), innermost axis first; strides are in bytes.
    axes: list[tuple[int, int, int]] = [(item_bytes, 1, 1)]
    for length, step, target_step in reversed(list(zip(lengths, *strides, strict=True))):
        if length == 1:
            continue
        last = axes[-1]
        if (step, target_step) == (last[0] * last[1], last[0] * last[2]):
            axes[-1] = (last[0] * length, last[1], last[2])
        else:
            axes.append((length, step, target_step))
    if len(axes) > _MOST_AXES:
        raise _unfit(f"differ along {len(axes)} axes")
    width = axes[0][0]
    height, *pitches = axes[1] if len(axes) > 1 else (1, width, width)
    depth, *slices = axes[2] if len(axes) > 2 else (1, *(height * pitch for pitch in pitches))
    if any(size % pitch for size, pitch in zip(slices, pitches, strict=True)):
        raise _unfit("have slices that are no whole number of rows")
    return StridedCopy(
        source=starts[0],
        source_pitch_bytes=pitches[0],
        source_rows=slices[0] // pitches[0],
        target=starts[1],
        target_pitch_bytes=pitches[1],
        target_rows=slices[1] // pitches[1],
        width_bytes=width,
        height=height,
        depth=depth,
    )


def _strides(shape: Sequence[int], item_bytes: int) -> list[int]:
    return [item_bytes * math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _unfit(why: str) -> EngineError:
    return EngineError(
        f"two parts of tensors cannot be copied in one step: they {why}",
        hint="this is a bug in edgeunet; report it with the bundle",
    )
