"""Check that the shots of a burst show one static scene in constant light.

Means of 16x16 blocks are compared, in which noise is small and motion is not. A block of one shot
may be as far from the median of the others as noise explains. The noise is measured by differences
of neighbouring shots within each block. The part of it that remains in a block's mean depends on
how much the camera smooths it, so that is measured as well, over all blocks and shots.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import SourceError

LIMIT = 8.0
"""Largest distance of a block from the median of the other shots, in deviations of its noise."""

BLOCK = 16

# Smallest deviation, in 8-bit steps, to allow for coding and rounding.
_LEAST = 0.25

# A blur of sigma 2.5 pixels leaves nine times the deviation of independent noise in a mean.
_MOST_SMEARED = 9.0

# Deviation of a median, relative to that of a mean.
_MEDIAN = np.pi / 2

Planes = NDArray[np.float32]


def check_still(name: str, shots: NDArray[np.uint8], numbers: Sequence[int]) -> None:
    """Raise SourceError, with the shot's number, unless all shots show one static scene.

    shots: (S, H, W, 3) uint8, S at least 3.
    numbers: of the shots, for messages.
    """
    for index in range(1, len(shots)):
        if np.array_equal(shots[index - 1], shots[index]):
            raise SourceError(
                f"shots {numbers[index - 1]} and {numbers[index]} of {name!r} are the same picture",
                hint="remove one: two shots must differ in their noise",
            )
    ratios = deviations(shots)
    farthest = ratios.max(axis=(1, 2))
    if farthest.max() <= LIMIT:
        return
    worst = int(farthest.argmax())
    row, column = (int(n) for n in np.unravel_index(ratios[worst].argmax(), ratios[worst].shape))
    others = [numbers[int(index)] for index in np.flatnonzero(farthest > LIMIT) if index != worst]
    too = f"; so do shots {', '.join(map(str, others))}" if len(others) > 1 else ""
    too = f"; so does shot {others[0]}" if len(others) == 1 else too
    raise SourceError(
        f"shot {numbers[worst]} of {name!r} does not fit the others: at row {row * BLOCK}, column "
        f"{column * BLOCK} it differs {farthest[worst]:.1f} times as much as noise explains, limit "
        f"{LIMIT:g}{too}",
        hint="remove the shot, or take the burst again: camera on a tripod, nothing that moves, "
        "constant light and exposure",
    )


def deviations(shots: NDArray[np.uint8]) -> Planes:
    """Return the distance of each block from the median of the other shots, (S, rows, columns).

    float32; 1 is the standard deviation that noise explains. shots: see check_still.
    """
    count = len(shots)
    means = np.stack([_blocks(_grey(shot)).mean(axis=(1, 3)) for shot in shots])
    noise = _noise(shots)
    away = np.stack(
        [means[n] - np.median(np.delete(means, n, axis=0), axis=0) for n in range(count)]
    )
    expected = noise / BLOCK * np.sqrt(1 + _MEDIAN / (count - 1))
    smeared = 1.4826 * float(np.median(np.abs(away) / expected))
    expected = np.maximum(expected * np.clip(smeared, 1, _MOST_SMEARED), _LEAST)
    ratios: Planes = (np.abs(away) / expected).astype(np.float32)
    return ratios


def shared_noise(shots: NDArray[np.uint8]) -> float:
    """Return the deviation of neighbouring shots over that of distant ones.

    It is 1 if the noise of all shots is independent. It is smaller if a codec copies noise between
    frames, or a camera averages over time.
    """
    count = len(shots)
    near = _middle_difference(shots, 1)
    far = _middle_difference(shots, count // 2)
    return near / far if far else 1.0


def _middle_difference(shots: NDArray[np.uint8], distance: int) -> float:
    """Return the median over blocks and pairs of the deviation between shots."""
    pairs = range(len(shots) - distance)
    found = [_spread(_grey(shots[n]) - _grey(shots[n + distance])) for n in pairs]
    return float(np.median(np.stack(found)))


def _noise(shots: NDArray[np.uint8]) -> Planes:
    """Return the standard deviation of the noise in each block, in 8-bit steps.

    It is the lower quartile over pairs of neighbours, because a differing shot affects two pairs.
    """
    count = len(shots)
    spreads = [_spread(_grey(shots[n]) - _grey(shots[(n + 1) % count])) for n in range(count)]
    noise: Planes = np.quantile(np.stack(spreads), 0.25, axis=0) / np.sqrt(2)
    return np.maximum(noise, np.sqrt(1 / 12))


def _grey(shot: NDArray[np.uint8]) -> Planes:
    grey: Planes = shot.mean(axis=2, dtype=np.float32)
    return grey


def _spread(plane: Planes) -> Planes:
    spread: Planes = _blocks(plane).std(axis=(1, 3))
    return spread


def _blocks(plane: Planes) -> Planes:
    """Return a plane (H, W) as (rows, BLOCK, columns, BLOCK); incomplete blocks are left out."""
    rows, columns = (side // BLOCK for side in plane.shape)
    return plane[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
