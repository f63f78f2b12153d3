"""Figures of outputs that are known in advance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from edgeunet.evaluate.backends import Answer, Head
from edgeunet.evaluate.evaluation import Levels, evaluate
from edgeunet.evaluate.interval import estimate
from edgeunet.evaluate.protocol import ADDED, NoiseKind, Planes, add_noise
from edgeunet.evaluate.truth import PAIRS, Sample
from edgeunet.metrics import psnr_db
from edgeunet.recipes import Recipe, load_recipe
from edgeunet.specs import Task
from tests.evaluate.drawn_sets import picture

CLEAN = np.ascontiguousarray(picture().transpose(2, 0, 1))
ALL = (
    Head("denoised", Task.DENOISE),
    Head("labels", Task.SEGMENT, ("sky", "road", "car")),
    Head("scores", Task.CLASSIFY, ("cat", "dog")),
)


@dataclass
class Fixed:
    """A backend with fixed outputs: a brighter image, road at every pixel, and the class dog."""

    heads: tuple[Head, ...] = ALL
    name: str = "fixed"
    engine: str = "none"
    precision: str = "fp32"
    weights: str = "none"
    network: Recipe = field(default_factory=lambda: load_recipe("unetmm"))
    kinds: tuple[NoiseKind, ...] = tuple(NoiseKind)
    frame: tuple[int, int] | None = None
    scale: int = 1
    seen: list[Planes] = field(default_factory=list)

    def run(self, image: Planes) -> Answer:
        self.seen.append(image)
        tasks = {head.task for head in self.heads}
        # Off by one 8-bit step everywhere.
        brighter: Planes = CLEAN + np.uint8(1)
        if image.dtype != np.uint8:
            brighter = brighter.astype(np.float32) / np.float32(255)
        return Answer(
            brighter if Task.DENOISE in tasks else None,
            np.ones(CLEAN.shape[1:], np.uint8) if Task.SEGMENT in tasks else None,
            np.array([0.25, 0.75], np.float32) if Task.CLASSIFY in tasks else None,
        )

    def close(self) -> None:
        return None


@dataclass
class Listed:
    samples: list[Sample]
    name: str = "listed"
    kind: str = "images"
    consecutive: bool = False
    count: int | None = None
    cropped: int = 0
    left_out: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    swapped: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)


LEVELS = Levels(ADDED, (25.0,))


def test_both_protocols_have_figures_of_their_own() -> None:
    backend = Fixed()
    result = evaluate(backend, Listed([Sample("a", 4, CLEAN)]), LEVELS)
    as_float, as_uint8 = result.figures
    assert (as_float.noise, as_uint8.noise) == (NoiseKind.FLOAT, NoiseKind.UINT8)
    for figures, noisy in zip(result.figures, backend.seen, strict=True):
        np.testing.assert_array_equal(noisy, add_noise(CLEAN, figures.noise, 25.0, seed=0, index=4))
        assert figures.psnr_db is not None
        assert figures.psnr_db.mean == pytest.approx(20 * math.log10(255), abs=1e-4)
        assert figures.ssim is not None
        assert 0.99 < figures.ssim.mean < 1
    floats = CLEAN.astype(np.float32) / np.float32(255)
    assert as_float.psnr_noisy_db is not None
    assert as_float.psnr_noisy_db.mean == psnr_db(backend.seen[0], floats)
    assert as_uint8.psnr_noisy_db is not None
    assert as_uint8.psnr_noisy_db.mean == psnr_db(backend.seen[1], CLEAN, peak=255)


def test_a_clean_image_equals_itself() -> None:
    result = evaluate(Fixed(), Listed([Sample("a", 0, CLEAN)]), Levels((NoiseKind.UINT8,), (0.0,)))
    (figures,) = result.figures
    assert figures.psnr_noisy_db is not None
    assert figures.psnr_noisy_db.mean == math.inf
    assert figures.ssim_noisy is not None
    assert figures.ssim_noisy.mean == pytest.approx(1.0)


def test_one_equal_image_does_not_make_the_mean_infinite() -> None:
    """``Fixed`` answers with one brighter image whatever it sees: equal to it, 48 dB from CLEAN."""
    brighter: Planes = CLEAN + np.uint8(1)
    samples = [Sample("a", 0, CLEAN), Sample("b", 1, brighter)]
    result = evaluate(Fixed(), Listed(samples), Levels((NoiseKind.UINT8,), (0.0,)))
    assert [row.psnr_db for row in result.rows][1] == math.inf
    (figures,) = result.figures
    assert figures.psnr_db is not None
    assert figures.psnr_db.mean == pytest.approx((20 * math.log10(255) + 100) / 2, abs=1e-3)
    assert figures.psnr_db.half_width is not None


def test_labels_are_counted_over_all_images_and_void_is_not() -> None:
    labels = np.ones(CLEAN.shape[1:], np.uint8)
    half, void = labels.copy(), labels.copy()
    half[:12] = 0
    void[:] = 3
    samples = [Sample(str(i), i, CLEAN, given) for i, given in enumerate((labels, half, void))]
    result = evaluate(Fixed(), Listed(samples), Levels((NoiseKind.UINT8,), (25.0,)))
    found = result.figures[0].labels
    assert found is not None
    assert found.pixel_accuracy == 0.75
    assert found.iou["road"] == 0.75
    assert found.iou["sky"] == 0.0
    assert math.isnan(found.iou["car"])
    assert found.mean_iou == 0.375
    assert [row.pixel_accuracy for row in result.rows][:2] == [1.0, 0.5]


def test_classes_are_counted() -> None:
    samples = [Sample(str(i), i, CLEAN, true_class=given) for i, given in enumerate((0, 1, 1, 1))]
    result = evaluate(Fixed(), Listed(samples), Levels((NoiseKind.UINT8,), (25.0,)))
    found = result.figures[0].classes
    assert found is not None
    assert found.accuracy == 0.75
    assert found.by_class == {"cat": 0.0, "dog": 1.0}
    assert (result.rows[0].true_class, result.rows[0].given_class) == ("cat", "dog")


def test_what_the_network_or_the_data_lacks_is_not_measured() -> None:
    result = evaluate(Fixed(heads=ALL[1:]), Listed([Sample("a", 0, CLEAN)]), LEVELS)
    figures = result.figures[0]
    assert (figures.psnr_db, figures.ssim) == (None, None)
    assert (figures.labels, figures.classes, figures.temporal) == (None, None, None)
    assert figures.psnr_noisy_db is not None


def test_the_gain_is_that_of_each_image() -> None:
    samples = [Sample(str(index), index, CLEAN) for index in range(3)]
    result = evaluate(Fixed(), Listed(samples), Levels((NoiseKind.UINT8,), (0.5, 25.0)))
    for figures, rows in zip(result.figures, (result.rows[::2], result.rows[1::2]), strict=True):
        gains = [row.psnr_db - row.psnr_noisy_db for row in rows if row.psnr_db is not None]
        assert [row.gain_db for row in rows] == gains
        assert figures.gain_db == estimate(gains)
        assert figures.worst_gain_db == min(gains)
        assert figures.worst_gain_image == str(int(np.argmin(gains)))
    # One step off everywhere is worse than weak noise, and better than strong noise.
    weak, strong = (figures.worst_gain_db for figures in result.figures)
    assert weak is not None
    assert strong is not None
    assert weak < 0 < strong


def test_a_clean_image_has_no_gain() -> None:
    levels = Levels((NoiseKind.UINT8,), (0.0,))
    (figures,) = evaluate(Fixed(heads=ALL[:1]), Listed([Sample("a", 0, CLEAN)]), levels).figures
    assert figures.psnr_db is not None
    assert (figures.gain_db, figures.worst_gain_db, figures.worst_gain_image) == (None,) * 3


def test_real_pairs_are_given_as_they_are() -> None:
    noisy = CLEAN + np.uint8(3)
    backend = Fixed()
    data = Listed([Sample("a", 0, CLEAN, noisy=noisy)], kind=PAIRS)
    result = evaluate(backend, data, LEVELS)
    (figures,), (row,) = result.figures, result.rows
    assert (figures.noise, figures.sigma) == (NoiseKind.CAMERA, None)
    assert (row.noise, row.sigma) == ("camera", None)
    assert [image is noisy for image in backend.seen] == [True]
    assert row.psnr_noisy_db == pytest.approx(20 * math.log10(255 / 3))
    # The answer is one step off, the noisy image three.
    assert row.gain_db == pytest.approx(20 * math.log10(3))


def test_frames_are_compared_when_they_are_consecutive() -> None:
    samples = [Sample(str(i), i, CLEAN) for i in range(3)]
    result = evaluate(Fixed(), Listed(samples), LEVELS, clip=True)
    for figures in result.figures:
        temporal = figures.temporal
        assert temporal is not None
        assert (temporal.pairs, temporal.static_share) == (2, 1.0)
        assert temporal.clean_flicker == temporal.denoised_flicker == 0.0
        assert temporal.label_change_share == 0.0
        # Two independent draws: the mean absolute difference is sigma * 2 / sqrt(pi).
        assert temporal.noisy_flicker == pytest.approx(25 * 2 / math.sqrt(math.pi), rel=0.1)


def test_one_image_is_held_at_a_time() -> None:
    alive: list[int] = []

    class Counted(Listed):
        def __iter__(self) -> Iterator[Sample]:
            for index in range(3):
                alive.append(index)
                yield Sample(str(index), index, CLEAN)

    done: list[tuple[int, int]] = []
    evaluate(Fixed(), Counted([]), LEVELS, on_image=lambda n: done.append((n, len(alive))))
    assert done == [(1, 1), (2, 2), (3, 3)]


@dataclass
class Counting(Fixed):
    """A backend that remembers how many frames it has seen; what it was given each time."""

    given: list[int | None] = field(default_factory=list)

    @property
    def remembers(self) -> bool:
        return True

    def step(self, image: Planes, memory: int | None) -> tuple[Answer, int]:
        self.given.append(memory)
        return self.run(image), 1 + (memory or 0)


def test_the_frames_of_a_clip_are_remembered_at_each_noise_level_apart() -> None:
    backend = Counting()
    clip = Listed([Sample("a", 0, CLEAN, sequence="one"), Sample("b", 1, CLEAN, sequence="one")])
    clip.samples.append(Sample("c", 2, CLEAN, sequence="two"))
    evaluate(backend, clip, LEVELS, clip=True)
    assert backend.given == [None, None, 1, 1, None, None]
    backend.given.clear()
    evaluate(backend, clip, LEVELS)
    assert backend.given == []


class Recalling(Counting):
    """A backend that is right with a memory, and one step off without."""

    def step(self, image: Planes, memory: int | None) -> tuple[Answer, int]:
        answer, seen = super().step(image, memory)
        return (answer if memory is None else replace(answer, denoised=CLEAN)), seen


def test_a_memory_is_compared_with_frames_alone() -> None:
    clip = Listed([Sample(str(i), i, CLEAN, sequence="one") for i in range(6)])
    for figures in evaluate(Recalling(), clip, LEVELS, clip=True).figures:
        temporal = figures.temporal
        assert temporal is not None
        assert temporal.settled is not None
        assert temporal.alone is not None
        assert (temporal.settled.frames, temporal.settled.psnr_db) == (2, 100.0)
        assert temporal.alone.psnr_db == pytest.approx(20 * math.log10(255), abs=0.01)
    single = evaluate(Fixed(), clip, LEVELS, clip=True).figures[0].temporal
    assert single is not None
    assert single.settled is not None
    assert single.alone is None
