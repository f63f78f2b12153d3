"""Bundles whose plans are missing, broken or from another machine, and the engine chosen then."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgeunet.bundle import Bundle
from edgeunet.engine.trt.plans import info_path, plan_path
from edgeunet.errors import EdgeUnetError, EngineError, UsageError
from edgeunet.run.executor import Executor
from tests.bundle.tiny import tiny_bundle, windowed_bundle
from tests.engine.simulated_gpu import Gpu
from tests.engine.simulated_jetson import jetson
from tests.engine.simulated_runtime import Engine
from tests.media.clips import picture
from tests.run.comparing import answers

pytest.importorskip("onnxruntime")


def _without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: None if name == "onnxruntime" else there(name, package),
    )


def refused(bundle: Bundle) -> EdgeUnetError:
    with pytest.raises(EdgeUnetError) as caught:
        Executor(bundle, "tensorrt")
    return caught.value


def test_a_bundle_without_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = windowed_bundle(tmp_path)
    error = refused(bundle)
    assert error.message == "windowed.bundle has no TensorRT plans"
    assert error.hint == f"build them on this device: edgeunet build {bundle.path}"
    machine.build(bundle)
    plan_path(bundle, "twice").unlink()
    assert refused(bundle).message == "windowed.bundle has no TensorRT plan for twice"


def test_plans_for_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = machine.build(windowed_bundle(tmp_path))
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


def test_a_plan_that_tensorrt_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = machine.build(windowed_bundle(tmp_path))
    machine.tensorrt.gpu = "another"
    error = refused(bundle)
    assert error.message == (
        "TensorRT cannot load the plan of stage 'once': Version tag does not match."
    )
    machine.gpu.finish()


def test_a_plan_of_other_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = machine.build(windowed_bundle(tmp_path))
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
    error = refused(jetson(monkeypatch, gpu=gpu).build(windowed_bundle(tmp_path)))
    assert error.message == ("the current window needs 7.4 KiB of GPU memory, 3.0 KiB are free")
    assert "--budget" in error.hint
    gpu.finish()


@pytest.mark.parametrize(
    ("memory_bytes", "contexts", "why"),
    [
        (12 << 10, True, "the current window needs 7.4 KiB of GPU memory, 3.0 KiB are free"),
        (1 << 30, False, "the plan of stage 'once' cannot be made ready to run"),
    ],
)
def test_auto_avoids_a_gpu_with_too_little_memory(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    memory_bytes: int,
    contexts: bool,
    why: str,
) -> None:
    gpu = Gpu(memory_bytes=memory_bytes)
    machine = jetson(monkeypatch, gpu=gpu)
    bundle = machine.build(windowed_bundle(tmp_path))
    if not contexts:
        monkeypatch.setattr(Engine, "create_execution_context", lambda self, strategy: None)
    notes: list[str] = []
    executor = Executor(bundle, threads=1, on_note=notes.append)
    assert executor.engine == "onnxruntime"
    assert executor.device_use is None
    assert notes == [f"engine: onnxruntime, because {why}"]
    gpu.finish()
    given = executor.run(picture(1))["denoised"]
    assert np.array_equal(given, answers(bundle, "onnxruntime", (1,))[0]["denoised"])
    executor.close()
    assert refused(bundle).message == why
    _without_onnxruntime(monkeypatch)
    with pytest.raises(EngineError) as caught:
        Executor(bundle)
    assert caught.value.message == why
    gpu.finish()


def test_auto_takes_plans_where_they_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = windowed_bundle(tmp_path)

    def chosen() -> tuple[str, str]:
        notes: list[str] = []
        executor = Executor(bundle, threads=1, on_note=notes.append)
        executor.close()
        return executor.engine, notes[0]

    assert chosen() == (
        "onnxruntime",
        "engine: onnxruntime, because windowed.bundle has no TensorRT plans",
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


def test_a_jetson_without_onnxruntime_is_told_what_tensorrt_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jetson(monkeypatch)
    bundle = windowed_bundle(tmp_path)
    _without_onnxruntime(monkeypatch)
    with pytest.raises(EngineError, match="windowed.bundle has no TensorRT plans") as caught:
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
def test_an_unknown_setting_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, said: str
) -> None:
    monkeypatch.setenv(variable, "fast")
    with pytest.raises(UsageError, match=f"{variable} is 'fast'") as caught:
        Executor(tiny_bundle(tmp_path))
    assert said in caught.value.hint
