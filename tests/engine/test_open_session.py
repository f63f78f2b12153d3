from __future__ import annotations

import importlib.util
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgeunet.engine import choose_engine, open_session
from edgeunet.errors import EngineError, MissingPackageError, UsageError
from edgeunet.specs import TensorSpec
from tests.bundle.tiny import tiny_graph


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "graph.onnx"
    path.write_bytes(tiny_graph(8, 12))
    return path


def frame(value: int = 90) -> np.ndarray:
    return np.full((1, 8, 12, 3), value, np.uint8)


def test_it_runs_and_overwrites_its_own_outputs(graph: Path) -> None:
    with open_session(graph) as session:
        assert session.engine == "onnxruntime"
        assert session.inputs == (TensorSpec("frame", (1, 8, 12, 3), "uint8"),)
        assert {spec.name for spec in session.outputs} == {"denoised", "labels"}
        first = session.run({"frame": frame(90)})["denoised"]
        assert np.all(first == 90)
        second = session.run({"frame": frame(7)})["denoised"]
        assert second is first
        assert np.all(first == 7)


def test_a_run_allocates_no_output(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    path.write_bytes(tiny_graph(256, 256))
    picture = np.zeros((1, 256, 256, 3), np.uint8)
    with open_session(path, threads=1) as session:
        session.run({"frame": picture})
        tracemalloc.start()
        session.run({"frame": picture})
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < picture.nbytes / 10


@pytest.mark.parametrize(
    ("feeds", "message", "hint"),
    [
        ({"image": frame()}, "graph.onnx was given ('image',)", "its inputs are ('frame',)"),
        ({}, "graph.onnx was given ()", "its inputs are ('frame',)"),
        (
            {"frame": np.zeros((1, 8, 10, 3), np.uint8)},
            "graph.onnx: 'frame' was given as (1, 8, 10, 3) uint8",
            "it takes (1, 8, 12, 3) uint8",
        ),
        (
            {"frame": np.zeros((1, 8, 12, 3), np.float32)},
            "graph.onnx: 'frame' was given as (1, 8, 12, 3) float32",
            "it takes (1, 8, 12, 3) uint8",
        ),
        (
            {"frame": frame()[:, ::-1]},
            "graph.onnx: 'frame' is not contiguous in memory",
            "pass it through numpy.ascontiguousarray first",
        ),
    ],
)
def test_wrong_feeds_are_refused(
    graph: Path, feeds: dict[str, np.ndarray], message: str, hint: str
) -> None:
    with open_session(graph) as session, pytest.raises(EngineError) as caught:
        session.run(feeds)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_corrupt_graph_is_an_engine_error_of_one_line(graph: Path) -> None:
    graph.write_bytes(graph.read_bytes()[:40] + b"garbage")
    with pytest.raises(EngineError) as caught:
        open_session(graph)
    assert caught.value.message.startswith("onnxruntime cannot load graph.onnx: ")
    assert "\n" not in caught.value.message
    assert caught.value.hint.startswith("export it again")


def test_a_missing_graph_is_an_engine_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="there is no graph"):
        open_session(tmp_path / "absent.onnx")


def test_a_graph_without_fixed_shapes_is_refused(tmp_path: Path) -> None:
    shape: list[str | int | None] = [1, "height", 4]
    inner = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "dynamic",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(inner, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "dynamic.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(EngineError, match=r"dynamic.onnx: 'x' has no fixed shape \(1, 'height', 4"):
        open_session(path)


def test_a_closed_session_says_so(graph: Path) -> None:
    session = open_session(graph)
    session.close()
    with pytest.raises(EngineError, match=r"graph.onnx is closed"):
        session.run({"frame": frame()})


def test_a_number_of_threads_is_at_least_one(graph: Path) -> None:
    with pytest.raises(UsageError, match="0 is not a number of threads"):
        open_session(graph, threads=0)


def test_engines_are_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_engine("auto") == choose_engine("onnxruntime") == "onnxruntime"
    with pytest.raises(UsageError, match="there is no engine 'onxruntime'") as unknown:
        choose_engine("onxruntime")
    assert unknown.value.hint.startswith("did you mean 'onnxruntime'? known: auto,")
    with pytest.raises(EngineError, match="TensorRT runs the plans of a bundle, not a") as other:
        choose_engine("tensorrt")
    assert other.value.hint.endswith("edgeunet build BUNDLE")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="'onnxruntime', which is not installed") as gone:
        choose_engine("auto")
    assert gone.value.hint == 'pip install "edgeunet[cpu]"'
