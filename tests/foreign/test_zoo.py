"""Foreign networks run in windows, and give what they give on the whole frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeunet.graph.stages import FrameGraph
from tests.foreign.zoo import ZOO, Animal, detector, house_graph, monai_zoo
from tests.graph.foreign import frame_of
from tests.graph.plain_windows import run_stages, run_whole
from tests.graph.test_foreign_windows import smallest_windows

SIZES = ((64, 96), (75, 109), (83, 61))
TOLERANCE = 1e-5


def windows_equal_whole(path: Path, size: tuple[int, int]) -> int:
    """Compare the finest cut's smallest windows with the whole frame, in floats.

    Returns how many stages ran in windows smaller than the frame.
    """
    model = house_graph(path, size)
    stages = FrameGraph(model).cut(1)
    frame = frame_of(*size)
    windows = smallest_windows(stages, size, 0)
    given, wanted = run_stages(stages, frame, windows), run_whole(model, frame)
    for name, whole in wanted.items():
        assert whole.dtype == np.float32
        assert given[name].shape == whole.shape
        error = np.abs(given[name].astype(np.float64) - whole).max()
        assert error <= TOLERANCE * np.abs(whole).max(), (name, error)
    return sum(window is not None and window < size for window in windows)


def _each_at_one_size() -> Iterator[object]:
    """Every network at one of the sizes, and with ``make thorough`` at the others."""
    for number, name in enumerate(ZOO):
        for index, size in enumerate(SIZES):
            marks = [] if index == number % len(SIZES) else [pytest.mark.thorough]
            yield pytest.param(name, size, marks=marks, id=f"{name}-{index}")


@pytest.mark.parametrize(("name", "size"), list(_each_at_one_size()))
def test_restated_networks(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    animal = ZOO[name]
    size = animal.fitting(size)
    path = animal.write(tmp_path / "network.onnx", size)
    assert windows_equal_whole(path, size) > 0


@pytest.mark.thorough
@pytest.mark.parametrize("name", ZOO)
def test_the_other_exporter(name: str, tmp_path: Path) -> None:
    animal = ZOO[name]
    other = replace(animal, dynamo=not animal.dynamo, opset=17 if animal.dynamo else 18)
    size = other.fitting(SIZES[0])
    path = other.write(tmp_path / "network.onnx", size)
    assert windows_equal_whole(path, size) > 0


MONAI = dict(monai_zoo())
LARGE = ("MONAI UNet++", "MONAI SegResNet", "MONAI BasicUNet")


@pytest.mark.skipif(not MONAI, reason="monai is not installed")
def test_monai_has_the_networks_that_are_tested() -> None:
    assert len(MONAI) == 6


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.thorough] if name in LARGE else []) for name in MONAI],
)
def test_networks_of_monai(name: str, tmp_path: Path) -> None:
    animal: Animal = MONAI[name]
    size = animal.fitting(SIZES[0])
    path = animal.write(tmp_path / "network.onnx", size)
    assert windows_equal_whole(path, size) > 0


@pytest.mark.skipif(detector() is None, reason="rapidocr-onnxruntime is not installed")
def test_a_trained_detector_of_paddlepaddle() -> None:
    path = detector()
    assert path is not None
    assert windows_equal_whole(path, (96, 160)) > 0
