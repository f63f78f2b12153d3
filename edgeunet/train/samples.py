"""Training samples: images in memory as bytes, with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import RecipeError
from edgeunet.photographs import LabelMap, Photograph
from edgeunet.recipes import PathwayTable, Recipe
from edgeunet.specs import Task


@dataclass(frozen=True, eq=False)
class Sample:
    """An image, with labels if there are any.

    image: (H, W, 3) uint8 RGB.
    labels: (H, W) uint8, a class number per pixel; other numbers are void.
    number: the class of the whole image.
    noisy: (H, W, 3) uint8 RGB, the scene as a real camera recorded it; None if noise is to be
        added.
    """

    image: Photograph
    labels: LabelMap | None = None
    number: int | None = None
    noisy: Photograph | None = None

    @property
    def labelled(self) -> bool:
        return self.labels is not None or self.number is not None

    @property
    def side(self) -> int:
        """The shorter side in pixels."""
        return int(min(self.image.shape[:2]))

    def corner(self, side: int) -> Sample:
        """Return the top left corner, at most ``side`` pixels high and wide."""
        labels = None if self.labels is None else self.labels[:side, :side]
        noisy = None if self.noisy is None else self.noisy[:side, :side]
        return Sample(self.image[:side, :side], labels, self.number, noisy)


class SamplePool:
    """Draws images; ``labelled_share`` of them from those with labels, if there are both kinds."""

    def __init__(self, samples: Sequence[Sample], labelled_share: float | None) -> None:
        self._samples, self._share = samples, labelled_share
        self._labelled = [sample for sample in samples if sample.labelled]
        self._unlabelled = [sample for sample in samples if not sample.labelled]

    def __len__(self) -> int:
        return len(self._samples)

    def draw(self, generator: np.random.Generator) -> Sample:
        """Return a random image. Raises ValueError without any."""
        chosen = self._samples
        if self._share is not None and self._labelled and self._unlabelled:
            labelled = generator.random() < self._share
            chosen = self._labelled if labelled else self._unlabelled
        return chosen[int(generator.integers(len(chosen)))]


def large_enough(samples: Sequence[Sample], crop: int) -> list[Sample]:
    """Return the samples that are at least ``crop`` pixels on both sides."""
    return [sample for sample in samples if sample.side >= crop]


def hold_out(
    samples: Sequence[Sample], *, every: int = 36, side: int = 320, labelled_side: int = 480
) -> tuple[list[Sample], list[Sample]]:
    """Return (training samples, validation corners): every 36th image is held out.

    Of real pairs, of which there are few, it is every 12th. Of a held-out image only the top left
    ``side`` pixels are used, so that validation is quick. With a label map it is ``labelled_side``,
    because the class depends on the position in the frame.
    """
    plain = [sample for sample in samples if sample.noisy is None]
    pairs = [sample for sample in samples if sample.noisy is not None]
    training: list[Sample] = []
    held_out: list[Sample] = []
    for kind, nth in ((plain, every), (pairs, max(2, every // 3))):
        rest = [sample for index, sample in enumerate(kind) if index % nth]
        training += rest or kind
        if rest:
            held_out += [
                sample.corner(side if sample.labels is None else labelled_side)
                for sample in kind[::nth]
            ]
    return training, held_out


def pathway_of(recipe: Recipe, task: Task) -> PathwayTable | None:
    """Return the recipe's segment or classify pathway, None without one.

    Raises RecipeError when there are several, because images have one kind of labels.
    """
    found = [pathway for pathway in recipe.pathways if pathway.head is task]
    if len(found) > 1:
        raise RecipeError(
            f"recipe {recipe.name!r} cannot be trained: it has {len(found)} {task} pathways",
            hint="images have one label map and one class: train one such pathway at a time",
        )
    return found[0] if found else None


def class_frequencies(samples: Sequence[Sample], classes: int) -> NDArray[np.float64]:
    """Return the frequency of each class, (classes,) float64, 0..1.

    It is the share of the labelled pixels in those images that show the class, 0 if none does
    (Eigen and Fergus, ICCV 2015).
    """
    own, all_where_shown = np.zeros(classes), np.zeros(classes)
    for sample in samples:
        if sample.labels is not None:
            pixels = np.bincount(sample.labels.ravel(), minlength=classes)[:classes]
            own += pixels
            all_where_shown += np.where(pixels > 0, pixels.sum(), 0)
    return _ratio(own, all_where_shown)


def number_frequencies(samples: Sequence[Sample], classes: int) -> NDArray[np.float64]:
    """Return the share of each class among the labelled images: (classes,) float64, 0..1."""
    numbers = [sample.number for sample in samples if sample.number is not None]
    counts = np.bincount(np.asarray(numbers, np.int64), minlength=classes)[:classes]
    return _ratio(counts.astype(np.float64), np.full(classes, float(len(numbers))))


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio = np.zeros_like(part)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
