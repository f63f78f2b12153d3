"""The CUDA calls through both packages, and the messages when they fail."""

from __future__ import annotations

import importlib.util
import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeunet.engine.cuda import Device, open_device
from edgeunet.engine.cuda.cuda_python_device import CudaPythonDriver
from edgeunet.engine.cuda.driver import DriverFailureError
from edgeunet.errors import EngineError
from edgeunet.run.strided import box_of
from edgeunet.specs import Array
from tests.engine.simulated_cuda import LAYOUTS, install
from tests.engine.simulated_gpu import Gpu, MisuseError

OUT_OF_MEMORY = ("CUDA_ERROR_OUT_OF_MEMORY", "out of memory")


def opened(monkeypatch: pytest.MonkeyPatch, gpu: Gpu, layout: str = "cuda.bindings") -> Device:
    install(monkeypatch, gpu, layout)
    return open_device()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_gpu_is_described(monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    gpu = Gpu()
    with opened(monkeypatch, gpu, layout) as device:
        facts = device.facts
        assert (facts.name, facts.compute_capability_text, facts.driver) == ("Orin", "8.7", (12, 6))
        assert facts.integrated
        assert facts.maps_host_memory
        assert device.free_bytes() == facts.memory_bytes == 1 << 30
        assert device.backend == ("pycuda" if layout == "pycuda" else "cuda-python")
        assert device.has_graphs is (layout != "pycuda")
    gpu.finish()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bytes_survive_a_copy_to_the_gpu_and_back(
    monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    gpu = Gpu()
    with opened(monkeypatch, gpu, layout) as device:
        stream, start, end = device.stream(), device.event(timed=True), device.event(timed=True)
        source = device.allocate_host(64, "a test", mapped=False)
        target = device.allocate_host(64, "a test", mapped=False)
        block = device.allocate(64, "a test")
        source.array[:] = np.arange(64)
        with device.active():
            device.record(start, stream)()
            device.copy_in(block.address, source.array, stream)()
            device.copy_out(target.array, block.address, stream)()
            device.record(end, stream)()
        assert not target.array.any(), "nothing is done before it is waited for"
        device.synchronise(stream)
        assert np.array_equal(target.array, np.arange(64))
        assert device.elapsed_ms(start, end) >= 0
        device.clear(block, stream)
        with device.active():
            device.copy_out(target.array, block.address, stream)()
        device.synchronise(stream)
        assert not target.array.any()
    gpu.finish()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_part_is_copied_as_numpy_copies_it(data: st.DataObject) -> None:
    axes = data.draw(st.integers(1, 3))
    dtype = data.draw(st.sampled_from(["uint8", "float16", "float32"]))
    lengths = [data.draw(st.integers(1, 5)) for _ in range(axes)]
    sides = []
    for _ in range(2):
        starts = [data.draw(st.integers(0, 3)) for _ in lengths]
        shape = [s + n + data.draw(st.integers(0, 3)) for s, n in zip(starts, lengths, strict=True)]
        # Batches of one, as all our tensors have.
        part = [slice(s, s + n) for s, n in zip(starts, lengths, strict=True)]
        sides.append(([1, *shape], [slice(0, 1), *part]))
    gpu = Gpu()
    with pytest.MonkeyPatch.context() as monkeypatch, opened(monkeypatch, gpu) as device:
        stream = device.stream()
        tensors: list[tuple[int, Array]] = []
        for shape, _ in sides:
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            block = device.allocate(size, "a test")
            content = gpu.reach(block.address, size, device=True)
            content[:] = np.random.default_rng(len(tensors)).integers(0, 120, size)
            tensors.append((block.address, content.view(dtype).reshape(shape)))
        parts = [
            (address, array.shape, index)
            for (address, array), (_, index) in zip(tensors, sides, strict=True)
        ]
        expected = tensors[1][1].copy()
        expected[tuple(sides[1][1])] = tensors[0][1][tuple(sides[0][1])]
        with device.active():
            device.copy(box_of(parts[0], parts[1], np.dtype(dtype).itemsize), stream)()
        device.synchronise(stream)
        assert np.array_equal(tensors[1][1], expected)
    gpu.finish()


def test_parts_of_other_shapes_are_refused() -> None:
    part = (0, (1, 4, 4, 3), (slice(0, 1), slice(0, 2), slice(0, 4), slice(0, 3)))
    other = (0, (1, 4, 4, 3), (slice(0, 1), slice(0, 3), slice(0, 4), slice(0, 3)))
    with pytest.raises(EngineError, match="they have other shapes"):
        box_of(part, other, 1)


def test_the_simulated_gpu_sees_misuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the tests on it can fail."""
    gpu = Gpu()
    device = opened(monkeypatch, gpu)
    stream = device.stream()
    block = device.allocate(100, "a test")
    whole = (slice(0, 101),)
    with device.active(), pytest.raises(MisuseError, match="101 bytes at 0 of a block of 100"):
        device.copy(
            box_of((block.address, (101,), whole), (block.address, (101,), whole), 1), stream
        )()
    with device.active():
        device._driver.free(block)
        with pytest.raises(MisuseError, match="given back twice"):
            device._driver.free(block)
    with pytest.raises(AssertionError, match="a stream was never destroyed"):
        gpu.finish()
    with pytest.raises(DriverFailureError, match="CUDA_ERROR_INVALID_CONTEXT"):
        device._driver.free_bytes()


def test_no_thread_keeps_a_context(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu()
    device = opened(monkeypatch, gpu)
    depths: list[int] = []

    def work() -> None:
        with device.active():
            device.allocate(10, "a test")
            depths.append(gpu.depth)
        depths.append(gpu.depth)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert depths == [1, 0]
    with pytest.raises(ZeroDivisionError), device.active():
        assert 1 // 0
    assert gpu.depth == 0
    device.close()
    gpu.finish()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        (
            {"devices": 0},
            "the driver finds no GPU (cuDeviceGet: no device 0, there are 0)",
            "nvidia-smi",
        ),
        (
            {"driver": 10020},
            "the GPU's driver is for CUDA 10.2, and 11.4 is the oldest that works",
            "update the driver; on a Jetson: JetPack 5 or newer",
        ),
        (
            {
                "fails": {
                    "cuInit": (
                        "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
                        "system has unsupported display driver / cuda driver combination: mismatch",
                    )
                }
            },
            "the GPU's driver does not fit the CUDA that is installed here",
            "update the driver",
        ),
    ],
)
def test_a_gpu_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch,
    layout: str,
    settings: dict[str, object],
    message: str,
    hint: str,
) -> None:
    gpu = Gpu(**settings)  # type: ignore[arg-type]
    with pytest.raises(EngineError) as caught:
        opened(monkeypatch, gpu, layout)
    assert caught.value.message.startswith(message)
    assert hint in caught.value.hint
    gpu.finish()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_too_little_memory_names_both_figures(monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    gpu = Gpu(memory_bytes=1 << 20)
    with opened(monkeypatch, gpu, layout) as device:
        device.allocate(1 << 19, "a test")
        with pytest.raises(EngineError) as caught:
            device.allocate(1 << 30, "the arena")
        assert caught.value.message == (
            "the arena needs 1.00 GiB of GPU memory, 512.0 KiB are free"
        )
        gpu.fails["cuMemHostAlloc"] = OUT_OF_MEMORY
        with pytest.raises(EngineError, match="the frame needs 8 B of page-locked memory"):
            device.allocate_host(8, "the frame", mapped=True)
    gpu.finish()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_destroyed_context_is_reported(monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    gpu = Gpu()
    device = opened(monkeypatch, gpu, layout)
    gpu.fails["cuCtxPushCurrent"] = ("CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed")
    with pytest.raises(
        EngineError, match=r"the CUDA context was lost \(cuCtxPushCurrent: "
    ) as lost:
        device.free_bytes()
    assert "in a process of its own" in lost.value.hint


def test_neither_package_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pycuda", "cuda", "cuda.bindings", "cuda.bindings.driver", "cuda.cuda"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EngineError, match="neither pycuda nor cuda-python is installed") as caught:
        open_device()
    assert caught.value.hint == 'pip install "edgeunet[cuda]"; on a Jetson pip install pycuda'
    with pytest.raises(EngineError, match="pycuda is not installed"):
        open_device("pycuda")


def test_pycuda_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu()
    install(monkeypatch, gpu, "pycuda")
    pycuda = {name: sys.modules[name] for name in ("pycuda", "pycuda.driver")}
    install(monkeypatch, gpu, "cuda.bindings")
    for name, module in pycuda.items():
        monkeypatch.setitem(sys.modules, name, module)
    with open_device() as device:
        assert device.backend == "pycuda"
    with open_device("cuda-python") as device:
        assert device.backend == "cuda-python"
    gpu.finish()


@pytest.mark.skipif(
    importlib.util.find_spec("cuda") is None or Path("/dev/nvidiactl").exists(),
    reason="needs cuda-python, and no driver",
)
def test_the_real_package_without_a_driver() -> None:
    """cuda-python can be imported without a driver and fails at the first call."""
    driver = CudaPythonDriver()
    with pytest.raises(EngineError, match=r"CUDA's driver cannot be used \(cuInit: ") as caught:
        driver.open(0)
    assert caught.value.hint == (
        "install or update the GPU's driver; on a Jetson it comes with JetPack"
    )


@pytest.mark.skipif(importlib.util.find_spec("cuda") is None, reason="needs cuda-python")
def test_the_real_package_has_every_call() -> None:
    """cuda-python has every function that is called, and every field of a box that is set."""
    driver = CudaPythonDriver()
    source = Path(sys.modules[CudaPythonDriver.__module__].__file__ or "").read_text()
    names = set(re.findall(r'"(cu[A-Z]\w+)"', source))
    assert len(names) > 25
    missing = {name for name in names if not hasattr(driver._cuda, name)}
    assert missing <= {"cuGraphInstantiateWithFlags"}
    fields = set(re.findall(r"order\.(\w+)", source))
    assert fields <= set(dir(driver._cuda.CUDA_MEMCPY3D()))
