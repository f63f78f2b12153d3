"""Training batches. A batch depends on (seed, step) only, so a resumed run is the same run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeunet.errors import SourceError
from edgeunet.noise import Floats, add_gaussian
from edgeunet.photographs import Photograph, list_images, read_photograph
from edgeunet.recipes import TrainTable


@dataclass(frozen=True)
class Batch:
    """clean, noisy: (N, 3, crop, crop) float32, RGB; clean is 0..1, noise is not clipped."""

    clean: Floats
    noisy: Floats


class PhotographCrops:
    """Random square crops of photographs, flipped and rotated, with blind Gaussian noise."""

    def __init__(self, photographs: Sequence[Photograph], table: TrainTable) -> None:
        self._photographs = large_enough(photographs, table)
        if not self._photographs:
            raise SourceError(
                f"no training image is at least {table.crop} pixels on both sides",
                hint="use larger images, or a smaller crop in the recipe's [train]",
            )
        self._table = table

    def __len__(self) -> int:
        return len(self._photographs)

    def batch(self, step: int) -> Batch:
        table = self._table
        generator = np.random.default_rng([table.seed, step])
        crops = [self._crop(generator) for _ in range(table.batch)]
        clean = np.stack(crops).astype(np.float32) / np.float32(255)
        clean = np.ascontiguousarray(clean.transpose(0, 3, 1, 2))
        sigma = generator.uniform(*table.sigma, size=(table.batch, 1, 1, 1)).astype(np.float32)
        return Batch(clean, add_gaussian(clean, sigma, generator))

    def _crop(self, generator: np.random.Generator) -> Photograph:
        side = self._table.crop
        photograph = self._photographs[int(generator.integers(len(self._photographs)))]
        top = int(generator.integers(photograph.shape[0] - side + 1))
        left = int(generator.integers(photograph.shape[1] - side + 1))
        crop = photograph[top : top + side, left : left + side]
        crop = np.rot90(crop, int(generator.integers(4)))
        return crop[:, ::-1] if generator.integers(2) else crop


def large_enough(photographs: Sequence[Photograph], table: TrainTable) -> list[Photograph]:
    """Return the photographs a crop can be cut from."""
    return [p for p in photographs if min(p.shape[:2]) >= table.crop]


def load_photographs(folders: Sequence[Path], *, broken: Callable[[str], None]) -> list[Photograph]:
    """Read every image below the folders; a broken one is named to ``broken`` and skipped.

    Raises SourceError when a folder has no images or none of all can be read.
    """
    photographs = []
    for folder in folders:
        for path in list_images(folder):
            try:
                photographs.append(read_photograph(path))
            except SourceError as error:
                broken(error.message)
    if not photographs:
        raise SourceError("no training image can be read", hint="replace the images named above")
    return photographs


def hold_out(
    photographs: Sequence[Photograph], *, every: int = 36, side: int = 320
) -> tuple[list[Photograph], list[Photograph]]:
    """Return (training images, validation corners): every 36th image is not trained on.

    Of a held-out image only the top left ``side`` pixels are used, to validate quickly.
    """
    training = [p for index, p in enumerate(photographs) if index % every]
    held = [p[:side, :side] for index, p in enumerate(photographs) if index % every == 0]
    return (training, held) if training else (list(photographs), [])
