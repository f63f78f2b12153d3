"""Run a graph of frames as calibration does: on onnxruntime, one frame at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgeunet.ort.graph_loading import load
from edgeunet.specs import FRAME, Array

_LOG_ERRORS_ONLY = 3
# This optimizer would quantize operators that stay in floats, with one scale for all weights.
_QUANTIZING_FLOATS = "WeightBiasQuantization"


def runner_of(graph: Path, names: Sequence[str]) -> Callable[[NDArray[np.uint8]], Sequence[Array]]:
    """Load a graph; return a function from a frame, (H, W, 3) uint8 BGR, to the outputs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _LOG_ERRORS_ONLY
    session = load(graph, options, [_QUANTIZING_FLOATS])

    def run(frame: NDArray[np.uint8]) -> Sequence[Array]:
        found: Sequence[Array] = session.run(list(names), {FRAME: frame[None]})
        return found

    return run
