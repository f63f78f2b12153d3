"""Measurements in a child process: their size, and errors that explain a failure."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeunet.errors import EdgeUnetError, EngineError
from edgeunet.ort.onnxruntime_arenas import ARENA_LIMIT
from edgeunet.run import measured as module
from edgeunet.run.measured import Measurement, measure
from edgeunet.specs import Task
from edgeunet.units import MIB
from tests.bundle.tiny import tiny_bundle, windowed_bundle

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="measuring needs Linux"
)


def save(path: Path, nodes: Sequence[Any], ends: dict[str, int]) -> Path:
    """Write a graph over 1024x1024 pixels, 4 MiB per channel. ends: input and output channels."""
    helper = onnx.helper
    source, target = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, channels, 1024, 1024])
        for name, channels in ends.items()
    )
    graph = helper.make_graph(list(nodes), "big", [source], [target])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def widen(source: str, target: str) -> Any:
    """Return a node that copies one channel eight times and needs no memory but its output."""
    return onnx.helper.make_node("Concat", [source] * 8, [target], axis=1)


def narrow(source: str, target: str) -> Any:
    return onnx.helper.make_node("ReduceMax", [source], [target], axes=[1])


def test_the_measured_bytes_are_what_the_graph_needs(tmp_path: Path) -> None:
    graph = save(tmp_path / "a.onnx", [widen("x", "a"), narrow("a", "y")], {"x": 1, "y": 1})
    found = measure(graph, frames=5)
    # 32 MiB for the tensor between, 4 MiB for the output; the input was there before.
    assert 35 * MIB < found.first_frame_bytes < 45 * MIB
    assert 35 * MIB < found.steady_bytes < 45 * MIB
    assert (found.engine, len(found.frames_bytes)) == ("onnxruntime", 5)
    assert len(found.frames_seconds) == 5
    assert min(found.frames_seconds) > 0


def test_a_bundle_is_measured_with_all_its_stages(tmp_path: Path) -> None:
    whole = measure(tiny_bundle(tmp_path, 1024, 1024, (Task.DENOISE,)).path, frames=5)
    windowed = measure(windowed_bundle(tmp_path, 1024, 1024, (128, 128)).path, frames=5)
    # Three planes of floats at once; or bytes alone: the frame, what is held, and the output.
    assert 24 * MIB < whole.measured_bytes < 60 * MIB
    assert 5 * MIB < windowed.measured_bytes < 16 * MIB


def test_a_limit_on_the_arena_is_kept(tmp_path: Path) -> None:
    graph = save(tmp_path / "a.onnx", [widen("x", "a"), narrow("a", "y")], {"x": 1, "y": 1})
    measure(graph, frames=5, environment={ARENA_LIMIT: str(40 * MIB)})
    with pytest.raises(EngineError, match=r"onnxruntime failed to run a\.onnx"):
        measure(graph, frames=5, environment={ARENA_LIMIT: str(24 * MIB)})


@pytest.mark.parametrize("limit", ["-1", "1e6", "40MiB", "", "9" * 30, "9" * 5000])
def test_a_limit_that_is_no_number_of_bytes_is_refused(limit: str, tmp_path: Path) -> None:
    graph = save(tmp_path / "a.onnx", [widen("x", "a"), narrow("a", "y")], {"x": 1, "y": 1})
    with pytest.raises(EdgeUnetError, match=f"{ARENA_LIMIT} is .*, no number of bytes"):
        measure(graph, frames=5, environment={ARENA_LIMIT: limit})


def test_a_broken_graph_gives_the_engines_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(EngineError, match=r"broken\.onnx"):
        measure(path)


def test_a_process_without_an_answer_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no answer after 0\.01 s"):
        module.ask("edgeunet.run.measured", {"target": str(tmp_path)}, timeout_seconds=0.01)


def test_too_few_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="2 frames are too few"):
        measure(tmp_path / "a.onnx", frames=2)


def test_a_system_without_proc_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLEAR_REFS", tmp_path / "clear_refs")
    with pytest.raises(EngineError, match="clear_refs, which this system does not have") as caught:
        measure(tmp_path / "a.onnx")
    assert "leave out --measure" in caught.value.hint


def test_a_mark_that_cannot_be_reset_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CLEAR_REFS", tmp_path)
    with pytest.raises(EngineError, match="cannot be written"):
        module._reset_high_water_mark()


def test_the_high_water_mark_is_reset() -> None:
    held = np.ones(64 * MIB, dtype=np.uint8)
    before = module._now().highest_bytes
    del held
    module._reset_high_water_mark()
    assert module._now().highest_bytes < before - 48 * MIB


def test_pages_of_files_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "code"
    path.write_bytes(bytes(8 * MIB))
    held: list[Any] = []

    def run() -> None:
        if held:
            return
        with path.open("rb") as file:
            held.append(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        assert held[0].find(b"x") == -1
        held.append(np.ones(4 * MIB, np.uint8))

    found = module.measure_runs(run, "none", 3)
    assert 4 * MIB <= found.measured_bytes < 5 * MIB
    assert 8 * MIB <= found.code_bytes < 9 * MIB


def test_a_killed_child_is_reported() -> None:
    error = module._failure(-9, None, "")
    assert error.message == "the measured process was ended by SIGKILL"
    assert "ran out of memory" in error.hint


def test_a_child_that_crashed_gives_its_last_line() -> None:
    error = module._failure(1, None, "Traceback\nValueError: no\n")
    assert error.message == "the measured process failed: ValueError: no"


def test_first_and_later_frames_have_separate_figures() -> None:
    found = Measurement("any", (10, 30, 20), (0.1, 0.1, 0.1))
    assert (found.first_frame_bytes, found.steady_bytes, found.measured_bytes) == (10, 30, 30)
