"""All that calibration asks of onnxruntime: to run a graph, and its two calibrators."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import HistogramCollector

from edgeunet.specs import FRAME, Array

_LOG_ERRORS_ONLY = 3
# This optimizer would quantize operators that stay in floats, with one scale for all weights.
_QUANTIZING_FLOATS = "WeightBiasQuantization"


def runner_of(graph: Path, names: Sequence[str]) -> Callable[[NDArray[np.uint8]], Sequence[Array]]:
    """Load a graph; return a function from a frame, (H, W, 3) uint8 BGR, to the outputs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _LOG_ERRORS_ONLY
    session = onnxruntime.InferenceSession(
        str(graph),
        sess_options=options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=[_QUANTIZING_FLOATS],
    )

    def run(frame: NDArray[np.uint8]) -> Sequence[Array]:
        found: Sequence[Array] = session.run(list(names), {FRAME: frame[None]})
        return found

    return run


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
