"""Windows in the executor: each pixel is written once, nothing is allocated, halos are needed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edgeunet.run.executor import Executor
from edgeunet.run.spaces import HostCopy, HostSpace
from edgeunet.run.windows import StageRunner, scratch_bytes
from edgeunet.specs import Array, Engine, Session, TensorSpec
from tests.bundle.tiny import windowed_bundle, windowed_manifest
from tests.media.clips import picture


class AddsOne:
    """A session whose output is its input plus one."""

    engine = Engine.ONNXRUNTIME
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    def __init__(self, outputs: Mapping[str, Array]) -> None:
        (self._output,) = outputs.values()

    def run(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        (given,) = feeds.values()
        np.add(given, 1, out=self._output)
        return {}

    def write_to(self, name: str, array: Array) -> None:
        self._output = array

    def close(self) -> None: ...

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *failure: object) -> None: ...


@pytest.mark.parametrize("window", [(16, 24), (8, 64), (48, 16), (40, 56), (48, 64), (99, 99)])
def test_every_pixel_is_written_once(window: tuple[int, int]) -> None:
    manifest = windowed_manifest(48, 64, window)
    assert manifest.plan is not None
    image = np.ascontiguousarray(picture(1, 48, 64) // 2)[None]
    buffers = {"frame": image, "soft": np.zeros_like(image)}
    whole = {name: buffer.shape for name, buffer in buffers.items()}
    scratch = np.empty(scratch_bytes(manifest.stages[0], whole, {}), np.uint8)
    by_name = {entry.name: entry for entry in manifest.plan.tensors}
    space = HostSpace(lambda stage, outputs: AddsOne(outputs))
    space.frame(TensorSpec("frame", image.shape, "uint8"), (48, 64), padded=True)
    runner = StageRunner(manifest.stages[0], buffers, by_name, scratch, space, {})
    for call in runner.calls():
        call()
    assert np.array_equal(buffers["soft"], image + 1)
    if runner.windows > 1:
        buffers["soft"][:] = 0
        for copy in (copy for row in runner._rows for step in row for copy in step.after):
            assert isinstance(copy, HostCopy)
            np.add(copy.target, 1, out=copy.target)
        assert (buffers["soft"] == 1).all()


def test_memory_of_a_windowed_run_stays_constant(tmp_path: Path) -> None:
    executor = Executor(windowed_bundle(tmp_path, 128, 128, (32, 48)), threads=1)
    image = picture(1, 128, 128)
    executor.run(image)
    executor.run(image)
    tracemalloc.start()
    levels = []
    for _ in range(4):
        executor.run(image)
        levels.append(tracemalloc.get_traced_memory()[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(levels) - min(levels) < 2048
    assert peak < image.nbytes / 4
    executor.close()


def test_seams_appear_without_a_halo(tmp_path: Path) -> None:
    image = picture(3, 48, 64)
    exact = np.array(Executor(windowed_bundle(tmp_path)).run(image)["denoised"])
    wrong = np.array(Executor(windowed_bundle(tmp_path, halo=0)).run(image)["denoised"])
    different = (exact != wrong).any(axis=(0, 3))
    assert different.any()
    assert not different[2:14, 2:22].any(), "inside the first window all is well"
