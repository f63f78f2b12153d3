"""Run a graph of frames as calibration does: on onnxruntime, one frame at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgeunet.ort.graph_loading import load
from edgeunet.specs import FRAME, Array

_LOG_ERRORS_ONLY = 3
# This optimizer would quantize operators that stay in floats, with one scale for all weights.
_QUANTIZING_FLOATS = "WeightBiasQuantization"

Given = NDArray[np.uint8] | Mapping[str, Array]
"""A frame, (H, W, 3) uint8 BGR, or all inputs of a graph by name."""


def runner_of(graph: Path, names: Sequence[str]) -> Callable[[Given], Sequence[Array]]:
    """Load a graph; return a function from a frame, or from all inputs, to the outputs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _LOG_ERRORS_ONLY
    session = load(graph, options, [_QUANTIZING_FLOATS])

    def run(given: Given) -> Sequence[Array]:
        feeds = given if isinstance(given, Mapping) else {FRAME: given[None]}
        found: Sequence[Array] = session.run(list(names), dict(feeds))
        return found

    return run
