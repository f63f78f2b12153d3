"""Bundles on a simulated GPU: what comes out is what onnxruntime gives, bit for bit.

Whatever the version of TensorRT, the package that calls CUDA and the kind of GPU; with work done as
late as it may be, and in the worst order.
"""

from __future__ import annotations

import importlib.util
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgeunet.bundle import Bundle
from edgeunet.engine.trt.plans import info_path, plan_path
from edgeunet.errors import EdgeUnetError, EngineError, UsageError
from edgeunet.specs import Array, Task
from edgeunet.stream.device_space import DeviceSpace
from edgeunet.stream.executor import Executor
from tests.bundle.tiny import tiled_bundle, tiny_bundle
from tests.engine.simulated_cuda import LAYOUTS
from tests.engine.simulated_gpu import Gpu
from tests.engine.simulated_jetson import VERSIONS, WORK_BYTES, desktop, jetson
from tests.stream.media import picture

pytest.importorskip("onnxruntime")


def answers(bundle: Bundle, engine: str, seeds: tuple[int, ...] = (1, 2)) -> list[dict[str, Array]]:
    """Every output of some frames, copied."""
    executor = Executor(bundle, engine, threads=1)
    height, width = bundle.manifest.height, bundle.manifest.width
    try:
        return [
            {name: a.copy() for name, a in executor.run(picture(seed, height, width)).items()}
            for seed in seeds
        ]
    finally:
        executor.close()


def same(one: list[dict[str, Array]], other: list[dict[str, Array]]) -> bool:
    return all(
        a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
        for a, b in zip(one, other, strict=True)
    )


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
    bundle = machine.build(tiled_bundle(tmp_path, 45, 61))
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
    bundle = jetson(monkeypatch, gpu=gpu).build(tiled_bundle(tmp_path, 48, 64, (16, 24)))
    assert same(answers(bundle, "tensorrt"), answers(bundle, "onnxruntime"))
    gpu.finish()


def test_a_missing_event_would_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the tests above can fail."""
    gpu = desktop()
    monkeypatch.setattr(gpu, "wait", lambda stream, event: None)
    bundle = jetson(monkeypatch, gpu=gpu).build(tiled_bundle(tmp_path))
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
    executor = Executor(machine.build(tiled_bundle(tmp_path)), "tensorrt")
    assert space_of(executor).uses_graph
    machine.gpu.calls.clear()
    executor.run(picture(1))
    assert machine.gpu.calls.count("cuGraphLaunch") == 1
    assert "cuMemcpy3DAsync" not in machine.gpu.calls
    executor.close()
    machine.gpu.finish()


def test_a_frame_allocates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEUNET_CUDA_GRAPH", "off")
    machine = jetson(monkeypatch, gpu=desktop())
    executor = Executor(machine.build(tiled_bundle(tmp_path)), "tensorrt")
    first = executor.run(picture(1))["denoised"]
    machine.gpu.calls.clear()
    assert executor.run(picture(2))["denoised"] is first
    made = {call for call in machine.gpu.calls if "Alloc" in call or "Create" in call}
    assert made == set()
    executor.close()


def test_a_capture_that_fails_is_said_once_and_the_frames_are_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = Gpu(captures=False)
    bundle = jetson(monkeypatch, gpu=gpu).build(tiled_bundle(tmp_path))
    notes: list[str] = []
    executor = Executor(bundle, "tensorrt", on_note=notes.append)
    image = picture(1)
    assert np.array_equal(
        executor.run(image)["denoised"], answers(bundle, "onnxruntime", (1,))[0]["denoised"]
    )
    executor.close()
    (note,) = notes
    assert note.startswith(
        "without a CUDA graph, one call per window: CUDA failed in cuStreamBegin"
    )
    gpu.finish()
    monkeypatch.setenv("EDGEUNET_CUDA_GRAPH", "on")
    with pytest.raises(EngineError, match="CUDA failed in cuStreamBeginCapture"):
        Executor(bundle, "tensorrt")
    gpu.finish()


def test_a_graph_that_pycuda_cannot_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch, layout="pycuda")
    bundle = machine.build(tiled_bundle(tmp_path))
    notes: list[str] = []
    Executor(bundle, "tensorrt", on_note=notes.append).close()
    assert notes == ["without a CUDA graph, one call per window: pycuda makes none"]
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
    bundle = jetson(monkeypatch, gpu=gpu).build(tiled_bundle(tmp_path))
    assert same(answers(bundle, "tensorrt"), answers(bundle, "onnxruntime"))
    moved = {call for call in gpu.calls if call in ("cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync")}
    assert bool(moved) is copies
    gpu.finish()


def test_a_frame_comes_and_goes_in_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nothing would overlap: the last rows go up after the first windows could run."""
    gpu = desktop()
    bundle = jetson(monkeypatch, gpu=gpu).build(tiled_bundle(tmp_path, 48, 64, (16, 24)))
    executor = Executor(bundle, "tensorrt")
    gpu.calls.clear()
    monkeypatch.setattr(space_of(executor), "_graph", None)
    executor.run(picture(1))
    assert gpu.calls.count("cuMemcpyHtoDAsync") == 4
    assert gpu.calls.count("cuMemcpyDtoHAsync") == 4
    executor.close()


def test_old_integrated_gpus_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(name="Tegra X2", compute_capability=(6, 2))
    executor = Executor(jetson(monkeypatch, gpu=gpu).build(tiled_bundle(tmp_path)), "tensorrt")
    assert not space_of(executor).mapped
    executor.close()
    gpu.finish()


def test_stages_share_one_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    executor = Executor(machine.build(tiled_bundle(tmp_path)), "tensorrt")
    window = 16 * 24 * 3
    aligned = -(-window // 256) * 256
    use = space_of(executor).use
    assert use.work_bytes == {"once": WORK_BYTES, "twice": WORK_BYTES}
    assert use.block_bytes == {
        "what the stages hand on": 48 * 64 * 3,
        "the window at hand": 2 * aligned + WORK_BYTES,
    }
    assert use.frame_bytes == 2 * 48 * 64 * 3
    executor.close()
    assert machine.gpu.peak_bytes == sum(use.block_bytes.values())


def test_frames_may_run_in_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = machine.build(tiled_bundle(tmp_path))
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


def test_a_context_that_was_lost_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEUNET_CUDA_GRAPH", "off")
    machine = jetson(monkeypatch)
    executor = Executor(machine.build(tiled_bundle(tmp_path)), "tensorrt")
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
    executor = Executor(machine.build(tiled_bundle(tmp_path)), "tensorrt")
    machine.gpu.fails["cuCtxPushCurrent"] = ("CUDA_ERROR_CONTEXT_IS_DESTROYED", "is destroyed")
    with pytest.raises(EngineError, match="the CUDA context was lost"):
        executor.run(picture(1))
    executor.close()


def test_a_closed_executor_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    executor = Executor(machine.build(tiled_bundle(tmp_path)), "tensorrt")
    executor.close()
    executor.close()
    with pytest.raises(EngineError, match="the bundle was closed"):
        executor.run(picture(1))
    machine.gpu.finish()


def refused(bundle: Bundle) -> EdgeUnetError:
    with pytest.raises(EdgeUnetError) as caught:
        Executor(bundle, "tensorrt")
    return caught.value


def test_a_bundle_without_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = tiled_bundle(tmp_path)
    error = refused(bundle)
    assert error.message == "tiled.bundle has no TensorRT plans"
    assert error.hint == f"build them on this device: edgeunet build {bundle.path}"
    machine.build(bundle)
    plan_path(bundle, "twice").unlink()
    assert refused(bundle).message == "tiled.bundle has no TensorRT plan for twice"


def test_plans_that_do_not_belong_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = machine.build(tiled_bundle(tmp_path))
    path = plan_path(bundle, "once")
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert refused(bundle).message.startswith("the plan of stage 'once' is cut short: ")
    path.write_bytes(whole)
    with monkeypatch.context() as other:
        jetson(other, version="10.13.3")
        assert refused(bundle).message == (
            "the plan of stage 'once' was built by TensorRT 10.3.0, and this is TensorRT 10.13.3"
        )
    with monkeypatch.context() as other:
        jetson(other, gpu=Gpu(name="Thor", compute_capability=(11, 0)))
        error = refused(bundle)
    assert error.message == "the plan of stage 'once' was built on Orin, and this GPU is Thor"
    assert "edgeunet build" in error.hint
    machine.gpu.finish()


def test_a_plan_that_tensorrt_will_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = jetson(monkeypatch)
    bundle = machine.build(tiled_bundle(tmp_path))
    machine.tensorrt.gpu = "another"
    error = refused(bundle)
    assert error.message == (
        "TensorRT cannot load the plan of stage 'once': Version tag does not match."
    )
    machine.gpu.finish()


def test_a_plan_of_other_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = machine.build(tiled_bundle(tmp_path))
    once, twice = (plan_path(bundle, stage) for stage in ("once", "twice"))
    info = msgspec.json.decode(info_path(bundle, "twice").read_bytes())
    document = msgspec.json.decode(info_path(bundle, "once").read_bytes())
    document |= {key: info[key] for key in ("plan_sha256", "plan_bytes")}
    once.write_bytes(twice.read_bytes())
    info_path(bundle, "once").write_bytes(msgspec.json.encode(document))
    assert refused(bundle).message == (
        "the plan of stage 'once' has another 'denoised' than the bundle"
    )
    machine.gpu.finish()


def test_too_little_memory_says_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(memory_bytes=12 << 10)
    error = refused(jetson(monkeypatch, gpu=gpu).build(tiled_bundle(tmp_path)))
    assert error.message == ("the window at hand needs 7.4 KiB of GPU memory, 3.0 KiB are free")
    assert "--budget" in error.hint
    gpu.finish()


def test_auto_takes_plans_where_they_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = tiled_bundle(tmp_path)

    def chosen() -> tuple[str, str]:
        notes: list[str] = []
        executor = Executor(bundle, threads=1, on_note=notes.append)
        executor.close()
        return executor.engine, notes[0]

    assert chosen() == (
        "onnxruntime",
        "engine: onnxruntime, because tiled.bundle has no TensorRT plans",
    )
    machine.build(bundle)
    assert chosen() == (
        "tensorrt",
        "engine: tensorrt, the bundle has plans for it (TensorRT 10.3.0 on Orin, cuda-python)",
    )
    machine.gpu.driver = 10020
    name, why = chosen()
    assert name == "onnxruntime"
    assert why.startswith("engine: onnxruntime, because the GPU's driver is for CUDA 10.2, and ")
    machine.gpu.finish()


def test_a_jetson_without_onnxruntime_hears_what_tensorrt_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jetson(monkeypatch)
    bundle = tiled_bundle(tmp_path)
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: None if name == "onnxruntime" else there(name, package),
    )
    with pytest.raises(EngineError, match="tiled.bundle has no TensorRT plans") as caught:
        Executor(bundle)
    assert "edgeunet build" in caught.value.hint


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("EDGEUNET_CUDA", "pycuda, cuda-python"),
        ("EDGEUNET_TRANSFERS", "auto, mapped, copied"),
        ("EDGEUNET_CUDA_GRAPH", "auto, on, off"),
    ],
)
def test_a_switch_that_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, said: str
) -> None:
    monkeypatch.setenv(variable, "fast")
    with pytest.raises(UsageError, match=f"{variable} is 'fast'") as caught:
        Executor(tiny_bundle(tmp_path))
    assert said in caught.value.hint


def test_the_path_itself_allocates_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    executor = Executor(machine.build(tiled_bundle(tmp_path, 128, 128, (32, 48))), "tensorrt")
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
