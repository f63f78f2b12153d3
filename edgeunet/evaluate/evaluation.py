"""One pass over a set: every image at every noise level, one image in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgeunet.evaluate.backends import Answer, Backend, head_of
from edgeunet.evaluate.interval import Estimate, estimate
from edgeunet.evaluate.protocol import NoiseKind, Planes, add_noise
from edgeunet.evaluate.ssim import ssim
from edgeunet.evaluate.temporal import Moment, TemporalFigures, TemporalMeter
from edgeunet.evaluate.truth import PAIRS, DataSet, Sample
from edgeunet.metrics import ConfusionMatrix, psnr_db
from edgeunet.pixels import as_floats
from edgeunet.specs import Task
from edgeunet.stream.meter import IDENTICAL_DB


@dataclass(frozen=True)
class Row:
    """One image at one noise level; None for what was not measured.

    sigma: in 8-bit units; None for a camera's own noise. PSNR in dB, ``inf`` for equal images.
    gain_db: the PSNR of the answer minus that of the noisy image; 0 when both are equal to the
    clean one. Shares 0..1. given_class: a class's name.
    """

    image: str
    height: int
    width: int
    noise: str
    sigma: float | None
    psnr_noisy_db: float
    psnr_db: float | None
    gain_db: float | None
    ssim_noisy: float
    ssim: float | None
    pixel_accuracy: float | None = None
    true_class: str | None = None
    given_class: str | None = None


@dataclass(frozen=True)
class LabelFigures:
    """Over all pixels of all images that are not void; 0..1, NaN where nothing was counted.

    iou: per class, NaN for one that neither is nor was given anywhere.
    """

    mean_iou: float
    pixel_accuracy: float
    iou: dict[str, float]


@dataclass(frozen=True)
class ClassFigures:
    """Share of images whose most probable class is the true one; 0..1.

    by_class: of the images of each class; only classes that there are images of.
    """

    accuracy: float
    by_class: dict[str, float]


@dataclass(frozen=True)
class Figures:
    """One set at one noise level. images: how many. None for what was not measured.

    sigma: None for a camera's own noise. gain_db: over the gains of the images, so that its
    interval is that of their differences; a clean image has no gain. worst_gain_db: the smallest
    of these, which is worst_gain_image's; below 0 the network did harm. PSNR: the mean over
    images in dB. It is ``inf`` where all images are equal; where only some are, each of those
    counts as ``IDENTICAL_DB``.
    """

    noise: NoiseKind
    sigma: float | None
    images: int
    psnr_noisy_db: Estimate | None
    psnr_db: Estimate | None
    gain_db: Estimate | None
    worst_gain_db: float | None
    worst_gain_image: str | None
    ssim_noisy: Estimate | None
    ssim: Estimate | None
    labels: LabelFigures | None
    classes: ClassFigures | None
    temporal: TemporalFigures | None


@dataclass(frozen=True)
class Result:
    """All figures of one set, and the image rows they are made of."""

    figures: tuple[Figures, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Levels:
    """Which noise is added: kinds x sigmas, in 8-bit units, one draw per image from the seed."""

    kinds: Sequence[NoiseKind]
    sigmas: Sequence[float]
    seed: int = 0

    def of(self, data: DataSet) -> list[tuple[NoiseKind, float | None]]:
        """Return the levels that a set is evaluated at; real pairs have their own alone."""
        if data.kind == PAIRS:
            return [(NoiseKind.CAMERA, None)]
        return [(kind, sigma) for kind in self.kinds for sigma in self.sigmas]


def noisy_image(sample: Sample, kind: NoiseKind, sigma: float | None, *, seed: int) -> Planes:
    """Return what the network is given of a sample, at one of the levels of its set."""
    if sigma is not None:
        return add_noise(sample.clean, kind, sigma, seed=seed, index=sample.index)
    if sample.noisy is None:
        raise ValueError(f"{sample.name} has no noisy image")
    return sample.noisy


def evaluate(
    backend: Backend,
    data: DataSet,
    levels: Levels,
    *,
    clip: bool = False,
    on_image: Callable[[int], None] = lambda done: None,
) -> Result:
    """Evaluate a backend on a set.

    clip: consecutive samples of a sequence are consecutive frames: measure them as such too.
    on_image: called with the number of images done.
    """
    cells = [_Cell(backend, kind, sigma, clip=clip) for kind, sigma in levels.of(data)]
    rows = []
    for done, sample in enumerate(data, 1):
        for cell in cells:
            noisy = noisy_image(sample, cell.kind, cell.sigma, seed=levels.seed)
            rows.append(cell.add(sample, noisy, backend.run(noisy)))
        on_image(done)
    return Result(tuple(cell.figures() for cell in cells), tuple(rows))


@dataclass
class _Cell:
    """What is collected at one noise level: a few numbers per image, one matrix, one frame."""

    backend: Backend
    kind: NoiseKind
    sigma: float | None
    clip: bool
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        segment = head_of(self.backend, Task.SEGMENT)
        classify = head_of(self.backend, Task.CLASSIFY)
        self._label_names = segment.classes if segment else ()
        self._class_names = classify.classes if classify else ()
        self._labels = ConfusionMatrix(len(self._label_names)) if segment else None
        self._classes = ConfusionMatrix(len(self._class_names)) if classify else None
        self._temporal = TemporalMeter()

    def add(self, sample: Sample, noisy: Planes, answer: Answer) -> Row:
        clean = sample.clean
        accuracy = true = given = None
        if sample.labels is not None and self._labels is not None and answer.labels is not None:
            of_image = ConfusionMatrix(len(self._label_names))
            of_image.update(answer.labels, sample.labels)
            self._labels.counts += of_image.counts
            accuracy = of_image.pixel_accuracy
        if answer.scores is not None and self._classes is not None:
            best = int(np.argmax(answer.scores))
            given = self._class_names[best]
            if sample.true_class is not None:
                true = self._class_names[sample.true_class]
                self._classes.update(np.array([best]), np.array([sample.true_class]))
        if self.clip:
            moment = Moment(sample.sequence, clean, noisy, answer.denoised, answer.labels)
            self._temporal.add(moment)
        before = _psnr_db(noisy, sample)
        after = None if answer.denoised is None else _psnr_db(answer.denoised, sample)
        row = Row(
            image=sample.name,
            height=clean.shape[1],
            width=clean.shape[2],
            noise=str(self.kind),
            sigma=self.sigma,
            psnr_noisy_db=before,
            psnr_db=after,
            gain_db=None if after is None or math.isinf(before) else after - before,
            ssim_noisy=ssim(noisy, clean),
            ssim=None if answer.denoised is None else ssim(answer.denoised, clean),
            pixel_accuracy=accuracy,
            true_class=true,
            given_class=given,
        )
        self.rows.append(row)
        return row

    def figures(self) -> Figures:
        rows = self.rows
        gains = [(row.gain_db, row.image) for row in rows if row.gain_db is not None]
        worst = min(gains, default=(None, None), key=lambda gain: gain[0])
        return Figures(
            noise=self.kind,
            sigma=self.sigma,
            images=len(rows),
            psnr_noisy_db=_mean_psnr_db([row.psnr_noisy_db for row in rows]),
            psnr_db=_mean_psnr_db([row.psnr_db for row in rows if row.psnr_db is not None]),
            gain_db=estimate([gain for gain, _ in gains]),
            worst_gain_db=worst[0],
            worst_gain_image=worst[1],
            ssim_noisy=estimate([row.ssim_noisy for row in rows]),
            ssim=estimate([row.ssim for row in rows if row.ssim is not None]),
            labels=self._label_figures(),
            classes=self._class_figures(),
            temporal=self._temporal.figures() if self.clip else None,
        )

    def _label_figures(self) -> LabelFigures | None:
        matrix = self._labels
        if matrix is None or all(row.pixel_accuracy is None for row in self.rows):
            return None
        iou = {n: float(v) for n, v in zip(self._label_names, matrix.iou, strict=True)}
        return LabelFigures(matrix.mean_iou, matrix.pixel_accuracy, iou)

    def _class_figures(self) -> ClassFigures | None:
        matrix = self._classes
        if matrix is None or all(row.true_class is None for row in self.rows):
            return None
        totals = matrix.counts.sum(axis=1)
        by_class = {
            name: float(matrix.counts[number, number] / totals[number])
            for number, name in enumerate(self._class_names)
            if totals[number]
        }
        return ClassFigures(matrix.pixel_accuracy, by_class)


def _mean_psnr_db(values: Sequence[float]) -> Estimate | None:
    """Return the mean PSNR; one equal image, black for example, does not make it infinite."""
    if all(math.isinf(value) for value in values):
        return estimate(values)
    return estimate([min(value, IDENTICAL_DB) for value in values])


def _psnr_db(image: Planes, sample: Sample) -> float:
    """Return the PSNR of an image of either type; bytes are compared as bytes."""
    if image.dtype == np.uint8:
        return psnr_db(image, sample.clean, peak=255.0)
    return psnr_db(image, as_floats(sample.clean))
