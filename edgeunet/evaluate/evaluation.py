"""Evaluates a network on a data set at every noise level, with one image in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgeunet.evaluate.backends import Answer, Backend, RemembersFrames, head_of
from edgeunet.evaluate.interval import Estimate, estimate
from edgeunet.evaluate.protocol import NoiseKind, Planes, add_noise
from edgeunet.evaluate.ssim import ssim
from edgeunet.evaluate.temporal import Moment, TemporalFigures, TemporalMeter
from edgeunet.evaluate.truth import PAIRS, DataSet, Sample
from edgeunet.metrics import ConfusionMatrix, psnr_db
from edgeunet.photographs import enlarged
from edgeunet.pixels import as_floats
from edgeunet.specs import Task
from edgeunet.stream.meter import IDENTICAL_DB


@dataclass(frozen=True)
class Row:
    """The figures of one image at one noise level; None for what was not measured.

    image: its name.
    height, width: in pixels.
    noise: kind of the noise.
    sigma: in 8-bit units; None for a camera's own noise.
    psnr_noisy_db, psnr_db: PSNR of the noisy image and of the output in dB; ``inf`` for an image
        that equals the clean one. Where the output is larger, the noisy image is enlarged to its
        size, see ``comparable``.
    gain_db: psnr_db minus psnr_noisy_db; None when the noisy image equals the clean one.
    ssim_noisy, ssim: SSIM of the noisy image and of the output, at most 1.
    pixel_accuracy: share of pixels with the right label, 0..1.
    true_class, given_class: names of classes.
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
    """Quality of label maps over all pixels of all images, without void pixels; 0..1.

    iou: by class. NaN for a class that occurs neither in the truth nor in the output.
    """

    mean_iou: float
    pixel_accuracy: float
    iou: dict[str, float]


@dataclass(frozen=True)
class ClassFigures:
    """Share of images whose most probable class is the true one; 0..1.

    accuracy: over all images.
    by_class: over the images of each class that has images.
    """

    accuracy: float
    by_class: dict[str, float]


@dataclass(frozen=True)
class Figures:
    """The figures of one data set at one noise level; None for what was not measured.

    noise: kind of the noise.
    sigma: in 8-bit units; None for a camera's own noise.
    images: number of images.
    psnr_noisy_db, psnr_db: mean PSNR over images in dB. It is ``inf`` when all images equal their
        clean image; when only some do, each of those counts as ``IDENTICAL_DB``.
    gain_db: mean of the images' gains, with the interval of these differences. Noisy images that
        equal their clean image have no gain.
    worst_gain_db, worst_gain_image: the smallest gain and its image; below 0 the network did harm.
    ssim_noisy, ssim: mean SSIM.
    labels, classes, temporal: figures of the other tasks.
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
    """The figures of one data set, and the rows per image that they come from."""

    figures: tuple[Figures, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Levels:
    """The noise levels of an evaluation: all combinations of kinds and sigmas.

    sigmas: in 8-bit units.
    seed: each image gets one draw of noise from it.
    """

    kinds: Sequence[NoiseKind]
    sigmas: Sequence[float]
    seed: int = 0

    def of(self, data: DataSet) -> list[tuple[NoiseKind, float | None]]:
        """Return the levels for a data set. Real pairs have one level, their own noise."""
        if data.kind == PAIRS:
            return [(NoiseKind.CAMERA, None)]
        return [(kind, sigma) for kind in self.kinds for sigma in self.sigmas]


def noisy_image(sample: Sample, kind: NoiseKind, sigma: float | None, *, seed: int) -> Planes:
    """Return the network's input for a sample at a noise level of its data set.

    Raises ValueError without a sigma when the sample has no noisy image.
    """
    if sigma is not None:
        return add_noise(sample.clean, kind, sigma, seed=seed, index=sample.index)
    if sample.noisy is None:
        raise ValueError(f"{sample.name} has no noisy image")
    return sample.noisy


def comparable(noisy: Planes, scale: int) -> Planes:
    """Return the network's input at the size of its image: enlarged by bicubic interpolation.

    noisy: (3, H, W), of a dtype that the backend takes; uint8 where the scale is above 1.
    """
    return enlarged(noisy, scale) if scale > 1 else noisy


def evaluate(
    backend: Backend,
    data: DataSet,
    levels: Levels,
    *,
    clip: bool = False,
    on_image: Callable[[int], None] = lambda done: None,
) -> Result:
    """Evaluate a backend on a data set.

    clip: consecutive samples of a sequence are consecutive frames, so temporal figures are
        measured.
    on_image: called with the number of finished images.
    """
    cells = [_Cell(backend, kind, sigma, clip=clip) for kind, sigma in levels.of(data)]
    rows = []
    for done, sample in enumerate(data, 1):
        for cell in cells:
            noisy = noisy_image(sample, cell.kind, cell.sigma, seed=levels.seed)
            rows.append(cell.add(sample, noisy, cell.run(sample, noisy)))
        on_image(done)
    return Result(tuple(cell.figures() for cell in cells), tuple(rows))


@dataclass
class _Cell:
    """Collects the figures of one noise level: numbers per image, confusion matrices, one frame."""

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
        # What the network keeps of this level's frames, and the clip they are of.
        self._memory: Any = None
        self._sequence: str | None = None
        self._alone: Planes | None = None

    def run(self, sample: Sample, noisy: Planes) -> Answer:
        """Run the network; in a clip it goes on from the frame before, at this noise level.

        A network that remembers also runs on the frame alone, to be compared with.
        """
        backend = self.backend
        if not self.clip or not isinstance(backend, RemembersFrames) or not backend.remembers:
            return backend.run(noisy)
        self._alone = backend.run(noisy).denoised
        memory = self._memory if sample.sequence == self._sequence else None
        self._sequence = sample.sequence
        answer, self._memory = backend.step(noisy, memory)
        return answer

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
        noisy = comparable(noisy, self.backend.scale)
        if self.clip:
            images = clean, noisy, answer.denoised, answer.labels, self._alone
            moment = Moment(sample.sequence, *images)
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
    """Return the mean PSNR in dB.

    If only some values are infinite, they count as ``IDENTICAL_DB``, so that the mean is finite.
    """
    if all(math.isinf(value) for value in values):
        return estimate(values)
    return estimate([min(value, IDENTICAL_DB) for value in values])


def _psnr_db(image: Planes, sample: Sample) -> float:
    """Return the PSNR of a uint8 or float32 image in dB; uint8 images are compared as uint8."""
    if image.dtype == np.uint8:
        return psnr_db(image, sample.clean, peak=255.0)
    return psnr_db(image, as_floats(sample.clean))
