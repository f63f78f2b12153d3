"""``edgeunet memory`` of a bundle on a GPU, and on a board: who counts what, and does it fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")

from edgeunet.boards import find_board
from edgeunet.imitation.tensorrt_compiler import WORKSPACE_BYTES
from edgeunet.run import measured as measuring
from edgeunet.run.executor import Executor
from tests.bundle.tiny import tiny_bundle, windowed_bundle
from tests.cli.command import edgeunet
from tests.engine.simulated_gpu import Gpu
from tests.engine.simulated_jetson import WORK_BYTES, desktop, jetson

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="measuring needs Linux"
)


@pytest.fixture
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulated GPU is in this process, and a child would not see it."""

    def measure(
        target: Path, *, engine: str, threads: int | None, workers: int | None
    ) -> measuring.Measurement:
        return measuring.run_and_measure(target, engine, 5, threads or 1, workers)

    monkeypatch.setattr(measuring, "measure", measure)


@pytest.mark.usefixtures("_in_this_process")
@pytest.mark.parametrize("gpu", [Gpu(), desktop()], ids=["integrated", "discrete"])
def test_every_counter_is_beside_the_others(
    gpu: Gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = jetson(monkeypatch, gpu=gpu).build(windowed_bundle(tmp_path))
    ran = edgeunet("memory", bundle.path, "--measure", "--engine", "tensorrt", "--json")
    assert ran.code == 0, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    device = document["device"]
    assert device["title"] == f"TensorRT 10.3.0 on {gpu.name}, cuda-python"
    assert (device["integrated"], device["mapped"]) == (gpu.integrated, gpu.integrated)
    assert [stage["stage"] for stage in device["stages"]] == ["once", "twice"]
    for stage in device["stages"]:
        assert stage["activation_bytes"] == stage["work_bytes"] == WORK_BYTES
        assert stage["weight_bytes"] == 2048
        assert stage["predicted_bytes"] > WORKSPACE_BYTES
    assert device["held_bytes"] == document["held_bytes"] == 48 * 64 * 3
    assert device["scratch_bytes"] == 2 * 1280 + WORK_BYTES
    assert device["frame_bytes"] == 2 * 48 * 64 * 3
    blocks = device["held_bytes"] + device["scratch_bytes"]
    assert device["taken_bytes"] == blocks + (0 if gpu.integrated else device["frame_bytes"])
    assert device["process_bytes"] > 1 << 20
    assert list(document)[-1] == "measured_bytes"
    gpu.finish()


@pytest.mark.usefixtures("_in_this_process")
def test_the_differences_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = machine.build(windowed_bundle(tmp_path))
    machine.tensorrt.work_bytes = WORK_BYTES + 1024
    ran = edgeunet("memory", bundle.path, "--measure")
    assert ran.code == 0, ran.err
    for words in ("predicted", "activations", "needed to run", "on the device"):
        assert words in ran.out
    said = "\n".join(ran.notes)
    assert "once: the TensorRT plan needs 1.0 KiB more to run than the compiler reports" in said
    assert "% against the prediction" in said
    assert "taken beyond what was allocated: 0 B; weights are 4.0 KiB of it" in said
    assert "the driver's free bytes leave out" in said
    machine.gpu.finish()


@pytest.mark.usefixtures("_in_this_process")
def test_without_a_gpu_it_is_measured_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = jetson(monkeypatch)
    bundle = machine.build(windowed_bundle(tmp_path))
    machine.gpu.devices = 0
    ran = edgeunet("memory", bundle.path, "--measure", "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert "device" not in document
    assert document["measured_bytes"] >= 0
    asked = edgeunet("memory", bundle.path, "--measure", "--engine", "tensorrt")
    assert asked.failure[0].startswith("the driver finds no GPU")


@pytest.mark.parametrize("option", ["--engine tensorrt", "--threads 2", "--workers 2"])
def test_what_only_a_measurement_uses_is_refused_without_one(option: str, tmp_path: Path) -> None:
    ran = edgeunet("memory", tiny_bundle(tmp_path).path, *option.split())
    assert ran.code == 2
    assert ran.failure == (
        f"{option} says what to measure with, and nothing is measured",
        "add --measure, or leave it out",
    )


@pytest.mark.usefixtures("_in_this_process")
@pytest.mark.parametrize("reads_graphs", [True, False], ids=["graphs", "manifest"])
def test_a_bundle_is_measured_with_the_threads_and_workers_asked_for(
    reads_graphs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = windowed_bundle(tmp_path)
    opened: list[tuple[int | None, int | None]] = []

    def executor(*of: Any, threads: int | None, workers: int | None) -> Executor:
        opened.append((threads, workers))
        return Executor(*of, threads=threads, workers=workers)

    monkeypatch.setattr(measuring, "Executor", executor)
    if not reads_graphs:
        monkeypatch.setattr("edgeunet.cli.memory.reads_no_graphs", lambda _: True)
    ran = edgeunet("memory", bundle.path, "--measure", "--threads", "3", "--workers", "2")
    assert ran.code == 0, ran.err
    assert opened == [(3, 2)]


def test_workers_that_have_nothing_to_share_are_a_wrong_use(tmp_path: Path) -> None:
    ran = edgeunet("memory", tiny_bundle(tmp_path).path, "--measure", "--workers", "2")
    assert ran.code == 2
    assert ran.failure == (
        "tiny.bundle runs whole frames, so 2 workers have nothing to share",
        "export it in windows, like --tile auto",
    )


def test_a_file_has_no_plans(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path)
    ran = edgeunet("memory", bundle.path / "graph.onnx", "--measure", "--engine", "tensorrt")
    assert ran.code == 1
    assert ran.failure[0] == "TensorRT runs the plans of a bundle, not a graph"


def test_a_bundle_fits_a_board(tmp_path: Path) -> None:
    board = find_board("orin-nano-4gb")
    ran = edgeunet("memory", tiny_bundle(tmp_path).path, "--board", board.id, "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    answer = document["board"]
    assert answer == {
        "id": "orin-nano-4gb",
        "memory_bytes": 4 << 30,
        "reserved_bytes": board.reserved_bytes,
        "usable_bytes": (4 << 30) - board.reserved_bytes,
        "needed_bytes": sum(document[f"{kind}_bytes"] for kind in ("arena", "weight", "io")),
        "fits": True,
    }
    ran = edgeunet("memory", tiny_bundle(tmp_path).path, "--board", board.id)
    assert f"{board.name}: it fits" in ran.out
    assert "CUDA and TensorRT once loaded" in ran.out


def test_a_frame_that_is_too_large_for_a_board(tmp_path: Path) -> None:
    graph = tiny_bundle(tmp_path, 20000, 20000).path / "graph.onnx"
    ran = edgeunet("memory", graph, "--board", "nano-4gb", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["board"]["fits"] is False
    ran = edgeunet("memory", graph, "--board", "nano-4gb")
    assert "it does not fit" in ran.out
