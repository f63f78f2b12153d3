"""Choose the frames of a set: different ones, from the darkest to the brightest.

A frame is described by 8x8 cells: the means of three colours and the variation of the brightness.
This makes 256 numbers in 8-bit steps. The distance of two frames is the root mean square of the
differences. A frame nearer than NEAR to one that is already there is a near-duplicate. The others
are
kept in a pool of limited size: when it is full, one of its two nearest frames is dropped. From the
pool, the darkest and the brightest frame are taken. Then the frame that is farthest from all taken
ones is added, again and again (Gonzalez, Theoretical Computer Science 38, 1985).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.photographs import Photograph
from edgeunet.pixels import luma

# Frames of a driving camera are 2 apart after 1/15 s and 8 after 1/3 s, photographs of different
# things 20 and more.
NEAR = 5.0
CELLS = 8

Descriptor = NDArray[np.float32]


def describe(picture: Photograph) -> Descriptor:
    """Return 256 numbers, in 8-bit steps, for a picture, (H, W, 3) uint8 RGB, 8x8 or larger."""
    y = luma(picture)
    variance = _cells(y * y) - _cells(y) ** 2
    deviation = np.sqrt(np.maximum(variance, 0))
    planes = np.concatenate([_cells(picture), deviation[..., None]], axis=2)
    return planes.astype(np.float32).reshape(-1)


def _cells(planes: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the means of 8x8 cells of (H, W, ...)."""
    rows, columns = (np.linspace(0, side, CELLS + 1).astype(int) for side in planes.shape[:2])
    sums = np.add.reduceat(planes, rows[:-1], axis=0, dtype=np.float64)
    sums = np.add.reduceat(sums, columns[:-1], axis=1)
    area = np.outer(np.diff(rows), np.diff(columns))
    means: NDArray[np.float64] = sums / area.reshape(CELLS, CELLS, *[1] * (planes.ndim - 2))
    return means


@dataclass(frozen=True)
class Candidate:
    """A window of a picture that a set can include.

    source: number of the input, from 0.
    path: the file that it can be read from again.
    frame: number in a clip, from 0; None for an image.
    top, left: corner of the window, in pixels.
    """

    source: int
    path: str
    frame: int | None
    top: int
    left: int
    descriptor: Descriptor

    @property
    def place(self) -> tuple[int, str, int, int, int]:
        """The sort key of candidates, with which each clip is read once from its beginning."""
        return self.source, self.path, self.frame or 0, self.top, self.left

    @property
    def brightness(self) -> float:
        """The mean of all colours, 0..255."""
        return float(self.descriptor.reshape(-1, 4)[:, :3].mean())


class Pool:
    """The most different candidates of all that were offered, limited in number."""

    def __init__(self, limit: int) -> None:
        self.near_duplicates = 0
        self._limit = limit
        self._held: list[Candidate] = []
        self._descriptors = np.empty((0, 0), np.float32)
        self._distances = np.full((limit, limit), np.inf, np.float32)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return tuple(self._held)

    def offer(self, candidate: Candidate) -> Candidate | None:
        """Add a candidate; return the one that was dropped for it, which may be itself."""
        if not self._held:
            self._descriptors = np.empty((self._limit, len(candidate.descriptor)), np.float32)
        count = len(self._held)
        row = distances(self._descriptors[:count], candidate.descriptor)
        if count and row.min() < NEAR:
            self.near_duplicates += 1
            return candidate
        if count < self._limit:
            self._held.append(candidate)
            self._put(count, candidate, row)
            return None
        nearest = np.unravel_index(int(self._distances.argmin()), self._distances.shape)
        if row.min() <= self._distances[nearest]:
            return candidate
        slot = int(max(nearest))
        dropped, self._held[slot] = self._held[slot], candidate
        self._put(slot, candidate, row)
        return dropped

    def _put(self, slot: int, candidate: Candidate, row: Descriptor) -> None:
        self._descriptors[slot] = candidate.descriptor
        self._distances[slot, : len(row)] = self._distances[: len(row), slot] = row
        self._distances[slot, slot] = np.inf


def choose(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """Return ``count`` candidates: the darkest, the brightest, then the farthest ones."""
    if count >= len(candidates):
        return list(candidates)
    descriptors = np.stack([candidate.descriptor for candidate in candidates])
    brightness = [candidate.brightness for candidate in candidates]
    taken = list(dict.fromkeys([int(np.argmin(brightness)), int(np.argmax(brightness))]))[:count]
    nearest = np.full(len(candidates), np.inf, np.float32)
    for number in taken:
        nearest = np.minimum(nearest, distances(descriptors, descriptors[number]))
    while len(taken) < count:
        number = int(nearest.argmax())
        taken.append(number)
        nearest = np.minimum(nearest, distances(descriptors, descriptors[number]))
    return [candidates[number] for number in taken]


def distances(descriptors: Descriptor, one: Descriptor) -> Descriptor:
    """Return the distances of (N, 256) descriptors from one (256,), in 8-bit steps."""
    found: Descriptor = np.sqrt(np.mean((descriptors - one) ** 2, axis=1))
    return found
