"""Ranges from histograms: each way does what its name says, and zero is always exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from edgeunet.calibration.calibrators import interval_of
from edgeunet.calibration.histograms import BINS, Histogram, histograms_of
from edgeunet.errors import EngineError
from edgeunet.graph.quantized import quantized_weights, scale_of
from edgeunet.specs import Calibrator, Engine

Values = NDArray[np.float64]


def of(values: Values) -> Histogram:
    low, high = float(values.min()), float(values.max())
    reach = max(-low, high)
    counts, _ = np.histogram(values, BINS, (-reach, reach))
    return Histogram(low, high, counts)


@pytest.fixture(scope="module")
def outlying() -> Histogram:
    """A bell of width 1, and a few values far out on the right."""
    values = np.random.default_rng(0).normal(size=1_000_000)
    values[:3] = 40.0
    return of(values)


def test_minmax_takes_everything(outlying: Histogram) -> None:
    low, high = interval_of(outlying, Calibrator.MINMAX, Engine.ONNXRUNTIME)
    assert (low, high) == (outlying.low, 40.0)


@pytest.mark.parametrize("calibrator", [Calibrator.PERCENTILE, Calibrator.ENTROPY])
def test_outliers_are_left_out(outlying: Histogram, calibrator: Calibrator) -> None:
    low, high = interval_of(outlying, calibrator, Engine.ONNXRUNTIME)
    assert outlying.low <= low < -3
    assert 3 < high < 20


def error_of(values: Values, interval: tuple[float, float], engine: Engine) -> float:
    scale, zero = scale_of(interval, engine)
    ends = (-128, 127) if engine is Engine.TENSORRT else (0, 255)
    counts = np.clip(np.rint(values / scale) + zero, *ends)
    return float(np.mean((values - (counts - zero) * scale) ** 2))


@pytest.mark.parametrize("engine", list(Engine))
def test_mse_has_the_least_error(engine: Engine) -> None:
    values = np.random.default_rng(1).laplace(size=200_000)
    found = of(values)
    errors = {c: error_of(values, interval_of(found, c, engine), engine) for c in Calibrator}
    assert min(errors, key=lambda calibrator: errors[calibrator]) is Calibrator.MSE
    assert errors[Calibrator.MSE] < 0.9 * errors[Calibrator.MINMAX]


@pytest.mark.parametrize("calibrator", list(Calibrator))
def test_a_tensor_that_is_always_zero(calibrator: Calibrator) -> None:
    counts = np.zeros(BINS, np.int64)
    counts[BINS // 2] = 10
    zero = Histogram(0.0, 0.0, counts)
    for engine in Engine:
        assert scale_of(interval_of(zero, calibrator, engine), engine) == (1.0, 0)


def test_scales_cover_the_interval_and_zero() -> None:
    for interval, engine, wanted in (
        ((0.0, 2.55), Engine.ONNXRUNTIME, (0.01, 0)),
        ((-1.0, 1.55), Engine.ONNXRUNTIME, (0.01, 100)),
        ((1.0, 2.55), Engine.ONNXRUNTIME, (0.01, 0)),
        ((-2.54, 1.0), Engine.TENSORRT, (0.02, 0)),
    ):
        assert scale_of(interval, engine) == pytest.approx(wanted)


def test_weights_have_a_scale_per_output_channel() -> None:
    content = np.zeros((3, 2, 1, 1), np.float32)
    content[0, :, 0, 0] = 1.27, -0.5
    content[1, :, 0, 0] = -254.0, 2.0
    scales, bits = quantized_weights(content)
    assert bits[:, :, 0, 0].tolist() == [[127, -50], [-127, 1], [0, 0]]
    assert scales.tolist() == pytest.approx([0.01, 2.0, 1.0])


def graph_of(folder: Path, body: str) -> Path:
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    agraph (uint8[1, 4, 4, 3] frame) => (float[1, 4, 4, 3] a, float[1, 4, 4, 3] b) {{ {body} }}"""
    onnx.save(onnx.parser.parse_model(text), folder / "graph.onnx")
    return folder / "graph.onnx"


def test_frames_are_counted_one_by_one(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, f"a = Cast <to = {TensorProto.FLOAT}> (frame) b = Neg (a)")
    frames = [np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 200, np.uint8)]
    frames[1][0, 0, 0] = 100
    up, down = histograms_of(graph, ("a", "b"), lambda: iter(frames))
    assert (up.low, up.high, down.low, down.high) == (0.0, 200.0, -200.0, 0.0)
    assert up.counts.sum() == down.counts.sum() == 2 * 48
    assert up.counts[BINS // 2] == 48
    assert up.counts[-1] == down.counts[0] == 47
    assert up.centres[0] == pytest.approx(-200 * (1 - 1 / BINS))


def test_what_is_not_finite_is_refused(tmp_path: Path) -> None:
    body = f"a = Cast <to = {TensorProto.FLOAT}> (frame) b = Reciprocal (a)"
    frames = [np.zeros((4, 4, 3), np.uint8)]
    with pytest.raises(EngineError, match="not finite on the calibration set") as caught:
        histograms_of(graph_of(tmp_path, body), ("a", "b"), lambda: iter(frames))
    assert "weights are no good" in caught.value.hint
