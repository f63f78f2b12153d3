"""Align the previous frame with the current one, in blocks that move by half pixels.

Blocks are matched on grey frames of an eighth of the size, then of a quarter, of half, and of the
full size. Between these steps a block tries what its neighbours found, so that flat areas move with
what is around them. All sums are of whole numbers that float32 holds exactly, so every engine finds
the same motion.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 8
"""Side of a block in pixels. Each block moves as one."""

# The search on an eighth of the size goes this many pixels of it in every direction.
COARSE_RADIUS = 4

REACH = COARSE_RADIUS * BLOCK + 4 + 2 + 1 + 1
"""Motion in pixels is never larger, along rows and along columns."""

# A coarse match is judged on this many pixels of the eighth on each side of the block, and a finer
# one on this many pixels of the finer frames.
COARSE_MARGIN, MARGIN = 2, 2

# A block tries the motions of its neighbours twice.
_TRIES = 2

_SEARCHED = (COARSE_RADIUS + COARSE_MARGIN + _TRIES) * BLOCK

HALO = -(-max(_SEARCHED, REACH + MARGIN) // BLOCK) * BLOCK
"""Pixels around a block that its motion, and what is fetched for it, depend on at most.

The search on an eighth of the size reads the farthest: what a match is judged on, the radius, and
the neighbours whose motions are tried. Whole blocks of pixels, because windows start at whole
blocks.
"""

# A motion must be better than staying by this share, or noise would move flat areas.
STAYS = 1 - 1 / 8

# Added for each step away from the start, and for another block's motion, in grey levels of three
# channels together.
STEP_COST = 1.0
OTHER_COST = 0.5


def motion(current: Tensor, previous: Tensor) -> Tensor:
    """Return where each block of the current frame lay in the previous one.

    current, previous: (N, 3, H, W), 0..255, whole numbers; H and W are multiples of BLOCK.
    Returns (N, 2, H / 8, W / 8): rows and columns to go, in steps of half a pixel.
    """
    now, before = (image.sum(dim=1, keepdim=True) for image in (current, previous))
    found = _coarse(_summed(now, 8), _summed(before, 8))
    for factor in (4, 2):
        frames = _summed(now, factor), _summed(before, factor)
        finer = _Finer(*frames, BLOCK // factor, float(factor * factor))
        found = finer.stepped(found * 2)
        found = finer.like_neighbours(found)
    finest = _Finer(now, before, BLOCK, 1.0)
    return finest.between(finest.stepped(found * 2))


def fetch_between(image: Tensor, moved: Tensor) -> Tensor:
    """Return an image whose blocks are taken from where they lay; see ``motion``.

    Between pixels it is interpolated (bilinear). image: (N, C, H, W).
    """
    rows, columns = moved.shape[-2:]
    whole = torch.floor(moved)
    shape = (-1, image.shape[1], rows, BLOCK + 1, columns, BLOCK + 1)
    # One more row and column than a block has.
    blocks = _fetched(image, whole, BLOCK, 0, BLOCK + 1).reshape(shape)
    part = (moved - whole)[:, :, None, :, None, :, None]
    upper, lower = blocks[:, :, :, :BLOCK], blocks[:, :, :, 1:]
    mixed = upper + part[:, 0] * (lower - upper)
    left, right = mixed[..., :BLOCK], mixed[..., 1:]
    mixed = left + part[:, 1] * (right - left)
    return mixed.reshape(-1, image.shape[1], rows * BLOCK, columns * BLOCK)


def fetch(image: Tensor, moved: Tensor, *, size: int = BLOCK, margin: int = 0) -> Tensor:
    """Return an image whose blocks are taken from where they lay, with a margin around each.

    image: (N, C, H, W). moved: (N, 2, H / size, W / size), whole pixels of the image.
    Returns (N, C, H', W'), where each block has a side of size + 2 margin. Pixels outside the
    image are those of its border.
    """
    return _fetched(image, moved, size, margin, size + 2 * margin)


def _fetched(
    image: Tensor, moved: Tensor, size: int, margin: int, side: int, again: int | None = None
) -> Tensor:
    """Return squares of ``side`` pixels that begin ``margin`` pixels before each block.

    again: the number of rows of blocks after which the first row of blocks follows again.
    """
    height, width = image.shape[-2:]
    rows = _positions(moved[:, 0], size, margin, side, along=1, again=again)
    columns = _positions(moved[:, 1], size, margin, side, along=2)
    blocks = moved.shape[-2:]
    shape = (-1, blocks[0], side, blocks[1], side)
    whole = (-1, blocks[0] * side, blocks[1] * side)
    # The middle of pixel i lies at (2 i + 1) / length - 1.
    grid = torch.stack(
        [
            ((2 * columns + 1) / width - 1).expand(shape).reshape(whole),
            ((2 * rows + 1) / height - 1).expand(shape).reshape(whole),
        ],
        dim=-1,
    )
    return functional.grid_sample(
        image, grid, mode="nearest", padding_mode="border", align_corners=False
    )


def _positions(
    moved: Tensor, size: int, margin: int, side: int, *, along: int, again: int | None = None
) -> Tensor:
    """Return the rows, or the columns, that every pixel of every block is taken from.

    moved: (N, rows of blocks, columns of blocks). along: 1 for rows, 2 for columns.
    Returns (N, rows of blocks, side or 1, columns of blocks, 1 or side).
    """
    blocks = moved.shape[along]
    own = torch.arange(side, dtype=moved.dtype, device=moved.device) - margin
    first = torch.arange(again or blocks, dtype=moved.dtype, device=moved.device) * size
    first = first if again is None else first.repeat(blocks // again)
    if along == 1:
        return moved[:, :, None, :, None] + (first[:, None] + own)[None, :, :, None, None]
    return moved[:, :, None, :, None] + (first[:, None] + own)[None, None, None, :, :]


def _summed(image: Tensor, side: int) -> Tensor:
    """Return the sums of squares of pixels. side: a power of two, so the mean is exact."""
    return functional.avg_pool2d(image, side) * float(side * side)


def _own_squares(image: Tensor, size: int) -> Tensor:
    """Return the square around each block, its margin included: (N, rows, side, columns, side).

    image: (N, 1, H, W). Slices of it make no constants, which positions to fetch would.
    """
    side = size + 2 * MARGIN
    firsts = range(0, side, size)
    after = firsts[-1] - MARGIN
    squares = functional.pad(image, (MARGIN, after, MARGIN, after), mode="replicate")[:, 0]
    for axis, length in ((1, image.shape[2]), (3, image.shape[3])):
        parts = []
        for first in firsts:
            there = squares.narrow(axis, first, length)
            shape = (*there.shape[:axis], length // size, size, *there.shape[axis + 1 :])
            blocks = there.reshape(shape)
            parts.append(blocks.narrow(axis + 1, 0, min(size, side - first)))
        squares = torch.cat(parts, dim=axis + 1)
    return squares


def _replicated(values: Tensor, margin: int) -> Tensor:
    return functional.pad(values, (margin, margin, margin, margin), mode="replicate")


def _coarse(now: Tensor, before: Tensor) -> Tensor:
    """Search all motions of the coarse radius; return the best of each block in coarse pixels."""
    radius, (height, width) = COARSE_RADIUS, now.shape[-2:]
    padded = _replicated(before, radius)
    steps = range(2 * radius + 1)
    shifted = torch.cat([padded[..., step : step + width] for step in steps], dim=1)
    side = 2 * COARSE_MARGIN + 1
    costs = []
    for step in steps:
        away = (shifted[..., step : step + height, :] - now).abs()
        # Zeros outside the frame would make blocks at its border look better matched.
        mean = functional.avg_pool2d(_replicated(away, COARSE_MARGIN), side, stride=1)
        costs.append(torch.round(mean * float(side * side)))
    return _best(torch.cat(costs, dim=1), radius, STEP_COST * side * side * BLOCK * BLOCK)


class _Finer:
    """Compares blocks of two frames, each with a margin around it.

    now, before: (N, 1, H, W). size: side of a block in pixels of these frames.
    pixels: how many pixels of the full size each of these sums.
    """

    def __init__(self, now: Tensor, before: Tensor, size: int, pixels: float) -> None:
        self._before, self._size = before, size
        self._side = size + 2 * MARGIN
        self._level = self._side * self._side * pixels
        self._own = _own_squares(now, size)

    def stepped(self, start: Tensor) -> Tensor:
        """Return the best motion at most one pixel away from where each block starts."""
        squares = self._squares(start, 1)
        costs = [self._cost(squares, row, column) for row in range(3) for column in range(3)]
        return start + _best(torch.stack(costs, dim=1), 1, STEP_COST * self._level)

    def like_neighbours(self, found: Tensor) -> Tensor:
        """Return the best of each block's motion and those of the four blocks beside it."""
        rows, columns = found.shape[-2:]
        around = _replicated(found, 1)
        places = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
        tried = [around[:, :, row : row + rows, left : left + columns] for row, left in places]
        squares = self._squares(torch.cat(tried, dim=2), 0, rows).chunk(len(tried), dim=1)
        best, least = found, self._cost(squares[0], 0, 0)
        for other, there in zip(tried[1:], squares[1:], strict=True):
            cost = self._cost(there, 0, 0) + OTHER_COST * self._level
            better = cost < least
            least = torch.where(better, cost, least)
            best = torch.where(better[:, None], other, best)
        return best

    def between(self, found: Tensor) -> Tensor:
        """Return the best motion at most half a pixel away; a block that stays does so rather."""
        squares = self._squares(found, 1)
        lower = (squares[:, :, :-1] + squares[:, :, 1:]) * 0.5
        right = (squares[..., :-1] + squares[..., 1:]) * 0.5
        both = (lower[..., :-1] + lower[..., 1:]) * 0.5
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
        stays = found.abs().amax(dim=1, keepdim=True) == 0
        share = torch.where(stays, STAYS, 1.0)
        level = 0.5 * STEP_COST * self._level
        return found + 0.5 * _best(torch.stack(costs, dim=1), 1, level, share)

    def _squares(self, moved: Tensor, further: int, rows: int | None = None) -> Tensor:
        """Return the squares that blocks lay in, (N, rows, side, columns, side).

        rows: of blocks; several motions of them may follow each other.
        """
        side, margin = self._side + 2 * further, MARGIN + further
        found = _fetched(self._before, moved, self._size, margin, side, rows)
        return found.reshape(-1, moved.shape[2], side, moved.shape[3], side)

    def _cost(self, squares: Tensor, row: int, column: int) -> Tensor:
        """Return how far blocks are from squares that begin at a row and a column: (N, H, W)."""
        side = self._side
        there = squares[:, :, row : row + side, :, column : column + side]
        return (there - self._own).abs().sum(dim=(2, 4))


def _best(costs: Tensor, radius: int, step_cost: float, stays: Tensor | float = STAYS) -> Tensor:
    """Return the cheapest step of each block, (N, 2, rows, columns).

    costs: (N, (2 radius + 1)^2, rows, columns), row by row of steps.
    stays: what the cost of staying is multiplied with.
    """
    steps = torch.arange(-radius, radius + 1, dtype=costs.dtype, device=costs.device)
    side = len(steps)
    far = (steps.abs()[:, None] + steps.abs()[None, :]).reshape(1, -1, 1, 1)
    share = torch.where(far == 0, stays, 1.0)
    best = (costs * share + step_cost * far).argmin(dim=1).to(costs.dtype)
    # Half a step keeps the quotient away from whole numbers, so that rounding cannot matter.
    row = torch.floor((best + 0.5) * (1 / side))
    return torch.stack([row - radius, best - side * row - radius], dim=1)
