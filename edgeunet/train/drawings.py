"""Draw images of eight patterns, as a classification set that needs no download.

Only the pattern differs between classes. Colours, brightness, contrast, scale, rotation and shading
are drawn from the same distributions, so a mean colour carries no information.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import RecipeError
from edgeunet.photographs import Photograph
from edgeunet.recipes import PathwayTable
from edgeunet.train.samples import Sample

Floats = NDArray[np.float64]
Generator = np.random.Generator
Pattern = Callable[[Floats, Floats, Generator], Floats]

# Makes these generators differ from those of the batches, which use the same seed.
_STREAM = 0x64726177

# Pixels from one stripe, dot or ring to the next.
_SMALLEST_PERIOD, _LARGEST_PERIOD = 10.0, 28.0

# Smallest Euclidean distance of the two colours; the largest is 255 * sqrt(3).
_LEAST_CONTRAST = 110.0


def _stripes(x: Floats, y: Floats, generator: Generator) -> Floats:
    return _wave(x)


def _checks(x: Floats, y: Floats, generator: Generator) -> Floats:
    return np.where(_wave(x) > 0.5, _wave(y), 1 - _wave(y))


def _dots(x: Floats, y: Floats, generator: Generator) -> Floats:
    radius = generator.uniform(0.25, 0.38)
    return _edge(radius - np.hypot(x - np.rint(x), y - np.rint(y)))


def _rings(x: Floats, y: Floats, generator: Generator) -> Floats:
    across, down = generator.uniform(-0.25, 0.25, 2) * (np.ptp(x), np.ptp(y))
    return _wave(np.hypot(x - x.mean() - across, y - y.mean() - down))


def _zigzag(x: Floats, y: Floats, generator: Generator) -> Floats:
    tooth = generator.uniform(1.5, 2.5)
    return _wave(x + tooth * np.abs(y / tooth - np.rint(y / tooth)))


def _cells(x: Floats, y: Floats, generator: Generator) -> Floats:
    """Return the borders between the Voronoi cells of random points."""
    count = max(8, int(np.ptp(x) * np.ptp(y) / 3))
    points = generator.uniform([x.min(), y.min()], [x.max(), y.max()], (count, 2))
    first = np.full(x.shape, np.inf)
    second = first.copy()
    for column, row in points:
        distance = np.hypot(x - column, y - row)
        second = np.minimum(second, np.maximum(first, distance))
        first = np.minimum(first, distance)
    return _edge(second - first - 0.18)


def _blobs(x: Floats, y: Floats, generator: Generator) -> Floats:
    """Return a sum of waves in all directions, thresholded at its middle."""
    height = np.zeros(x.shape)
    for angle in generator.uniform(0, 2 * np.pi, 24):
        pitch = generator.uniform(0.35, 0.6)
        along = (x * np.cos(angle) + y * np.sin(angle)) * pitch
        height += np.cos(2 * np.pi * (along + generator.random()))
    return _edge(height / 8)


def _gradient(x: Floats, y: Floats, generator: Generator) -> Floats:
    across: Floats = (x - x.min()) / np.ptp(x)
    return across


PATTERNS: dict[str, Pattern] = {
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "rings": _rings,
    "zigzag": _zigzag,
    "cells": _cells,
    "blobs": _blobs,
    "gradient": _gradient,
}


def draw(pattern: str, side: int, generator: Generator) -> Photograph:
    """Return one (side, side, 3) uint8 RGB image of a pattern."""
    period = generator.uniform(_SMALLEST_PERIOD, _LARGEST_PERIOD)
    angle = generator.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:side, 0:side] / period + generator.uniform(0, 8, (2, 1, 1))
    x = columns * np.cos(angle) + rows * np.sin(angle)
    y = rows * np.cos(angle) - columns * np.sin(angle)
    share = PATTERNS[pattern](x, y, generator)
    if generator.integers(2):
        share = 1 - share
    one, other = _two_colours(generator)
    image = one + share[..., None] * (other - one)
    tilt = generator.uniform(-0.25, 0.25, 2)
    shade = 1 + (columns - columns.mean()) / np.ptp(columns) * tilt[0]
    shade = shade + (rows - rows.mean()) / np.ptp(rows) * tilt[1]
    drawn: Photograph = np.clip(np.rint(image * shade[..., None]), 0, 255).astype(np.uint8)
    return drawn


def drawn_samples(pathway: PathwayTable | None, count: int, side: int, seed: int) -> list[Sample]:
    """Return ``count`` drawn images for a classify pathway, equally many per class.

    They are ordered by class. An image depends only on (seed, its place). Raises RecipeError when a
    class of the pathway is not a pattern.
    """
    if not count:
        return []
    names = _pattern_names(pathway)
    samples = []
    for index in range(count):
        number = index * len(names) // count
        generator = np.random.default_rng([seed, _STREAM, index])
        samples.append(Sample(draw(names[number], side, generator), number=number))
    return samples


def _pattern_names(pathway: PathwayTable | None) -> Sequence[str]:
    names = [] if pathway is None else [entry.name for entry in pathway.classes]
    strange = [name for name in names if name not in PATTERNS]
    if strange or not names:
        what = f"no pattern is called {strange[0]!r}" if strange else "there is no classify pathway"
        raise RecipeError(
            f"[train] generated cannot be: {what}",
            hint=f"patterns that can be drawn: {', '.join(PATTERNS)}",
        )
    return names


def _wave(x: Floats) -> Floats:
    """Return bands of 0 and 1 with period one, and edges about a pixel wide."""
    return _edge(0.25 - np.abs(x - np.rint(x)))


def _edge(inside: Floats) -> Floats:
    return np.clip(inside * 12 + 0.5, 0, 1)


def _two_colours(generator: Generator) -> tuple[Floats, Floats]:
    while True:
        one, other = generator.uniform(0, 255, (2, 3))
        if np.linalg.norm(one - other) >= _LEAST_CONTRAST:
            return one, other
