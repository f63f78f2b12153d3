"""What is different between two shots of a scene besides noise: light, movement, objects."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.noise_profile.curves import Mask
from edgeunet.pixels import Doubles, Floats

BLOCK = 32
"""Side in pixels of the blocks in which objects are looked for."""


MOST_MOVED = 0.05
"""Share of the blocks that may hold an object that moves."""

_CELL = 4
_BLOCK_CELLS = BLOCK // _CELL

# A normal distribution's standard deviation in medians of its absolute values.
_MEDIAN_TO_DEVIATION = 1.4826
# Below this many levels, and so many deviations, the mean of a block is that of noise. Smoothed
# noise is smooth over some pixels: of its deviation up to 0.45 is left in a block's mean.
_BLOCK_LEVELS = 1.0
_BLOCK_DEVIATIONS = 6.0
_BLOCK_SHARE = 0.6
_BLOCK_ENERGY = 6.0
_BRIGHTNESS_RANGES = 8
_FEWEST_BLOCKS = 8


@dataclass(frozen=True)
class Change:
    """What changed from one shot to the next.

    light: (3, 2), per channel the offset in levels and the slope per level of brightness.
    brightness: mean change of luma that these two are, in levels. displacement: (down, right)
    in pixels. displaced: the share of the difference, light taken out, that the displacement
    explains, 0..1. different: the median block is more different than noise can be. moved:
    (rows, columns) of blocks, where something moved.
    """

    light: Doubles
    brightness: float
    displacement: tuple[float, float]
    displaced: float
    different: bool
    moved: Mask


def change_between(first: Floats, second: Floats) -> Change:
    """Compare two shots, (H, W, 3) float32, RGB, 0..255; both sides at least 32 pixels."""
    # Between the two shots, so that the noise of neither is in both sides of an equation.
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
        # An object is neither light nor a movement of the camera.
        still = ~grown(moved, luma.shape[0], luma.shape[1], _BLOCK_CELLS)
        light = _light(mean, difference, still)
    change = (difference - (light[:, 0] + light[:, 1] * mean)).mean(axis=2)
    displacement, displaced = _displacement(luma, change, still)
    brightness = float((light[:, 0] + light[:, 1] * mean.mean(axis=(0, 1))).mean())
    return Change(light, brightness, displacement, displaced, different, moved)


def without_light(first: Floats, second: Floats, light: Doubles) -> Floats:
    """Return the second shot in the light of the first."""
    offset, slope = light.astype(np.float32).T
    same: Floats = second - (offset + slope * (first + second) / 2)
    return same


def grown(blocks: Mask, height: int, width: int, side: int = BLOCK) -> Mask:
    """Return a mask (height, width); what is not in a whole block goes with the last one."""
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
    """Return offset and slope of a difference over brightness."""
    centred = mean - mean.mean()
    spread = float((centred * centred).mean())
    slope = float((centred * difference).mean()) / spread if spread > 0 else 0.0
    return np.array([difference.mean() - slope * mean.mean(), slope])


def _displacement(luma: Doubles, change: Doubles, still: Mask) -> tuple[tuple[float, float], float]:
    """Return the displacement in pixels that explains a change best, and the share it explains.

    A small displacement changes a picture by its gradient times the displacement.
    """
    down = (luma[2:, 1:-1] - luma[:-2, 1:-1]) / (2 * _CELL)
    right = (luma[1:-1, 2:] - luma[1:-1, :-2]) / (2 * _CELL)
    counted = still[1:-1, 1:-1]
    inner = change[1:-1, 1:-1][counted]
    gradients = np.stack([down[counted], right[counted]], axis=1)
    found = np.linalg.lstsq(gradients, -inner, rcond=None)[0]
    whole = float((inner * inner).sum())
    explained = float(((gradients @ found) ** 2).sum())
    # Chance explains two of so many cells; smoothed noise has fewer that are independent.
    chance = 8 * 2 / inner.size
    share = max(explained / whole - chance, 0.0) if whole > 0 else 0.0
    return (float(found[0]), float(found[1])), share


def _moved_blocks(left: Floats, brightness: NDArray[np.floating]) -> tuple[bool, Mask]:
    """Return whether all is different, and the blocks that are more so than the others."""
    means = _blocks(left, BLOCK).mean(axis=(1, 3))
    energies = _blocks(left * left, BLOCK).mean(axis=(1, 3))
    brightness = brightness[: means.shape[0], : means.shape[1]]
    deviation = max(_MEDIAN_TO_DEVIATION * float(np.median(np.abs(left))), 0.5)
    spread = _MEDIAN_TO_DEVIATION * float(np.median(np.abs(means)))
    # A coded clip repeats most of its pixels: the mean deviation is the larger one then.
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
