"""Align the previous frame with the current one, in blocks of whole pixels.

Blocks are matched on grey frames of a quarter of the size, then of half, then of the full size. All
sums are of whole numbers that float32 holds exactly, so every engine finds the same motion.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 8
"""Side of a block in pixels. Each block moves as one."""

# The search on a quarter of the size goes this many pixels of it in every direction.
_COARSE_RADIUS = 3
_COARSE = 4

REACH = _COARSE_RADIUS * _COARSE + 2 + 1
"""Largest motion in pixels, along rows and along columns."""

# A coarse match is judged on this many pixels of the quarter, around each block.
_SUPPORT = 6

_SEARCHED = ((_SUPPORT - BLOCK // _COARSE) // 2 + _COARSE_RADIUS) * _COARSE

HALO = -(-max(_SEARCHED, REACH) // BLOCK) * BLOCK
"""Pixels around a block that its motion, and what is fetched for it, depend on at most.

The search on a quarter of the size reads the farthest: what a match is judged on, and the radius.
Whole blocks of pixels, because windows start at whole blocks.
"""

# A motion must be better than staying by this share, or noise would move flat areas.
_STAYS = 1 - 1 / 8

# Added for each step away from the start, in grey levels of three channels together.
_STEP_COST = 1.0


def motion(current: Tensor, previous: Tensor) -> Tensor:
    """Return where each block of the current frame lay in the previous one.

    current, previous: (N, 3, H, W), 0..255; H and W are multiples of BLOCK.
    Returns (N, 2, H / 8, W / 8): rows and columns to go, whole numbers of -REACH..REACH.
    """
    now, before = (image.sum(dim=1, keepdim=True) for image in (current, previous))
    found = _coarse(functional.avg_pool2d(now, _COARSE), functional.avg_pool2d(before, _COARSE))
    halves = functional.avg_pool2d(now, 2), functional.avg_pool2d(before, 2)
    found = found * 2 + _finer(*halves, found * 2, BLOCK // 2)
    return found * 2 + _finer(now, before, found * 2, BLOCK)


def fetch(image: Tensor, moved: Tensor, *, size: int = BLOCK, margin: int = 0) -> Tensor:
    """Return an image whose blocks are taken from where they lay, with a margin around each.

    image: (N, C, H, W). moved: (N, 2, H / size, W / size), whole pixels of the image.
    Returns (N, C, H', W'), where each block has a side of size + 2 margin. Pixels outside the
    image are those of its border.
    """
    height, width = image.shape[-2:]
    side = size + 2 * margin
    rows = _positions(moved[:, 0], size, margin, along=1)
    columns = _positions(moved[:, 1], size, margin, along=2)
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


def _positions(moved: Tensor, size: int, margin: int, *, along: int) -> Tensor:
    """Return the rows, or the columns, that every pixel of every block is taken from.

    moved: (N, rows of blocks, columns of blocks). along: 1 for rows, 2 for columns.
    Returns (N, rows of blocks, side or 1, columns of blocks, 1 or side).
    """
    blocks = moved.shape[along]
    own = torch.arange(size + 2 * margin, dtype=moved.dtype, device=moved.device) - margin
    first = torch.arange(blocks, dtype=moved.dtype, device=moved.device) * size
    if along == 1:
        return moved[:, :, None, :, None] + (first[:, None] + own)[None, :, :, None, None]
    return moved[:, :, None, :, None] + (first[:, None] + own)[None, None, None, :, :]


def _coarse(now: Tensor, before: Tensor) -> Tensor:
    """Search all motions of the coarse radius; return the best of each block in coarse pixels."""
    radius, (height, width) = _COARSE_RADIUS, now.shape[-2:]
    padded = functional.pad(before, (radius, radius, radius, radius), mode="replicate")
    steps = range(2 * radius + 1)
    shifted = torch.cat([padded[..., step : step + width] for step in steps], dim=1)
    edge = (_SUPPORT - 2) // 2
    costs = []
    for step in steps:
        away = (shifted[..., step : step + height, :] - now).abs()
        # Zeros outside the frame would make blocks at its border look better matched.
        away = functional.pad(away, (edge, edge, edge, edge), mode="replicate")
        costs.append(functional.avg_pool2d(away, _SUPPORT, stride=BLOCK // _COARSE))
    return _best(torch.cat(costs, dim=1), radius)


def _finer(now: Tensor, before: Tensor, start: Tensor, size: int) -> Tensor:
    """Return the best step of at most one pixel from where each block starts.

    size: side of a block in pixels of these frames.
    """
    rows, columns = start.shape[-2:]
    patches = fetch(before, start, size=size, margin=1)
    patches = patches.reshape(-1, rows, size + 2, columns, size + 2)
    own = now.reshape(-1, rows, size, columns, size)
    costs = [
        (patches[:, :, row : row + size, :, column : column + size] - own).abs().mean(dim=(2, 4))
        for row in range(3)
        for column in range(3)
    ]
    return _best(torch.stack(costs, dim=1), 1)


def _best(costs: Tensor, radius: int) -> Tensor:
    """Return the cheapest step of each block, (N, 2, rows, columns).

    costs: (N, (2 radius + 1)^2, rows, columns), row by row of steps.
    """
    steps = torch.arange(-radius, radius + 1, dtype=costs.dtype, device=costs.device)
    side = len(steps)
    far = (steps.abs()[:, None] + steps.abs()[None, :]).reshape(1, -1, 1, 1)
    share = torch.where(far == 0, _STAYS, 1.0)
    best = (costs * share + _STEP_COST * far).argmin(dim=1).to(costs.dtype)
    # Half a step keeps the quotient away from whole numbers, so that rounding cannot matter.
    row = torch.floor((best + 0.5) * (1 / side))
    return torch.stack([row - radius, best - side * row - radius], dim=1)
