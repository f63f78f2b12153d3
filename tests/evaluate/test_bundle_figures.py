"""SSIM and confidence intervals compared with their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeunet.evaluate.interval import Estimate, estimate
from edgeunet.evaluate.ssim import ssim
from edgeunet.evaluate.truth import SMALLEST_SIDE

RANDOM = np.random.default_rng(5)
CLEAN = RANDOM.integers(0, 256, (3, 17, 15), dtype=np.uint8)
NOISY = np.clip(CLEAN + RANDOM.normal(0, 30, CLEAN.shape), 0, 255).astype(np.uint8)


def _by_definition(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the SSIM of one channel, 0..1, from every window that lies inside the image."""
    offsets = np.arange(-5, 6)
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    values = []
    for row in range(5, x.shape[0] - 5):
        for column in range(5, x.shape[1] - 5):
            a = x[row - 5 : row + 6, column - 5 : column + 6]
            b = y[row - 5 : row + 6, column - 5 : column + 6]
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a = (window * (a - mean_a) ** 2).sum()
            var_b = (window * (b - mean_b) ** 2).sum()
            both = (window * (a - mean_a) * (b - mean_b)).sum()
            values.append(
                (2 * mean_a * mean_b + 0.01**2)
                * (2 * both + 0.03**2)
                / ((mean_a**2 + mean_b**2 + 0.01**2) * (var_a + var_b + 0.03**2))
            )
    return float(np.mean(values))


def test_ssim_is_what_the_paper_defines() -> None:
    wanted = np.mean([_by_definition(x / 255.0, y / 255.0) for x, y in zip(NOISY, CLEAN)])  # noqa: B905
    assert ssim(NOISY, CLEAN) == pytest.approx(wanted, abs=1e-5)


def test_bytes_and_floats_have_the_same_ssim() -> None:
    floats = NOISY.astype(np.float32) / np.float32(255)
    assert ssim(floats, CLEAN) == ssim(NOISY, CLEAN)


def test_equal_images_have_ssim_1_down_to_the_smallest() -> None:
    smallest = CLEAN[:, :SMALLEST_SIDE, :SMALLEST_SIDE]
    assert ssim(smallest, smallest) == pytest.approx(1.0)


def test_the_interval_is_students() -> None:
    found = estimate([1.0, 2.0, 3.0])
    assert found is not None
    assert found.mean == 2.0
    # t with 2 degrees of freedom at 97.5 %: 4.30265; deviation 1.
    assert found.half_width == pytest.approx(4.30265 / math.sqrt(3), abs=1e-4)
    assert found.interval == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-4)


def test_an_undefined_interval_is_none() -> None:
    assert estimate([]) is None
    assert estimate([30.0]) == Estimate(30.0, None)
    assert estimate([30.0, math.inf]) == Estimate(math.inf, None)
    assert Estimate(30.0, None).interval is None
    both = estimate([math.inf, -math.inf])
    assert both is not None
    assert math.isnan(both.mean)
    assert both.half_width is None
