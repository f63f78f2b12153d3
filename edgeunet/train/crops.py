"""Make training batches.

A batch depends only on (seed, step, process), so a resumed run is exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeunet.camera.chain import MARGIN, draw_shot, take
from edgeunet.errors import SourceError
from edgeunet.noise_models import add_camera, add_gaussian, as_handed_over, draw_camera
from edgeunet.photographs import LabelMap, fill_frame, resized
from edgeunet.pixels import Bytes, Floats, as_floats
from edgeunet.schedules import CameraTable, TrainTable
from edgeunet.train.burst_pairs import Burst
from edgeunet.train.samples import Sample, SamplePool, large_enough

_Choice = TypeVar("_Choice")

VOID = -1
"""The class number for "no class"; any number not below the number of classes means the same."""


@dataclass(frozen=True)
class Batch:
    """One training batch of N crops.

    clean: (N, 3, crop, crop) float32 RGB, 0..1.
    noisy: like ``clean``, with noise that is not clipped.
    labels: (N, crop, crop) int64 class numbers, VOID where not known.
    numbers: (N,) int64 class numbers of whole images, VOID where not known.
    noisy_targets: (N,) bool; True where ``clean`` is another noisy shot of the same scene.
    frames: number of consecutive frames of each clip; the N crops are clip after clip.
    """

    clean: Floats
    noisy: Floats
    labels: NDArray[np.int64]
    numbers: NDArray[np.int64]
    noisy_targets: NDArray[np.bool_]
    frames: int = 1


@dataclass(frozen=True, eq=False)
class Crop:
    """A square of a sample; see ``Sample``.

    image: (side, side, 3) float32 RGB, 0..1.
    noisy: like ``image``; None if noise is to be added.
    noisy_target: whether ``image`` is a noisy shot as well.
    """

    image: Floats
    noisy: Floats | None
    labels: LabelMap | None
    number: int | None
    noisy_target: bool = False


class Crops:
    """Makes batches of random square crops, flipped and rotated, with noise of random strength.

    bursts: scenes that ``bursts_share`` of the crops come from; the target is another shot.
    process: number of this process among those that train together; each has other batches.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        table: TrainTable,
        *,
        bursts: Sequence[Burst] = (),
        process: int = 0,
    ) -> None:
        usable = large_enough(samples, table.largest_crop)
        if not usable and not bursts:
            raise SourceError(
                f"no training image is at least {table.largest_crop} pixels on both sides",
                hint="use larger images, or a smaller crop in the recipe's [train]",
            )
        self._pairs = [sample for sample in usable if sample.noisy is not None]
        plain = [sample for sample in usable if sample.noisy is None]
        self._samples = SamplePool(plain, table.labelled_share)
        self._bursts = bursts
        self._table = table
        self._process = process

    def __len__(self) -> int:
        return len(self._samples) + len(self._pairs)

    def batch(self, step: int) -> Batch:
        table = self._table
        count, side = table.crops_at(step)
        generator = np.random.default_rng([table.seed, step, self._process])
        crops = [self._draw(generator, side) for _ in range(count)]
        clean = np.stack([crop.image.transpose(2, 0, 1) for crop in crops])
        labels = np.full((count, side, side), VOID, np.int64)
        numbers = np.full(count, VOID, np.int64)
        for index, crop in enumerate(crops):
            if crop.labels is not None:
                labels[index] = crop.labels
            if crop.number is not None:
                numbers[index] = crop.number
        noisy = self._noisy(clean, generator)
        # Drawn last, and only if needed, so that batches of other recipes do not change.
        if table.in_bytes:
            chosen = generator.random(count) < table.in_bytes
            noisy[chosen] = as_handed_over(noisy[chosen])
        for index, crop in enumerate(crops):
            if crop.noisy is not None:
                noisy[index] = crop.noisy.transpose(2, 0, 1)
        targets = np.array([crop.noisy_target for crop in crops])
        return Batch(clean, noisy, labels, numbers, targets)

    def _noisy(self, clean: Floats, generator: np.random.Generator) -> Floats:
        """Return crops with noise; each has its own random strength."""
        table, each = self._table, (len(clean), 1, 1, 1)
        if table.noise == "camera":
            gain, read = draw_camera(table.gain, len(clean), generator)
            return add_camera(clean, gain.reshape(each), read.reshape(each), generator)
        sigma = generator.uniform(*table.sigma, size=each).astype(np.float32)
        if table.clean_share:
            sigma[generator.random(len(clean)) < table.clean_share] = 0
        return add_gaussian(clean, sigma, generator)

    def _draw(self, generator: np.random.Generator, side: int) -> Crop:
        table = self._table
        if self._bursts and self._wanted(table.bursts_share, len(self), generator):
            return self._two_shots(side, generator)
        if self._pairs and self._wanted(table.pairs_share, len(self._samples), generator):
            return _crop(self._cut(_pick(self._pairs, generator), side, generator))
        if table.camera is not None and generator.random() < table.camera.share:
            return self._through_camera(table.camera, side, generator)
        return _crop(self._cut(self._samples.draw(generator), side, generator))

    def _wanted(self, share: float | None, others: int, generator: np.random.Generator) -> bool:
        """Draw whether a crop is of the kind with this share; always True without other kinds."""
        return not others or bool(share and generator.random() < share)

    def _two_shots(self, side: int, generator: np.random.Generator) -> Crop:
        """Return a square of one shot, with another shot of the same scene as its target.

        If the noise of both is independent, the mean of all possible targets is the mean of all
        shots (Lehtinen et al., ICML 2018, "Noise2Noise").
        """
        shots = _pick(self._bursts, generator).shots
        seen = int(generator.integers(len(shots)))
        target = (seen + 1 + int(generator.integers(len(shots) - 1))) % len(shots)
        cut = self._cut(Sample(shots[target], noisy=shots[seen]), side, generator)
        return replace(_crop(cut), noisy_target=True)

    def _through_camera(
        self, table: CameraTable, side: int, generator: np.random.Generator
    ) -> Crop:
        """Return a crop as seen by a camera drawn from ``[train.camera]``.

        Images with labels are not resized, so that the labels stay at their pixels.
        """
        sample = self._samples.draw(generator)
        moves = sample.labels is None
        shot = draw_shot(table, (side, side), generator, resizes=moves)
        reduction = generator.uniform(*table.reduction) if moves else 1.0
        whole = shot.sensor_size[0]
        wanted = math.ceil(whole / reduction)
        cut = self._cut(sample, min(wanted, sample.side), generator)
        scene = cut.image
        if len(scene) > whole:
            scene = resized(scene, whole, whole)
        noisy, clean = take(fill_frame(scene, whole, whole), shot, generator)
        # A random position in the 8x8 grid of the coding.
        top, left = (int(n) for n in generator.integers(MARGIN // 2, MARGIN * 3 // 2 + 1, 2))
        inner = (slice(top, top + side), slice(left, left + side))
        labels = cut.labels
        if labels is not None:
            labels = fill_frame(labels, *shot.size)[inner]
        return Crop(clean[inner], noisy[inner], labels, cut.number)

    def _cut(self, sample: Sample, side: int, generator: np.random.Generator) -> Sample:
        """Return a random square of a sample, turned and mirrored."""
        height, width = sample.image.shape[:2]
        top = int(generator.integers(height - side + 1))
        left = int(generator.integers(width - side + 1))
        turns = int(generator.integers(4)) if self._table.rotations else 0
        flipped = bool(generator.integers(2))

        def cut(pixels: Bytes) -> Bytes:
            crop = np.rot90(pixels[top : top + side, left : left + side], turns)
            return crop[:, ::-1] if flipped else crop

        labels = None if sample.labels is None else cut(sample.labels)
        noisy = None if sample.noisy is None else cut(sample.noisy)
        return Sample(cut(sample.image), labels, sample.number, noisy)


def _pick(choices: Sequence[_Choice], generator: np.random.Generator) -> _Choice:
    return choices[int(generator.integers(len(choices)))]


def _crop(cut: Sample) -> Crop:
    noisy = None if cut.noisy is None else as_floats(cut.noisy)
    return Crop(as_floats(cut.image), noisy, cut.labels, cut.number)
