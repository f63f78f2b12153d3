"""Bundles on a simulated GPU give onnxruntime's outputs, bit for bit.

This holds for every TensorRT version, CUDA package and kind of GPU. The simulated streams run as
late as allowed and in the worst order.
"""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeunet.errors import EngineError
from edgeunet.run.device_space import DeviceSpace
from edgeunet.run.executor import Executor
from edgeunet.specs import Task
from tests.bundle.tiny import tiny_bundle, windowed_bundle
from tests.engine.simulated_cuda import LAYOUTS
from tests.engine.simulated_gpu import Gpu
from tests.engine.simulated_jetson import VERSIONS, WORK_BYTES, desktop, jetson
from tests.media.clips import picture
from tests.run.comparing import answers, same

pytest.importorskip("onnxruntime")


def space_of(executor: Executor) -> DeviceSpace:
    assert isinstance(executor._space, DeviceSpace)
    return executor._space


@pytest.mark.parametrize("integrated", [True, False], ids=["integrated", "discrete"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("version", VERSIONS)
def test_windows_on_the_gpu_are_windows_on_the_cpu(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    layout: str,
    integrated: bool,
) -> None:
    gpu = Gpu() if integrated else desktop()
    machine = jetson(monkeypatch, version=version, layout=layout, gpu=gpu)
    bundle = machine.build(windowed_bundle(tmp_path, 45, 61))
    expected = answers(bundle, "onnxruntime")
    assert same(answers(bundle, "tensorrt"), expected)
    assert not np.array_equal(expected[0]["denoised"], expected[1]["denoised"])
    # The first run is before the frames; 4 x 3 windows, twice.
    assert machine.executions == (["once"] * 12 + ["twice"] * 12) * 3
    gpu.finish()


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("graph", ["off", "auto"])
def test_streams_may_run_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, graph: str
) -> None:
    monkeypatch.setenv("EDGEUNET_CUDA_GRAPH", graph)
    gpu = desktop(order=order)
    bundle = jetson(monkeypatch, gpu=gpu).build(windowed_bundle(tmp_path, 48, 64, (16, 24)))
    assert same(answers(bundle, "tensorrt"), answers(bundle, "onnxruntime"))
    gpu.finish()


def test_a_missing_event_gives_wrong_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the tests above can fail."""
    gpu = desktop()
    monkeypatch.setattr(gpu, "wait", lambda stream, event: None)
    bundle = jetson(monkeypatch, gpu=gpu).build(windowed_bundle(tmp_path))
    assert not same(answers(bundle, "tensorrt"), answers(bundle, "onnxruntime"))


@pytest.mark.parametrize("integrated", [True, False], ids=["integrated", "discrete"])
def test_whole_frames_with_every_kind_of_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, integrated: bool
) -> None:
    gpu = Gpu() if integrated else desktop()
    tasks = (Task.DENOISE, Task.SEGMENT, Task.CLASSIFY)
    bundle = jetson(monkeypatch, gpu=gpu).build(tiny_bundle(tmp_path, tasks=tasks))
    assert same(answers(bundle, "tensorrt"), answers(bundle, "onnxruntime"))
    gpu.finish()


def test_a_frame_is_one_graph_where_the_package_has_graphs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = jetson(monkeypatch)
    executor = Executor(machine.build(windowed_bundle(tmp_path)), "tensorrt")
    assert space_of(executor)._graph is not None
    machine.gpu.calls.clear()
    executor.run(picture(1))
    assert machine.gpu.calls.count("cuGraphLaunch") == 1
    assert "cuMemcpy3DAsync" not in machine.gpu.calls
    executor.close()
    machine.gpu.finish()


def test_a_frame_allocates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEUNET_CUDA_GRAPH", "off")
    machine = jetson(monkeypatch, gpu=desktop())
    executor = Executor(machine.build(windowed_bundle(tmp_path)), "tensorrt")
    first = executor.run(picture(1))["denoised"]
    machine.gpu.calls.clear()
    assert executor.run(picture(2))["denoised"] is first
    made = {call for call in machine.gpu.calls if "Alloc" in call or "Create" in call}
    assert made == set()
    executor.close()


def test_a_failed_capture_is_reported_once_and_frames_are_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = Gpu(captures=False)
    bundle = jetson(monkeypatch, gpu=gpu).build(windowed_bundle(tmp_path))
    notes: list[str] = []
    executor = Executor(bundle, "tensorrt", on_note=notes.append)
    image = picture(1)
    assert np.array_equal(
        executor.run(image)["denoised"], answers(bundle, "onnxruntime", (1,))[0]["denoised"]
    )
    executor.close()
    (note,) = notes
    assert note.startswith("no CUDA graph, so one call per window: CUDA failed in cuStreamBegin")
    gpu.finish()
    monkeypatch.setenv("EDGEUNET_CUDA_GRAPH", "on")
    with pytest.raises(EngineError, match="CUDA failed in cuStreamBeginCapture"):
        Executor(bundle, "tensorrt")
    gpu.finish()


def test_a_graph_that_pycuda_cannot_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch, layout="pycuda")
    bundle = machine.build(windowed_bundle(tmp_path))
    notes: list[str] = []
    Executor(bundle, "tensorrt", on_note=notes.append).close()
    assert notes == ["no CUDA graph, so one call per window: pycuda has no graphs"]
    monkeypatch.setenv("EDGEUNET_CUDA_GRAPH", "on")
    with pytest.raises(EngineError, match="a CUDA graph cannot be made through pycuda") as caught:
        Executor(bundle, "tensorrt")
    assert "EDGEUNET_CUDA=cuda-python" in caught.value.hint
    machine.gpu.finish()


@pytest.mark.parametrize(
    ("transfers", "integrated", "copies"),
    [
        ("auto", True, False),
        ("auto", False, True),
        ("copied", True, True),
        ("mapped", False, False),
    ],
)
def test_frames_are_mapped_or_copied(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    transfers: str,
    integrated: bool,
    copies: bool,
) -> None:
    monkeypatch.setenv("EDGEUNET_TRANSFERS", transfers)
    gpu = Gpu() if integrated else desktop()
    bundle = jetson(monkeypatch, gpu=gpu).build(windowed_bundle(tmp_path))
    assert same(answers(bundle, "tensorrt"), answers(bundle, "onnxruntime"))
    moved = {call for call in gpu.calls if call in ("cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync")}
    assert bool(moved) is copies
    gpu.finish()


def test_a_frame_is_copied_in_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nothing would overlap: the last rows go up after the first windows could run."""
    gpu = desktop()
    bundle = jetson(monkeypatch, gpu=gpu).build(windowed_bundle(tmp_path, 48, 64, (16, 24)))
    executor = Executor(bundle, "tensorrt")
    gpu.calls.clear()
    monkeypatch.setattr(space_of(executor), "_graph", None)
    executor.run(picture(1))
    assert gpu.calls.count("cuMemcpyHtoDAsync") == 4
    assert gpu.calls.count("cuMemcpyDtoHAsync") == 4
    executor.close()


def test_old_integrated_gpus_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(name="Tegra X2", compute_capability=(6, 2))
    executor = Executor(jetson(monkeypatch, gpu=gpu).build(windowed_bundle(tmp_path)), "tensorrt")
    assert not space_of(executor).mapped
    executor.close()
    gpu.finish()


def test_stages_share_one_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    executor = Executor(machine.build(windowed_bundle(tmp_path)), "tensorrt")
    window = 16 * 24 * 3
    aligned = -(-window // 256) * 256
    use = space_of(executor).use
    assert use.work_bytes == {"once": WORK_BYTES, "twice": WORK_BYTES}
    assert use.block_bytes == {
        "the tensors held between stages": 48 * 64 * 3,
        "the current window": 2 * aligned + WORK_BYTES,
    }
    assert use.frame_bytes == 2 * 48 * 64 * 3
    executor.close()
    assert machine.gpu.peak_bytes == sum(use.block_bytes.values())


def test_frames_may_run_in_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = machine.build(windowed_bundle(tmp_path))
    executor = Executor(bundle, "tensorrt")
    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.append(executor.run(picture(1))["denoised"].copy())
    )
    thread.start()
    thread.join()
    assert np.array_equal(found[0], answers(bundle, "onnxruntime", (1,))[0]["denoised"])
    executor.close()
    machine.gpu.finish()


def test_a_lost_context_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEUNET_CUDA_GRAPH", "off")
    machine = jetson(monkeypatch)
    executor = Executor(machine.build(windowed_bundle(tmp_path)), "tensorrt")
    # As a library does that takes the context off this thread.
    machine.tensorrt.on_execute = lambda execution: machine.gpu.lose_context()
    with pytest.raises(EngineError, match=r"the CUDA context was lost \(cu\w+: .*invalid") as lost:
        executor.run(picture(1))
    assert "took its context off a thread" in lost.value.hint
    executor.close()


def test_a_context_that_was_destroyed_can_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = jetson(monkeypatch)
    executor = Executor(machine.build(windowed_bundle(tmp_path)), "tensorrt")
    machine.gpu.fails["cuCtxPushCurrent"] = ("CUDA_ERROR_CONTEXT_IS_DESTROYED", "is destroyed")
    with pytest.raises(EngineError, match="the CUDA context was lost"):
        executor.run(picture(1))
    executor.close()


def test_a_closed_executor_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    executor = Executor(machine.build(windowed_bundle(tmp_path)), "tensorrt")
    executor.close()
    executor.close()
    with pytest.raises(EngineError, match="windowed.bundle was closed"):
        executor.run(picture(1))
    machine.gpu.finish()


def test_a_frame_allocates_little_beside_tensorrt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = jetson(monkeypatch)
    executor = Executor(machine.build(windowed_bundle(tmp_path, 128, 128, (32, 48))), "tensorrt")
    machine.tensorrt.on_execute = None
    monkeypatch.setattr(machine.gpu, "launch", lambda graph, stream: None)
    image = picture(1, 128, 128)
    executor.run(image)
    tracemalloc.start()
    executor.run(image)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 4096
    executor.close()
