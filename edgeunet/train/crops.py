"""Training batches. A batch depends on (seed, step, process) only: resumed runs are exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import SourceError
from edgeunet.noise import Floats, add_camera, add_gaussian, as_handed_over, draw_camera
from edgeunet.schedules import TrainTable
from edgeunet.train.samples import Sample, large_enough

VOID = -1
"""The class of what has none; so does a number that is not below the number of classes."""


@dataclass(frozen=True)
class Batch:
    """clean, noisy: (N, 3, crop, crop) float32, RGB; clean is 0..1, noise is not clipped.

    labels: (N, crop, crop) int64. numbers: (N,) int64. Class numbers, VOID where not known.
    """

    clean: Floats
    noisy: Floats
    labels: NDArray[np.int64]
    numbers: NDArray[np.int64]


class Crops:
    """Random square crops, flipped and rotated, with blind noise.

    process: the place of this process among those that train together; each has other batches.
    """

    def __init__(self, samples: Sequence[Sample], table: TrainTable, *, process: int = 0) -> None:
        usable = large_enough(samples, table.largest_crop)
        if not usable:
            raise SourceError(
                f"no training image is at least {table.largest_crop} pixels on both sides",
                hint="use larger images, or a smaller crop in the recipe's [train]",
            )
        self._samples = usable
        self._labelled = [sample for sample in usable if sample.labelled]
        self._unlabelled = [sample for sample in usable if not sample.labelled]
        self._table = table
        self._process = process

    def __len__(self) -> int:
        return len(self._samples)

    def batch(self, step: int) -> Batch:
        table = self._table
        count, side = table.crops_at(step)
        generator = np.random.default_rng([table.seed, step, self._process])
        crops = [self._crop(generator, side) for _ in range(count)]
        clean = np.stack([crop.image for crop in crops]).astype(np.float32) / np.float32(255)
        clean = np.ascontiguousarray(clean.transpose(0, 3, 1, 2))
        labels = np.full((count, side, side), VOID, np.int64)
        numbers = np.full(count, VOID, np.int64)
        for index, crop in enumerate(crops):
            if crop.labels is not None:
                labels[index] = crop.labels
            if crop.number is not None:
                numbers[index] = crop.number
        noisy = self._noisy(clean, generator)
        # Drawn last, and only if asked for: other recipes' batches stay what they were.
        if table.in_bytes:
            chosen = generator.random(count) < table.in_bytes
            noisy[chosen] = as_handed_over(noisy[chosen])
        return Batch(clean, noisy, labels, numbers)

    def _noisy(self, clean: Floats, generator: np.random.Generator) -> Floats:
        """Every crop draws its own strength of noise."""
        table, each = self._table, (len(clean), 1, 1, 1)
        if table.noise == "camera":
            gain, read = draw_camera(table.gain, len(clean), generator)
            return add_camera(clean, gain.reshape(each), read.reshape(each), generator)
        sigma = generator.uniform(*table.sigma, size=each).astype(np.float32)
        return add_gaussian(clean, sigma, generator)

    def _crop(self, generator: np.random.Generator, side: int) -> Sample:
        samples = self._pool(generator)
        sample = samples[int(generator.integers(len(samples)))]
        height, width = sample.image.shape[:2]
        top = int(generator.integers(height - side + 1))
        left = int(generator.integers(width - side + 1))
        turns = int(generator.integers(4)) if self._table.rotations else 0
        flipped = bool(generator.integers(2))

        def cut(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
            crop = np.rot90(pixels[top : top + side, left : left + side], turns)
            return crop[:, ::-1] if flipped else crop

        labels = None if sample.labels is None else cut(sample.labels)
        return Sample(cut(sample.image), labels, sample.number)

    def _pool(self, generator: np.random.Generator) -> list[Sample]:
        share = self._table.labelled_share
        if share is None or not self._labelled or not self._unlabelled:
            return self._samples
        return self._labelled if generator.random() < share else self._unlabelled
