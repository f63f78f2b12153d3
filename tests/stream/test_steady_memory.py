"""Memory that a long run does not need goes back to the system."""

from __future__ import annotations

import ctypes
import gc
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

from edgeunet.media.frames import Frame, StreamShape
from edgeunet.media.sinks import open_sink
from edgeunet.media.sources import open_source
from edgeunet.stream import RunOptions, pipeline, run_pipeline
from edgeunet.stream.status_document import resident_bytes
from edgeunet.stream.steady_memory import give_back_free_memory
from tests.bundle.tiny import tiny_bundle

_BLOCKS = 20_000
_BLOCK_BYTES = 1024


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can give memory back")
def test_free_blocks_between_blocks_in_use_go_back() -> None:
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_trim"):
        pytest.skip("this C library has no malloc_trim")
    library.malloc.restype = ctypes.c_void_p
    library.free.argtypes = [ctypes.c_void_p]
    blocks = [library.malloc(_BLOCK_BYTES) for _ in range(_BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, _BLOCK_BYTES)
    before = resident_bytes()
    # The last one stays, so that the library cannot shrink its memory from the end.
    for block in blocks[:-1]:
        library.free(block)
    give_back_free_memory()
    assert before - resident_bytes() > 0.8 * _BLOCKS * _BLOCK_BYTES
    library.free(blocks[-1])


def test_a_run_does_so_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []
    monkeypatch.setattr(pipeline, "_WATCH_S", 0.05)
    monkeypatch.setattr(pipeline, "GIVE_BACK_EVERY_S", 0.1)
    monkeypatch.setattr(pipeline, "give_back_free_memory", lambda: calls.append(None))
    source = "test://?size=48x64&frames=20&fps=20&live=1"
    run_pipeline(RunOptions(source, tiny_bundle(tmp_path).path))
    assert len(calls) >= 2


class Circle:
    """An object that only the garbage collector frees."""

    def __init__(self) -> None:
        self.itself = self


def test_circles_of_a_long_run_are_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_WATCH_S", 0.05)
    monkeypatch.setattr(pipeline, "GIVE_BACK_EVERY_S", 0.1)
    known: list[weakref.ref[Circle]] = []

    def make(frames: int, total: int | None, rate: float) -> None:
        assert gc.get_freeze_count() > 0
        if not known:
            circle = Circle()
            known.append(weakref.ref(circle))
            # It is old now, so that only a look at all objects finds it.
            gc.collect()
            assert known[0]() is circle

    source = "test://?size=48x64&frames=20&fps=20&live=1"
    gc.disable()
    try:
        run_pipeline(RunOptions(source, tiny_bundle(tmp_path).path), on_frame=make)
    finally:
        gc.enable()
    assert known[0]() is None
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize(("suffix", "most_kib"), [(".mp4", 1.0), (".mkv", 5.0)])
def test_one_file_of_an_endless_camera_takes_no_memory_per_frame(
    suffix: str, most_kib: float, tmp_path: Path
) -> None:
    """An index over all frames would be 70 KiB per 1000 of them. MKV has 80 bytes for every second.

    The duration is right all the same.
    """
    av = pytest.importorskip("av")
    source = open_source("test://?size=32x32&frames=0&fps=25&live=1")
    path = tmp_path / f"out{suffix}"
    sink = open_sink(str(path), StreamShape(32, 32, 25.0, None), source)
    image = np.zeros((32, 32, 3), np.uint8)
    levels = []
    for index in range(6001):
        sink.write(image, Frame(index, index / 25, image))
        if index in (2000, 6000):
            give_back_free_memory()
            levels.append(resident_bytes())
    sink.finish()
    source.close()
    assert (levels[1] - levels[0]) / 4 < most_kib * 1024 + 4096
    with av.open(str(path)) as container:
        assert container.duration == pytest.approx(6001 / 25 * 1e6, abs=1e6 / 25)
        assert sum(1 for _ in container.demux(video=0)) - 1 == 6001
