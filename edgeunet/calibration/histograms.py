"""What every tensor of a graph holds on many frames, in memory that does not grow with them.

Two passes: the smallest and largest value of every tensor, then counts between them. The
histogram collectors of onnxruntime.quantization take one pass and widen their bins by adding
some: after a dark frame a bright one can make millions of them. What is found between the two
ends (percentile, entropy) is theirs again, see calibrators.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgeunet.errors import EngineError
from edgeunet.specs import FRAME, Array

BINS = 2048
_LOG_ERRORS_ONLY = 3
# It would quantize what is kept in floats between 8-bit tensors, with one scale for all weights.
QUANTIZING_FLOATS = "WeightBiasQuantization"

Frames = Callable[[], Iterable[NDArray[np.uint8]]]
"""Gives the same frames, (H, W, 3) uint8 BGR, every time."""


@dataclass(frozen=True)
class Histogram:
    """How often a tensor's values fall in each of BINS bins from -reach to reach.

    low, high: its smallest and largest value.
    """

    low: float
    high: float
    counts: NDArray[np.int64]

    @property
    def reach(self) -> float:
        return max(abs(self.low), abs(self.high))

    @property
    def centres(self) -> NDArray[np.float64]:
        edges = np.linspace(-self.reach, self.reach, len(self.counts) + 1)
        centres: NDArray[np.float64] = (edges[1:] + edges[:-1]) / 2
        return centres


def histograms_of(graph: Path, names: Sequence[str], frames: Frames) -> tuple[Histogram, ...]:
    """Run a graph that has tensors as outputs on every frame, twice, and count their values.

    Raises EngineError when a tensor is not finite on a frame.
    """
    run = runner_of(graph, names)
    lows, highs = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for frame in frames():
        for index, array in enumerate(run(frame)):
            lows[index] = min(lows[index], float(array.min()))
            highs[index] = max(highs[index], float(array.max()))
    if not (np.isfinite(lows).all() and np.isfinite(highs).all()):
        raise EngineError(
            "the network's tensors are not finite on the calibration set",
            hint="its weights are no good: train again, or export others",
        )
    reaches = np.maximum(np.abs(lows), np.abs(highs))
    counts = np.zeros((len(names), BINS), np.int64)
    for frame in frames():
        for index, array in enumerate(run(frame)):
            counts[index] += _counted(array, float(reaches[index]))
    return tuple(
        Histogram(float(low), float(high), found)
        for low, high, found in zip(lows, highs, counts, strict=True)
    )


def channel_reaches(
    graph: Path, names: Sequence[str], frames: Frames
) -> tuple[NDArray[np.float32], ...]:
    """Return how far every channel of a tensor, (1, C, H, W), reaches over all frames, (C,).

    In every frame all but a thousandth of the values: few far ones are clipped anyway.
    """
    run = runner_of(graph, names)
    reaches: list[NDArray[np.float32]] = []
    for frame in frames():
        found = [_channel_reach(array) for array in run(frame)]
        reaches = [np.maximum(*pair) for pair in zip(reaches or found, found, strict=True)]
    return tuple(reaches)


def _channel_reach(array: Array) -> NDArray[np.float32]:
    values = np.abs(array.reshape(array.shape[1], -1)).astype(np.float32, copy=False)
    place = values.shape[1] - 1 - values.shape[1] // 1000
    reach: NDArray[np.float32] = np.partition(values, place, axis=1)[:, place]
    return reach


def runner_of(graph: Path, names: Sequence[str]) -> Callable[[NDArray[np.uint8]], Sequence[Array]]:
    """Load a graph; return what gives these outputs for a frame, (H, W, 3) uint8 BGR."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _LOG_ERRORS_ONLY
    session = onnxruntime.InferenceSession(
        str(graph),
        sess_options=options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=[QUANTIZING_FLOATS],
    )

    def run(frame: NDArray[np.uint8]) -> Sequence[Array]:
        found: Sequence[Array] = session.run(list(names), {FRAME: frame[None]})
        return found

    return run


def _counted(array: Array, reach: float) -> NDArray[np.int64]:
    if reach == 0.0:
        return np.bincount([BINS // 2], weights=[array.size], minlength=BINS).astype(np.int64)
    # Ten times as fast as numpy.histogram, which makes no use of bins of one width.
    places = ((array.reshape(-1) + np.float32(reach)) * np.float32(BINS / (2 * reach))).astype(
        np.int32
    )
    return np.bincount(np.minimum(places, BINS - 1), minlength=BINS)
