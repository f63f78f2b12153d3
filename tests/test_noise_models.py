from __future__ import annotations

import numpy as np
import pytest

from edgeunet.noise_models import (
    READ_DEVIATION,
    add_camera,
    add_gaussian,
    add_gaussian_uint8,
    draw_camera,
    read_variance,
)


def test_noise_has_the_sigma_asked_for() -> None:
    clean = np.full((3, 200, 200), 0.5, np.float32)
    noisy = add_gaussian(clean, 25.0, np.random.default_rng(0))
    assert noisy.dtype == np.float32
    assert abs(float(noisy.std()) * 255 - 25) < 0.3
    assert noisy.max() > 0.5 + 3 * 25 / 255


def test_float_noise_is_not_clipped() -> None:
    noisy = add_gaussian(np.ones((64, 64), np.float32), 50.0, np.random.default_rng(0))
    assert noisy.max() > 1


def test_sigma_may_differ_in_a_batch() -> None:
    sigma = np.array([0, 50], np.float32).reshape(2, 1, 1, 1)
    noisy = add_gaussian(np.zeros((2, 3, 64, 64), np.float32), sigma, np.random.default_rng(0))
    assert not noisy[0].any()
    assert abs(float(noisy[1].std()) * 255 - 50) < 2


def test_byte_noise_is_clipped_and_zero_sigma_changes_nothing() -> None:
    frame = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    assert np.array_equal(add_gaussian_uint8(frame, 0.0, np.random.default_rng(0)), frame)
    noisy = add_gaussian_uint8(frame, 50.0, np.random.default_rng(0))
    assert noisy.dtype == np.uint8
    assert noisy.min() == 0
    assert noisy.max() == 255


def test_the_same_generator_gives_the_same_noise() -> None:
    frame = np.full((8, 8, 3), 128, np.uint8)
    first, second = (add_gaussian_uint8(frame, 25.0, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first, second)


def test_shot_noise_has_a_variance_in_proportion_to_the_signal() -> None:
    gain, read = 0.01, 0.0004
    for signal in (0.0, 0.25, 1.0):
        clean = np.full((3, 200, 200), signal, np.float32)
        noisy = add_camera(clean, gain, read, np.random.default_rng(0))
        assert noisy.dtype == np.float32
        # 120,000 samples: the standard error of a variance is 0.4 %.
        assert float((noisy - clean).var()) == pytest.approx(gain * signal + read, rel=0.02)
        assert abs(float((noisy - clean).mean())) < 0.001


def test_every_shot_of_a_batch_may_have_its_own_gain() -> None:
    clean = np.ones((2, 3, 64, 64), np.float32)
    gain = np.array([0.0, 0.01], np.float32).reshape(2, 1, 1, 1)
    noise = add_camera(clean, gain, gain * 0, np.random.default_rng(0)) - clean
    assert not noise[0].any()
    assert float(noise[1].var()) == pytest.approx(0.01, rel=0.05)


def test_gains_are_drawn_evenly_in_their_logarithm_with_the_read_noise_of_cameras() -> None:
    gain, read = draw_camera((1e-4, 1e-2), 20_000, np.random.default_rng(0))
    assert gain.dtype == read.dtype == np.float32
    assert gain.min() >= 0.99e-4
    assert gain.max() <= 1.01e-2
    logarithm = np.log(gain.astype(np.float64))
    assert float(logarithm.mean()) == pytest.approx(np.log(1e-3), abs=0.03)
    assert float(logarithm.std()) == pytest.approx(np.log(100) / 12**0.5, rel=0.02)
    above = np.log(read.astype(np.float64)) - (2.18 * logarithm + 1.2)
    assert abs(float(above.mean())) < 0.01
    assert float(above.std()) == pytest.approx(0.26, rel=0.03)


def test_read_noise_is_that_of_brooks_et_al() -> None:
    assert read_variance(0.01) == pytest.approx(1.449e-4, rel=1e-3)
    assert read_variance(0.01, READ_DEVIATION) == pytest.approx(1.449e-4 * np.exp(0.26), rel=1e-3)
