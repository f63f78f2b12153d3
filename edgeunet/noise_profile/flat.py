"""Measure noise in one shot of a flat scene, as the difference from a smooth surface.

Offsets of pixels and columns that the sensor has in every shot are included.
"""

from __future__ import annotations

import numpy as np

from edgeunet.errors import SourceError
from edgeunet.noise_profile.motion import BLOCK
from edgeunet.noise_profile.profile import NoiseProfile
from edgeunet.noise_profile.sums import NoiseSums
from edgeunet.pixels import Bytes, Floats

# Light that falls off towards the corners, and from one side to the other.
_DEGREE = 4
_STEP = 4
_MEDIAN_TO_DEVIATION = 1.4826
# In a flat scene, means over blocks are small, and all blocks have similar noise.
_MOST_BLOCK_SHARE = 0.5
# Luma noise that a Gaussian of two pixels has smoothed correlates by 0.37 at four pixels.
_LAG = 4
_MOST_CORRELATED = 0.5
_MOST_UNEVEN = 8.0


def flat_profile(image: Bytes, source: str) -> NoiseProfile:
    """Measure one shot, (H, W, 3) uint8, RGB. Raises SourceError when its scene is not flat."""
    values = image.astype(np.float32)
    surface = np.stack([_surface(values[:, :, channel]) for channel in range(3)], axis=2)
    residual = values - surface
    _check_flat(residual.mean(axis=2), source)
    sums = NoiseSums()
    sums.add(np.clip(surface, 0, 255), residual)
    return sums.profile(source, "spatial", 1, (image.shape[0], image.shape[1]))


def _surface(plane: Floats) -> Floats:
    """Return the polynomial of degree 4 in both directions that is nearest to a plane."""
    height, width = plane.shape
    down = np.polynomial.legendre.legvander(np.linspace(-1, 1, height), _DEGREE)
    right = np.polynomial.legendre.legvander(np.linspace(-1, 1, width), _DEGREE)
    chosen = [(i, j) for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i)]
    sample = plane[::_STEP, ::_STEP]
    terms = [np.outer(down[::_STEP, i], right[::_STEP, j]).ravel() for i, j in chosen]
    factors = np.linalg.lstsq(np.stack(terms, axis=1), sample.ravel(), rcond=None)[0]
    table = np.zeros((_DEGREE + 1, _DEGREE + 1))
    for (i, j), factor in zip(chosen, factors, strict=True):
        table[i, j] = factor
    surface: Floats = (down @ table @ right.T).astype(np.float32)
    return surface


def _check_flat(residual: Floats, source: str) -> None:
    rows, columns = (side // BLOCK for side in residual.shape)
    blocks = residual[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    means, energies = blocks.mean(axis=(1, 3)), blocks.var(axis=(1, 3))
    deviation = max(float(residual.std()), 1e-6)
    share = float(means.std()) / deviation
    low, high = (float(value) for value in np.percentile(energies, (10, 90)))
    uneven = high / max(low, 1 / 12)
    hint = "photograph an evenly lit wall out of focus, or give two or more shots of a static scene"
    if share > _MOST_BLOCK_SHARE:
        raise SourceError(
            f"{source!r} is a single shot, and its scene is not flat: {share:.0%} of what is not "
            f"smooth in it is larger than {BLOCK} pixels",
            hint=hint,
        )
    across = float((residual[:, :-_LAG] * residual[:, _LAG:]).mean())
    down = float((residual[:-_LAG] * residual[_LAG:]).mean())
    correlation = (across + down) / 2 / deviation**2
    if correlation > _MOST_CORRELATED:
        raise SourceError(
            f"{source!r} is a single shot, and its scene is not flat: pixels {_LAG} apart are "
            f"alike (correlation {correlation:.2f}), as texture is",
            hint=hint,
        )
    if uneven > _MOST_UNEVEN:
        raise SourceError(
            f"{source!r} is a single shot, and its scene is not flat: some of it varies "
            f"{uneven:.0f} times as much as the rest",
            hint=hint,
        )
