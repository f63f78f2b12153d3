"""The two calibrators of onnxruntime.quantization that calibration uses."""

from __future__ import annotations

import contextlib
import io

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import HistogramCollector


def collected(
    counts: NDArray[np.int64],
    ends: tuple[float, float],
    *,
    method: str,
    levels: int,
    percentile: float,
) -> tuple[float, float]:
    """Return the interval that the library's calibrator chooses, its ends rounded to float32.

    counts: of values in bins of equal width, around zero.
    ends: the smallest and the largest value.
    method: ``percentile`` or ``entropy``. levels: of entropy's quantized histogram.
    percentile: the percentage of the values that the interval keeps.
    """
    collector = HistogramCollector(
        method=method,
        symmetric=False,
        num_bins=len(counts),
        num_quantized_bins=levels,
        percentile=percentile,
        scenario="same",
    )
    reach = np.float32(max(abs(ends[0]), abs(ends[1])))
    edges = np.linspace(-reach, reach, len(counts) + 1, dtype=np.float32)
    collector.histogram_dict = {
        "tensor": (counts, edges, np.float32(ends[0]), np.float32(ends[1]), reach)
    }
    with contextlib.redirect_stdout(io.StringIO()):
        low, high, *_ = collector.compute_collection_result()["tensor"]
    return float(low), float(high)
