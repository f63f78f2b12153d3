"""The sensor: where its colours lie, its row noise, and how it counts."""

from __future__ import annotations

import numpy as np
import pytest

from edgeunet.camera import sensor


@pytest.mark.parametrize("pattern", sensor.PATTERNS)
def test_a_mosaic_has_one_colour_per_pixel(pattern: str) -> None:
    image = np.random.default_rng(0).random((6, 8, 3), np.float32)
    seen = sensor.mosaic(image, pattern)
    for row in range(6):
        for column in range(8):
            wanted = "RGB".index(pattern[2 * (row % 2) + column % 2])
            assert seen[row, column] == image[row, column, wanted]
    assert sorted(pattern) == ["B", "G", "G", "R"]


def test_every_row_has_an_offset_of_its_own() -> None:
    level = np.zeros((4000, 6), np.float32)
    noisy = sensor.add_row_noise(level, 0.02, np.random.default_rng(0))
    assert (noisy == noisy[:, :1]).all()
    # A standard error of 0.00022.
    assert float(noisy[:, 0].std()) == pytest.approx(0.02, abs=0.0014)


def test_a_converter_counts_in_steps_and_clips() -> None:
    signal = np.array([[-1, -0.02, 0.0, 0.499, 0.5, 2]], np.float32)
    steps, pedestal = 2**10 - 1, 1 / 32
    wanted = [
        min(max(round((value + pedestal) * steps), 0), steps) / steps - pedestal
        for value in signal[0].astype(float)
    ]
    np.testing.assert_allclose(sensor.quantize(signal, 10, pedestal)[0], wanted, atol=1e-6)
    ramp = np.linspace(0, 0.9, 5000, dtype=np.float32)[None]
    error = sensor.quantize(ramp, 12, pedestal) - ramp
    assert float(np.abs(error).max()) <= 0.5 / (2**12 - 1) + 1e-6
