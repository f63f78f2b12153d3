"""Added noise, and the figures that a run measures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgeunet.errors import UsageError
from edgeunet.noise_models import check_noise
from edgeunet.stream.added_noise import GaussianNoise
from edgeunet.stream.meter import IDENTICAL_DB, Meter, PsnrMeter
from tests.media.clips import picture

GREY = np.full((128, 128, 3), 128, np.uint8)


def test_noise_has_the_strength_it_says() -> None:
    noisy = GaussianNoise(25.0, 0, 128, 128).add(GREY)
    assert noisy.dtype == np.uint8
    error = noisy.astype(float) - 128
    assert error.std() == pytest.approx(25, rel=0.03)
    assert abs(error.mean()) < 0.5


def test_noise_is_clipped_as_by_a_sensor() -> None:
    noisy = GaussianNoise(60.0, 0, 128, 128).add(np.full_like(GREY, 250))
    assert noisy.max() == 255
    assert 0.4 < np.mean(noisy == 255) < 0.6


def test_the_same_seed_is_the_same_run_and_every_frame_is_fresh() -> None:
    one, two = GaussianNoise(25.0, 7, 128, 128), GaussianNoise(25.0, 7, 128, 128)
    first = one.add(GREY).copy()
    assert np.array_equal(first, two.add(GREY))
    second = one.add(GREY)
    assert not np.array_equal(first, second)
    assert np.array_equal(second, two.add(GREY))
    assert not np.array_equal(first, GaussianNoise(25.0, 8, 128, 128).add(GREY))


@pytest.mark.parametrize("sigma", [-1.0, 256.0, math.nan, math.inf])
def test_impossible_noise_is_refused(sigma: float) -> None:
    with pytest.raises(UsageError, match="is not a noise level"):
        check_noise(sigma, 0)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="-1 is not a seed"):
        check_noise(25.0, -1)


def test_psnr_is_the_formula() -> None:
    meter = PsnrMeter(48, 64)
    image, clean = picture(1), picture(4)
    mean_square = np.mean((image.astype(float) - clean) ** 2)
    expected = 10 * math.log10(255**2 / mean_square)
    assert meter.psnr_db(image, clean) == pytest.approx(expected, abs=1e-4)
    assert meter.psnr_db(image, image) == IDENTICAL_DB


def test_percentiles_are_of_all_frames() -> None:
    meter = Meter()
    assert meter.latency() is None
    assert meter.quality() is None
    for value in range(1, 101):
        meter.add_latency(float(value))
    latency = meter.latency()
    assert latency is not None
    assert latency.mean == 50.5
    # The histogram has a bounded number of bins, 1 % wide.
    assert latency.p50 == pytest.approx(50.5, rel=0.01)
    assert latency.p95 == pytest.approx(95.05, rel=0.01)
    assert latency.p99 == pytest.approx(99.01, rel=0.01)


def test_quality_is_the_mean_over_frames() -> None:
    meter = Meter()
    meter.add_quality(20.0, 30.0)
    meter.add_quality(22.0, 34.0)
    quality = meter.quality()
    assert quality is not None
    assert (quality.before, quality.after) == (21.0, 32.0)
