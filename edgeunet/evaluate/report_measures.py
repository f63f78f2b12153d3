"""The quality measures of a report: how each is read from the figures and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgeunet.evaluate.evaluation import Figures
from edgeunet.evaluate.interval import Estimate

Read = Callable[[Figures], "float | None"]


def psnr_db(figures: Figures) -> float | None:
    return _mean(figures.psnr_db)


def psnr_noisy_db(figures: Figures) -> float | None:
    return _mean(figures.psnr_noisy_db)


def gain_db(figures: Figures) -> float | None:
    return _mean(figures.gain_db)


def worst_gain_db(figures: Figures) -> float | None:
    return figures.worst_gain_db


def ssim(figures: Figures) -> float | None:
    return _mean(figures.ssim)


def ssim_noisy(figures: Figures) -> float | None:
    return _mean(figures.ssim_noisy)


def mean_iou(figures: Figures) -> float | None:
    return None if figures.labels is None else figures.labels.mean_iou


def accuracy(figures: Figures) -> float | None:
    return None if figures.classes is None else figures.classes.accuracy


def flicker(figures: Figures) -> float | None:
    return None if figures.temporal is None else figures.temporal.denoised_flicker


def noisy_flicker(figures: Figures) -> float | None:
    return None if figures.temporal is None else figures.temporal.noisy_flicker


def settled_psnr_db(figures: Figures) -> float | None:
    settled = None if figures.temporal is None else figures.temporal.settled
    return None if settled is None else settled.psnr_db


def label_changes(figures: Figures) -> float | None:
    return None if figures.temporal is None else figures.temporal.label_change_share


def _mean(value: Estimate | None) -> float | None:
    return None if value is None else value.mean


@dataclass(frozen=True)
class Measure:
    """How a measure is read and written.

    read: returns its value from the figures.
    form: format specification of the written value.
    scale: factor of the written value.
    noisy: reads the same measure of the noisy input, if it has one.
    """

    title: str
    read: Read
    form: str
    scale: float = 1
    noisy: Read | None = None
    more_is_better: bool = True


MEASURES = (
    Measure("PSNR in dB", psnr_db, ".2f", noisy=psnr_noisy_db),
    Measure("gain in dB: PSNR of the answer minus PSNR of the noisy image", gain_db, ".2f"),
    Measure("gain of the image that gains least, in dB; below 0 is harm", worst_gain_db, ".2f"),
    Measure("SSIM", ssim, ".4f", noisy=ssim_noisy),
    Measure("mIoU in %", mean_iou, ".2f", 100),
    Measure("accuracy of classes in %", accuracy, ".2f", 100),
    Measure("PSNR in dB of frames from the fifth of each clip on", settled_psnr_db, ".2f"),
    Measure(
        "flicker of still pixels in 8-bit units, less is better",
        flicker,
        ".2f",
        noisy=noisy_flicker,
        more_is_better=False,
    ),
    Measure(
        "still pixels that change their label, in %, fewer is better",
        label_changes,
        ".2f",
        100,
        more_is_better=False,
    ),
)
