"""Find differences between two shots of a scene that are not noise: light and motion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.noise_profile.curves import Mask
from edgeunet.pixels import Doubles, Floats

BLOCK = 32
"""Side in pixels of the blocks in which moving objects are searched."""


MOST_MOVED = 0.05
"""Share of the blocks that may hold an object that moves."""

_CELL = 4
_BLOCK_CELLS = BLOCK // _CELL

# Standard deviation of a normal distribution over the median of its absolute values.
_MEDIAN_TO_DEVIATION = 1.4826
# Limits, in levels and in deviations, below which the mean of a block is explained by noise. The
# mean of a block has up to 0.45 of the deviation of smoothed noise.
_BLOCK_LEVELS = 1.0
_BLOCK_DEVIATIONS = 6.0
_BLOCK_SHARE = 0.6
_BLOCK_ENERGY = 6.0
_BRIGHTNESS_RANGES = 8
_FEWEST_BLOCKS = 8


@dataclass(frozen=True)
class Change:
    """The change from one shot to the next.

    light: (3, 2): per channel the offset in levels, and the slope per level of brightness.
    brightness: mean change of luma that ``light`` causes, in levels.
    displacement: (down, right) in pixels.
    displaced: share of the remaining difference that the displacement explains, 0..1.
    different: the median block differs more than noise can explain.
    moved: (rows, columns) of blocks; True where an object moved.
    """

    light: Doubles
    brightness: float
    displacement: tuple[float, float]
    displaced: float
    different: bool
    moved: Mask


def change_between(first: Floats, second: Floats) -> Change:
    """Compare two shots, (H, W, 3) float32, RGB, 0..255; both sides at least 32 pixels."""
    # The mean of both shots, so that the noise of one shot does not bias the fit.
    between = (first + second) / np.float32(2)
    mean, difference = _cells(between), _cells(second - first)
    light = _light(mean, difference, np.ones(mean.shape[:2], np.bool_))
    left = (second - first).mean(axis=2) - (
        light[:, 0].mean() + light[:, 1].mean() * between.mean(axis=2)
    )
    luma = mean.mean(axis=2)
    different, moved = _moved_blocks(left, _blocks(luma, _BLOCK_CELLS).mean(axis=(1, 3)))
    still = np.ones(luma.shape, np.bool_)
    if moved.mean() <= MOST_MOVED:
        # Moving objects are left out of the fits of light and displacement.
        still = ~grown(moved, luma.shape[0], luma.shape[1], _BLOCK_CELLS)
        light = _light(mean, difference, still)
    change = (difference - (light[:, 0] + light[:, 1] * mean)).mean(axis=2)
    displacement, displaced = _displacement(luma, change, still)
    brightness = float((light[:, 0] + light[:, 1] * mean.mean(axis=(0, 1))).mean())
    return Change(light, brightness, displacement, displaced, different, moved)


def without_light(first: Floats, second: Floats, light: Doubles) -> Floats:
    """Return the second shot with the light of the first."""
    offset, slope = light.astype(np.float32).T
    same: Floats = second - (offset + slope * (first + second) / 2)
    return same


def grown(blocks: Mask, height: int, width: int, side: int = BLOCK) -> Mask:
    """Return a mask of blocks as (height, width); incomplete blocks follow the last one."""
    rows = np.minimum(np.arange(height) // side, blocks.shape[0] - 1)
    columns = np.minimum(np.arange(width) // side, blocks.shape[1] - 1)
    mask: Mask = blocks[rows][:, columns]
    return mask


def _cells(image: Floats) -> Doubles:
    """Return the means of cells of 4x4 pixels."""
    height, width = (side // _CELL * _CELL for side in image.shape[:2])
    cut = image[:height, :width].reshape(height // _CELL, _CELL, width // _CELL, _CELL, 3)
    cells: Doubles = cut.mean(axis=(1, 3), dtype=np.float64)
    return cells


def _blocks(plane: NDArray[np.floating], side: int) -> NDArray[np.floating]:
    """Return a plane as (rows, side, columns, side)."""
    height, width = (length // side * side for length in plane.shape)
    return plane[:height, :width].reshape(height // side, side, width // side, side)


def _light(mean: Doubles, difference: Doubles, still: Mask) -> Doubles:
    return np.stack([_line(mean[still, c], difference[still, c]) for c in range(3)])


def _line(mean: Doubles, difference: Doubles) -> Doubles:
    """Return offset and slope of a difference as a function of brightness."""
    centred = mean - mean.mean()
    spread = float((centred * centred).mean())
    slope = float((centred * difference).mean()) / spread if spread > 0 else 0.0
    return np.array([difference.mean() - slope * mean.mean(), slope])


def _displacement(luma: Doubles, change: Doubles, still: Mask) -> tuple[tuple[float, float], float]:
    """Return the displacement in pixels that explains a change best, and the share it explains.

    A small displacement changes an image by its gradient times the displacement.
    """
    down = (luma[2:, 1:-1] - luma[:-2, 1:-1]) / (2 * _CELL)
    right = (luma[1:-1, 2:] - luma[1:-1, :-2]) / (2 * _CELL)
    counted = still[1:-1, 1:-1]
    inner = change[1:-1, 1:-1][counted]
    gradients = np.stack([down[counted], right[counted]], axis=1)
    found = np.linalg.lstsq(gradients, -inner, rcond=None)[0]
    whole = float((inner * inner).sum())
    explained = float(((gradients @ found) ** 2).sum())
    # Two parameters explain this share by chance; smoothed noise has fewer independent cells.
    chance = 8 * 2 / inner.size
    share = max(explained / whole - chance, 0.0) if whole > 0 else 0.0
    return (float(found[0]), float(found[1])), share


def _moved_blocks(left: Floats, brightness: NDArray[np.floating]) -> tuple[bool, Mask]:
    """Return whether most blocks differ, and the blocks that differ more than the others."""
    means = _blocks(left, BLOCK).mean(axis=(1, 3))
    energies = _blocks(left * left, BLOCK).mean(axis=(1, 3))
    brightness = brightness[: means.shape[0], : means.shape[1]]
    deviation = max(_MEDIAN_TO_DEVIATION * float(np.median(np.abs(left))), 0.5)
    spread = _MEDIAN_TO_DEVIATION * float(np.median(np.abs(means)))
    # In a coded clip most pixels are repeated, so the median is too small.
    deviation = max(deviation, math.sqrt(float(np.median(energies))))
    different = spread > max(_BLOCK_SHARE * deviation, _BLOCK_LEVELS)
    limit = max(_BLOCK_LEVELS, _BLOCK_DEVIATIONS * spread, _BLOCK_SHARE * deviation)
    moved = np.abs(means) > limit
    place = np.clip(brightness * _BRIGHTNESS_RANGES / 256, 0, _BRIGHTNESS_RANGES - 1).astype(int)
    for number in np.unique(place):
        alike = place == number
        if np.count_nonzero(alike) >= _FEWEST_BLOCKS:
            usual = max(float(np.median(energies[alike])), float(energies[alike].mean()) / 2, 0.5)
            moved |= alike & (energies > _BLOCK_ENERGY * usual)
    return different, moved
