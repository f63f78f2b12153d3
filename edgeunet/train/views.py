"""Held-out images in every kind of noise that a run trains for, with separate figures.

White noise (or that of ``noise = "camera"``) is added to every image. A recipe with [train.camera]
is
also measured through the camera: one fixed shot of every image. Real noisy images and shots of
    bursts keep their own noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from edgeunet.camera.chain import MARGIN, draw_shot, take
from edgeunet.photographs import Photograph
from edgeunet.pixels import Floats, as_bytes
from edgeunet.recipes import Recipe
from edgeunet.schedules import CameraTable, TrainTable
from edgeunet.specs import Task
from edgeunet.train.samples import Sample
from edgeunet.train.validation import IN_BITS, METRICS, figure_names, validate, validation_noise

CAMERA, PAIRS = "_camera", "_pairs"
CLIPS = "psnr_db_clips"
"""Suffixes of figures of shots through [train.camera] and of real noisy images; a whole name."""

_LABELS = {Task.DENOISE: "PSNR", Task.SEGMENT: "mean IoU", Task.CLASSIFY: "accuracy"}


@dataclass(frozen=True)
class Figure:
    """A measured figure.

    name: in the curve and in JSON.
    label, noise: for readers.
    """

    name: str
    task: Task
    label: str
    noise: str


@dataclass(frozen=True)
class View:
    """Held-out samples in one kind of noise. suffix: of the names of its figures."""

    suffix: str
    samples: Sequence[Sample]


def all_figures(
    recipe: Recipe, held_out: Sequence[Sample], *, clips: bool = False
) -> tuple[Figure, ...]:
    """Return all figures of a run; those of a network in 8 bits come last.

    clips: clips are held out as well.
    """
    table = recipe.train
    if table is None:
        raise RuntimeError("a trained recipe has a [train] table")
    figures = []
    for suffix, noise in _kinds(table, held_out):
        for name, pathway in zip(figure_names(recipe.pathways), recipe.pathways, strict=True):
            if suffix == PAIRS and pathway.head is not Task.DENOISE:
                continue
            label = _LABELS[pathway.head]
            if name != METRICS[pathway.head]:
                label = f"{label} of {pathway.output}"
            figures.append(Figure(f"{name}{suffix}", pathway.head, label, noise))
    if clips:
        noise = validation_noise(table)[0]
        figures.append(Figure(CLIPS, Task.DENOISE, "PSNR of settled clips", noise))
    if table.quantized_for is not None:
        figures += [
            replace(figure, name=f"{IN_BITS}{figure.name}", label=f"{figure.label} in 8 bits")
            for figure in figures
        ]
    return tuple(figures)


def make_views(table: TrainTable, held_out: Sequence[Sample]) -> tuple[View, ...]:
    """Return the held-out samples in every kind of noise; shots of the camera are kept."""
    plain, pairs = _apart(held_out)
    views = [View("", plain), View(PAIRS, pairs)]
    if table.camera is not None:
        shots = [through_camera(s, table.camera, index) for index, s in enumerate(plain)]
        views.insert(1, View(CAMERA, shots))
    return tuple(view for view in views if view.samples)


def measure(network: nn.Module, recipe: Recipe, views: Sequence[View]) -> dict[str, float]:
    """Return the figures of ``validate`` over all views, by name."""
    table = recipe.train
    if table is None:
        raise RuntimeError("a trained recipe has a [train] table")
    _, add_noise = validation_noise(table)
    return {
        f"{name}{view.suffix}": figure
        for view in views
        for name, figure in validate(network, recipe.pathways, view.samples, add_noise).items()
    }


def through_camera(sample: Sample, table: CameraTable, index: int) -> Sample:
    """Return the central square of a sample as one camera sees it, and its clean image.

    index: number of the image, which determines the camera, the exposure and the noise.
    Labels stay at their pixels: the camera does not resize, and its margin is mirrored.
    """
    generator = np.random.default_rng([2025, index])
    side = sample.side - sample.side % 2
    top, left = ((whole - side) // 2 for whole in sample.image.shape[:2])
    square = (slice(top, top + side), slice(left, left + side))
    shot = draw_shot(table, (side, side), generator, resizes=False)
    margins = ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
    noisy, clean = take(np.pad(sample.image[square], margins, "symmetric"), shot, generator)
    labels = None if sample.labels is None else sample.labels[square]
    return Sample(_inner(clean), labels, sample.number, _inner(noisy))


def _kinds(table: TrainTable, held_out: Sequence[Sample]) -> list[tuple[str, str]]:
    """Return (suffix, name of the noise) of all views."""
    plain, pairs = _apart(held_out)
    kinds = []
    if plain or not pairs:
        kinds.append(("", validation_noise(table)[0]))
        if table.camera is not None:
            kinds.append((CAMERA, "through a camera"))
    if pairs:
        kinds.append((PAIRS, "noise of real shots"))
    return kinds


def _apart(held_out: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    plain = [sample for sample in held_out if sample.noisy is None]
    return plain, [sample for sample in held_out if sample.noisy is not None]


def _inner(image: Floats) -> Photograph:
    return as_bytes(image[MARGIN:-MARGIN, MARGIN:-MARGIN])
