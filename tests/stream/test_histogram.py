from __future__ import annotations

import sys

import numpy as np
import pytest

from edgeunet.stream.histogram import Histogram
from edgeunet.stream.meter import Meter


@pytest.mark.parametrize("shape", ["lognormal", "uniform", "constant"])
def test_percentiles_are_right_to_half_a_percent(shape: str) -> None:
    random = np.random.default_rng(5)
    values = {
        "lognormal": random.lognormal(2, 1.5, 20000),
        "uniform": random.uniform(0.5, 40, 20000),
        "constant": np.full(100, 12.34),
    }[shape]
    histogram = Histogram()
    for value in values:
        histogram.add(float(value))
    for percent in (1, 50, 95, 99, 100):
        exact = float(np.percentile(values, percent, method="inverted_cdf"))
        assert histogram.percentile_ms(percent) == pytest.approx(exact, rel=0.0051)
    assert histogram.count == len(values)
    assert histogram.mean_ms == pytest.approx(values.mean())
    assert histogram.largest_ms == values.max()


def test_odd_values_are_counted_too() -> None:
    histogram = Histogram()
    assert (histogram.percentile_ms(50), histogram.mean_ms) == (0, 0)
    for value in (0.0, -1.0, 1e12):
        histogram.add(value)
    assert histogram.count == 3
    assert histogram.percentile_ms(100) == pytest.approx(1e7, rel=0.05)


def test_the_memory_of_a_meter_does_not_grow() -> None:
    meter = Meter()

    def size_bytes() -> int:
        return sum(
            sys.getsizeof(part)
            for histogram in (meter.latency_histogram, meter.age_histogram)
            for part in vars(histogram).values()
        )

    meter.add_latency(1.0)
    before_bytes = size_bytes()
    for index in range(20000):
        meter.add_latency(index % 977 + 0.5)
        meter.add_age(index % 53)
        meter.add_quality(20.0, 30.0)
    assert size_bytes() <= before_bytes + 64
    quality = meter.quality()
    assert quality is not None
    assert (quality.before, quality.after) == (20.0, 30.0)
