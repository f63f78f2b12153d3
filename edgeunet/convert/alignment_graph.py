"""Draw the graph that aligns a memory, operator by operator, for a frame or a window of any size.

It is ``AlignModule`` (``remembering_frame.py``): the same numbers from fewer operators
(`tests/convert/test_alignment_windows.py`). torch's exporter takes seconds for each size, and
windows are planned in many sizes. Sums are of whole numbers that float32 holds exactly, so their
order does not matter.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeunet.convert.drawing import Drawing
from edgeunet.models.alignment import (
    BLOCK,
    COARSE_MARGIN,
    COARSE_RADIUS,
    MARGIN,
    OTHER_COST,
    STAYS,
    STEP_COST,
)
from edgeunet.specs import ALIGNED, COUNT, COUNTED, FRAME, FUSED, MEAN, MOVED, PREVIOUS

# Axes of a frame's squares: (1, rows of blocks, side, columns of blocks, side).
_SIDES = (2, 4)


def alignment_graph(height: int, width: int, *, fuse: bool) -> ir.Model:
    """Return the graph for frames of (height, width) pixels, multiples of ``BLOCK``.

    Inputs and outputs are those of ``AlignModule``.
    """
    drawing = Drawing("align")
    frame = drawing.input(FRAME, ir.DataType.UINT8, (1, height, width, 3))
    previous = drawing.input(PREVIOUS, ir.DataType.UINT8, (1, height, width, 3))
    count = drawing.input(COUNT, ir.DataType.UINT8, (1, 1, height // 2, width // 2))
    kept = [(ALIGNED, previous)]
    if fuse:
        kept.append((MEAN, drawing.input(FUSED, ir.DataType.UINT8, (1, height, width, 3))))
    found = _Search(drawing, height, width).motion(frame, previous)
    answers = [(COUNTED, _count(drawing, count, found)), (MOVED, _moves(drawing, found))]
    fetch = _Between(drawing, found, height, width)
    answers[:0] = [(name, fetch.taken(image)) for name, image in kept]
    for name, value in (*answers[:1], *answers[-2:], *answers[1:-2]):
        drawing.output(name, value)
    return drawing.model()


def _squares(
    drawing: Drawing, moved: ir.Value, size: int, margin: int, side: int, shape: tuple[int, int]
) -> ir.Value:
    """Return where to sample squares, (1, rows * side, columns * side, 2).

    moved: (tries, 2, rows, columns), of blocks; the squares of all tries follow each other.
    shape: (height, width) of the image that is sampled.
    """
    tries, _, rows, columns = drawing.shape(moved)
    own = np.arange(side, dtype=np.float32) - margin
    places = []
    for axis, blocks in enumerate((rows, columns)):
        length = shape[axis]
        first = np.arange(blocks, dtype=np.float32)[:, None] * size + own
        first = np.tile(first, (tries, 1)) if axis == 0 else first
        lies = (1, tries * rows, side, 1, 1) if axis == 0 else (1, 1, 1, columns, side)
        place = drawing.slice(moved, {1: (axis, axis + 1)})
        place = drawing.reshape(place, (1, tries * rows, 1, columns, 1))
        place = drawing.add(place, first.reshape(lies))
        # The middle of pixel i lies at (2 i + 1) / length - 1. The sum also repeats it along the
        # other axis. Expand would take 8 bytes per piece for that, beside the arena.
        other = (1, 1, 1, 1, side) if axis == 0 else (1, 1, side, 1, 1)
        middle = np.full(other, 1.0 / length - 1.0)
        place = drawing.add(drawing.multiply(place, 2.0 / length), middle)
        places.append(drawing.reshape(place, (1, tries * rows * side, columns * side, 1)))
    return drawing.concat([places[1], places[0]], axis=3)


def _sampled(drawing: Drawing, image: ir.Value, places: ir.Value) -> ir.Value:
    return drawing.op(
        "GridSample", image, places, mode="nearest", padding_mode="border", align_corners=0
    )


class _Search:
    """Looks for blocks in the frame before; see ``edgeunet/models/alignment.py``."""

    def __init__(self, drawing: Drawing, height: int, width: int) -> None:
        self._drawing, self._size = drawing, (height, width)

    def motion(self, frame: ir.Value, previous: ir.Value) -> ir.Value:
        """Return where blocks lay, (1, 2, height / 8, width / 8) float32."""
        drawing = self._drawing
        now, before = (self._grey(image) for image in (frame, previous))
        found = self._coarse(self._summed(now, BLOCK), self._summed(before, BLOCK))
        for factor in (4, 2):
            finer = _Finer(drawing, self._summed(now, factor), self._summed(before, factor), factor)
            found = finer.stepped(drawing.multiply(found, 2.0))
            found = finer.like_neighbours(found)
        finest = _Finer(drawing, now, before, 1)
        return finest.between(finest.stepped(drawing.multiply(found, 2.0)))

    def _grey(self, frame: ir.Value) -> ir.Value:
        """Return the sum of the channels, (1, 1, H, W)."""
        drawing = self._drawing
        summed = drawing.summed(drawing.cast(frame, ir.DataType.FLOAT), axes=(3,))
        return drawing.reshape(summed, (1, 1, *self._size))

    def _summed(self, image: ir.Value, side: int) -> ir.Value:
        drawing = self._drawing
        sides = [side, side]
        mean = drawing.op("AveragePool", image, kernel_shape=sides, strides=sides)
        return drawing.multiply(mean, float(side * side))

    def _coarse(self, now: ir.Value, before: ir.Value) -> ir.Value:
        drawing, radius = self._drawing, COARSE_RADIUS
        rows, columns = drawing.shape(now)[2:]
        steps = range(2 * radius + 1)
        padded = drawing.replicated(before, radius, radius)
        shifted = drawing.concat(
            [drawing.slice(padded, {3: (step, step + columns)}) for step in steps], axis=1
        )
        shifted = drawing.concat(
            [drawing.slice(shifted, {2: (step, step + rows)}) for step in steps], axis=1
        )
        away = drawing.op("Abs", drawing.op("Sub", shifted, now))
        side = 2 * COARSE_MARGIN + 1
        away = drawing.replicated(away, COARSE_MARGIN, COARSE_MARGIN)
        mean = drawing.op("AveragePool", away, kernel_shape=[side, side], strides=[1, 1])
        costs = drawing.op("Round", drawing.multiply(mean, float(side * side)))
        level = STEP_COST * side * side * BLOCK * BLOCK
        return _best(drawing, costs, radius, level, axis=1)


class _Finer:
    """Compares blocks of two frames, of which each pixel sums ``factor`` by ``factor``."""

    def __init__(self, drawing: Drawing, now: ir.Value, before: ir.Value, factor: int) -> None:
        self._drawing, self._before = drawing, before
        self._size = BLOCK // factor
        self._side = self._size + 2 * MARGIN
        self._level = self._side * self._side * float(factor * factor)
        self._own = self._own_squares(now)

    def stepped(self, start: ir.Value) -> ir.Value:
        squares = self._squares(start, 1)
        costs = [self._cost(squares, row, column) for row in range(3) for column in range(3)]
        return self._moved(start, costs, STEP_COST, 1.0)

    def like_neighbours(self, found: ir.Value) -> ir.Value:
        drawing = self._drawing
        rows, columns = drawing.shape(found)[2:]
        around = drawing.replicated(found, 1, 1)
        tried = drawing.concat(
            [
                drawing.slice(around, {2: (row, row + rows), 3: (left, left + columns)})
                for row, left in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
            ],
            axis=0,
        )
        tries = drawing.shape(tried)[0]
        side = self._side
        squares = self._squares(tried, 0)
        squares = drawing.reshape(squares, (tries, rows, side, columns, side))
        cost = self._cost(squares, 0, 0)
        other = np.full((tries, 1, 1, 1, 1), OTHER_COST * self._level, np.float32)
        other[0] = 0.0
        cost = drawing.add(cost, other)
        # Of equal costs, ArgMin takes the first.
        best = drawing.op("ArgMin", cost, axis=0, keepdims=1)
        best = drawing.reshape(drawing.cast(best, ir.DataType.FLOAT), (1, 1, rows, columns))
        numbers = np.arange(tries, dtype=np.float32).reshape(-1, 1, 1, 1)
        away = drawing.op("Abs", drawing.add(best, -numbers))
        chosen = drawing.add(drawing.op("Neg", drawing.op("Min", away, drawing.one())), 1.0)
        return drawing.summed(drawing.op("Mul", tried, chosen), axes=(0,))

    def between(self, found: ir.Value) -> ir.Value:
        drawing = self._drawing
        squares = self._squares(found, 1)
        lower, right = (self._mean_of_pairs(squares, axis) for axis in _SIDES)
        both = self._mean_of_pairs(lower, _SIDES[1])
        costs = [
            self._cost(both, 0, 0),
            self._cost(lower, 0, 1),
            self._cost(both, 0, 1),
            self._cost(right, 1, 0),
            self._cost(squares, 1, 1),
            self._cost(right, 1, 1),
            self._cost(both, 1, 0),
            self._cost(lower, 1, 1),
            self._cost(both, 1, 1),
        ]
        rows, columns = drawing.shape(found)[2:]
        far = drawing.op("Min", _farthest(drawing, found), drawing.one())
        stays = drawing.add(drawing.multiply(far, 1.0 - STAYS), STAYS)
        costs[4] = drawing.op("Mul", costs[4], drawing.reshape(stays, (1, rows, 1, columns, 1)))
        return self._moved(found, costs, 0.5 * STEP_COST, 0.5, stays=1.0)

    def _moved(
        self,
        start: ir.Value,
        costs: list[ir.Value],
        step_cost: float,
        step: float,
        stays: float = STAYS,
    ) -> ir.Value:
        drawing = self._drawing
        together = drawing.concat(costs, axis=2)
        best = _best(drawing, together, 1, step_cost * self._level, axis=2, stays=stays)
        return drawing.op("Add", start, best if step == 1.0 else drawing.multiply(best, step))

    def _own_squares(self, now: ir.Value) -> ir.Value:
        drawing, size, side = self._drawing, self._size, self._side
        height, width = drawing.shape(now)[2:]
        firsts = range(0, side, size)
        after = firsts[-1] - MARGIN
        squares = drawing.replicated(now, MARGIN, after)
        length = width + MARGIN + after
        squares = drawing.reshape(squares, (1, height + MARGIN + after, length))
        for axis, whole in ((1, height), (3, width)):
            parts = []
            for first in firsts:
                there = drawing.slice(squares, {axis: (first, first + whole)})
                shape = drawing.shape(there)
                blocks = (*shape[:axis], whole // size, size, *shape[axis + 1 :])
                there = drawing.reshape(there, blocks)
                if size > side - first:
                    there = drawing.slice(there, {axis + 1: (0, side - first)})
                parts.append(there)
            squares = drawing.concat(parts, axis=axis + 1)
        return squares

    def _squares(self, moved: ir.Value, further: int) -> ir.Value:
        drawing = self._drawing
        tries, _, rows, columns = drawing.shape(moved)
        side, margin = self._side + 2 * further, MARGIN + further
        height, width = drawing.shape(self._before)[2:]
        places = _squares(drawing, moved, self._size, margin, side, (height, width))
        found = _sampled(drawing, self._before, places)
        return drawing.reshape(found, (1, tries * rows, side, columns, side))

    def _cost(self, squares: ir.Value, row: int, column: int) -> ir.Value:
        """Return how far blocks are from squares, (tries, rows, 1, columns, 1)."""
        drawing, side = self._drawing, self._side
        there = squares
        if drawing.shape(squares)[2] != side or drawing.shape(squares)[4] != side:
            there = drawing.slice(squares, {2: (row, row + side), 4: (column, column + side)})
        return drawing.summed(drawing.op("Abs", drawing.op("Sub", there, self._own)), axes=_SIDES)

    def _mean_of_pairs(self, squares: ir.Value, axis: int) -> ir.Value:
        drawing = self._drawing
        length = drawing.shape(squares)[axis]
        first = drawing.slice(squares, {axis: (0, length - 1)})
        second = drawing.slice(squares, {axis: (1, length)})
        return drawing.multiply(drawing.op("Add", first, second), 0.5)


def _best(
    drawing: Drawing,
    costs: ir.Value,
    radius: int,
    step_cost: float,
    *,
    axis: int,
    stays: float = STAYS,
) -> ir.Value:
    """Return the cheapest step, (1, 2, rows, columns). axis: that of the steps in ``costs``."""
    steps = np.abs(np.arange(-radius, radius + 1, dtype=np.float32))
    side = len(steps)
    lies = (1, 1, -1, 1, 1) if axis == 2 else (1, -1, 1, 1)
    far = (steps[:, None] + steps[None, :]).reshape(lies)
    share = np.where(far == 0, np.float32(stays), np.float32(1.0))
    weighted = costs if stays == 1.0 else drawing.multiply(costs, share)
    best = drawing.op(
        "ArgMin", drawing.add(weighted, far * np.float32(step_cost)), axis=axis, keepdims=1
    )
    shape = drawing.shape(costs)
    rows, columns = shape[2:] if axis == 1 else (shape[1], shape[3])
    best = drawing.reshape(drawing.cast(best, ir.DataType.FLOAT), (1, 1, rows, columns))
    row = drawing.op("Floor", drawing.multiply(drawing.add(best, 0.5), 1 / side))
    column = drawing.op("Sub", best, drawing.multiply(row, float(side)))
    return drawing.add(drawing.concat([row, column], axis=1), float(-radius))


def _farthest(drawing: Drawing, moved: ir.Value) -> ir.Value:
    """Return the larger of both distances, doubled: at least 1 where a block moves."""
    far = drawing.op("ReduceMax", drawing.op("Abs", moved), axes=[1], keepdims=1)
    return drawing.multiply(far, 2.0)


def _moves(drawing: Drawing, moved: ir.Value) -> ir.Value:
    far = drawing.op("Min", _farthest(drawing, moved), drawing.one())
    return drawing.cast(far, ir.DataType.UINT8)


def _count(drawing: Drawing, count: ir.Value, moved: ir.Value) -> ir.Value:
    height, width = drawing.shape(count)[2:]
    half = BLOCK // 2
    steps = drawing.op("Floor", drawing.multiply(moved, 0.5))
    places = _squares(drawing, steps, half, 0, half, (height, width))
    fetched = _sampled(drawing, drawing.cast(count, ir.DataType.FLOAT), places)
    return drawing.cast(fetched, ir.DataType.UINT8)


class _Between:
    """Takes blocks from where they lay, between pixels too; see ``fetch_between``."""

    def __init__(self, drawing: Drawing, moved: ir.Value, height: int, width: int) -> None:
        self._drawing, self._size = drawing, (height, width)
        whole = drawing.op("Floor", moved)
        part = drawing.op("Sub", moved, whole)
        rows, columns = height // BLOCK, width // BLOCK
        self._parts = [
            drawing.reshape(drawing.slice(part, {1: (n, n + 1)}), (1, 1, rows, 1, columns, 1))
            for n in range(2)
        ]
        self._places = _squares(drawing, whole, BLOCK, 0, BLOCK + 1, self._size)

    def taken(self, image: ir.Value) -> ir.Value:
        """Return an image of bytes, (1, H, W, 3), from where its blocks lay."""
        drawing, (height, width) = self._drawing, self._size
        rows, columns = height // BLOCK, width // BLOCK
        floats = drawing.cast(image, ir.DataType.FLOAT)
        planes = drawing.op("Transpose", floats, perm=[0, 3, 1, 2])
        blocks = _sampled(drawing, planes, self._places)
        mixed = drawing.reshape(blocks, (1, 3, rows, BLOCK + 1, columns, BLOCK + 1))
        for axis, part in zip((3, 5), self._parts, strict=True):
            first = drawing.slice(mixed, {axis: (0, BLOCK)})
            second = drawing.slice(mixed, {axis: (1, BLOCK + 1)})
            away = drawing.op("Mul", drawing.op("Sub", second, first), part)
            mixed = drawing.op("Add", first, away)
        flat = drawing.op("Round", drawing.reshape(mixed, (1, 3, height, width)))
        pixels = drawing.op("Transpose", flat, perm=[0, 2, 3, 1])
        return drawing.cast(pixels, ir.DataType.UINT8)
