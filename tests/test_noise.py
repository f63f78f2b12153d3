from __future__ import annotations

import numpy as np

from edgeunet.noise import add_gaussian, add_gaussian_uint8


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
