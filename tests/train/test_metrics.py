"""PSNR against figures made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgeunet.train.metrics import psnr_db


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
