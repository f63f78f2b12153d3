"""PSNR and intersection over union against figures made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgeunet.metrics import ConfusionMatrix, psnr_db


def test_a_tenth_everywhere_is_20_db() -> None:
    reference = np.full((3, 4, 5), 0.5)
    assert psnr_db(reference + 0.1, reference) == pytest.approx(20.0)


def test_the_mean_is_over_all_pixels() -> None:
    # One of four is off by 1: the mean square is 1/4, so 10 log10(4) dB.
    image = np.array([1.0, 0, 0, 0])
    assert psnr_db(image, np.zeros(4)) == pytest.approx(10 * math.log10(4))


def test_bytes_have_their_own_peak_and_do_not_wrap_around() -> None:
    image, reference = np.array([0], np.uint8), np.array([255], np.uint8)
    assert psnr_db(image, reference, peak=255) == pytest.approx(0.0)
    one = np.array([1], np.uint8)
    assert psnr_db(one, image, peak=255) == pytest.approx(48.1308, abs=1e-4)


def test_equal_images_are_infinitely_good() -> None:
    assert psnr_db(np.ones(3), np.ones(3)) == math.inf


def test_intersection_over_union_by_hand() -> None:
    matrix = ConfusionMatrix(3)
    truth = np.array([[0, 0, 0, 1], [1, 1, 2, 3]], np.uint8)
    given = np.array([[0, 0, 1, 1], [1, 0, 0, 0]], np.uint8)
    matrix.update(given, truth)
    assert matrix.counts.tolist() == [[2, 1, 0], [1, 2, 0], [1, 0, 0]]
    # Class 0: 2 hits, 2 false, 1 missed; class 1: 2, 1, 1; class 2: never given.
    assert matrix.iou.tolist() == pytest.approx([2 / 5, 2 / 4, 0])
    assert matrix.mean_iou == pytest.approx(0.3)
    assert matrix.pixel_accuracy == pytest.approx(4 / 7)


def test_images_are_counted_together() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(np.array([0]), np.array([0]))
    matrix.update(np.array([0, 0, 0]), np.array([1, 1, 0]))
    assert matrix.iou.tolist() == pytest.approx([2 / 4, 0])


def test_void_and_what_is_ignored_do_not_count() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(np.array([0, 1, 2, 2]), np.array([0, 255, 3, 2], np.uint8), ignore=2)
    assert matrix.counts.sum() == 1
    assert matrix.mean_iou == 1
    assert matrix.pixel_accuracy == 1


def test_a_class_that_does_not_occur_is_not_in_the_mean() -> None:
    matrix = ConfusionMatrix(3)
    assert math.isnan(matrix.mean_iou)
    assert math.isnan(matrix.pixel_accuracy)
    matrix.update(np.array([0, 1]), np.array([0, 0]))
    assert matrix.iou[:2].tolist() == pytest.approx([0.5, 0])
    assert math.isnan(matrix.iou[2])
    assert matrix.mean_iou == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("labels", "truth", "message"),
    [
        ([0, 1], [0], r"labels of shape \(2,\), truth of shape \(1,\)"),
        ([2], [0], "a label is not from 0 to 1"),
        ([-1], [0], "a label is not from 0 to 1"),
        ([0], [-1], "a label is not from 0 to 1"),
    ],
)
def test_what_is_no_label(labels: list[int], truth: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConfusionMatrix(2).update(np.array(labels), np.array(truth))
