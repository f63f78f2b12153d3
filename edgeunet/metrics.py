"""Measures of image and label quality.

Only numpy is needed, so devices and workstations measure in the same way.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer[Any]]


def psnr_db(image: NDArray[Any], reference: NDArray[Any], *, peak: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio in dB over all elements; ``inf`` for equal images.

    image, reference: one shape, any number type. peak: the largest possible value.
    """
    error = np.mean((image.astype(np.float64) - reference.astype(np.float64)) ** 2)
    return psnr_of_error_db(float(error), peak=peak)


def psnr_of_error_db(mean_square: float, *, peak: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio in dB of a mean squared error; ``inf`` for zero."""
    return math.inf if mean_square == 0 else 10 * math.log10(peak**2 / mean_square)


class ConfusionMatrix:
    """Counts of (true class, given class) over any number of label maps or single labels.

    counts: (classes, classes) int64, true classes down, given ones across. The measures are
    those of PASCAL VOC and CamVid: intersection over union = TP / (TP + FP + FN) per class,
    counted over all images together, not averaged over images.
    """

    def __init__(self, classes: int) -> None:
        if classes < 1:
            raise ValueError(f"{classes} classes")
        self.counts = np.zeros((classes, classes), np.int64)

    @property
    def classes(self) -> int:
        return len(self.counts)

    def update(self, labels: Labels, truth: Labels, *, ignore: int | None = None) -> None:
        """Count one map, image or batch.

        labels: any shape, integers below ``classes``. truth: the same shape; where it is
        ``classes`` or more (void), or ``ignore``, nothing is counted. Raises ValueError when the
        shapes differ or a counted number is not a class.
        """
        if labels.shape != truth.shape:
            raise ValueError(f"labels of shape {labels.shape}, truth of shape {truth.shape}")
        counted = truth < self.classes
        if ignore is not None:
            counted &= truth != ignore
        given, true = labels[counted].astype(np.int64), truth[counted].astype(np.int64)
        if not ((given >= 0) & (given < self.classes) & (true >= 0)).all():
            raise ValueError(f"a label is not from 0 to {self.classes - 1}")
        pairs = np.bincount(true * self.classes + given, minlength=self.classes**2)
        self.counts += pairs.reshape(self.counts.shape)

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union per class, 0..1; NaN for a class neither true nor given."""
        hit = np.diagonal(self.counts).astype(np.float64)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - hit
        ratio = np.full(self.classes, np.nan)
        np.divide(hit, union, out=ratio, where=union > 0)
        return ratio

    @property
    def mean_iou(self) -> float:
        """Mean of ``iou`` over the classes that occur, 0..1; NaN when nothing was counted."""
        occurring = self.iou[~np.isnan(self.iou)]
        return float(occurring.mean()) if occurring.size else math.nan

    @property
    def pixel_accuracy(self) -> float:
        """Share of counted labels that are right, 0..1; NaN when nothing was counted."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts)) / total if total else math.nan
