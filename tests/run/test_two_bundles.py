"""Two bundles in one process, of different regions: each has the arena it was promised."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from edgeunet.bundle import Bundle, write_bundle
from tests.bundle.tiny import windowed_bundle, windowed_files, windowed_manifest

pytest.importorskip("onnxruntime")

from edgeunet.ort import onnxruntime_arenas
from edgeunet.run.executor import Executor

MIB = 1 << 20
SMALL, LARGE = 64 * MIB, 320 * MIB

# What onnxruntime reserves shows in the address space; what it touches of it does not matter here.
PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
from edgeunet.bundle import open_bundle
from edgeunet.run.executor import Executor

def reserved():
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmSize"))
    return int(line.split()[1]) << 10

notes, levels, answers = [], [], []
frame = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
executors = []
for path in sys.argv[1:]:
    executor = Executor(open_bundle(Path(path)), "onnxruntime", threads=1, on_note=notes.append)
    executors.append(executor)
    before = reserved()
    executor.run(frame)
    levels.append(reserved() - before)
for executor in executors:
    answers.append(executor.run(frame)["denoised"].tolist())
print(json.dumps({"notes": notes, "levels": levels, "answers": answers}))
"""


def with_region(folder: Path, name: str, region_bytes: int) -> Bundle:
    manifest = windowed_manifest(48, 64, (16, 24))
    memory = msgspec.structs.replace(manifest.memory, region_bytes=region_bytes)
    changed = msgspec.structs.replace(manifest, memory=memory)
    return write_bundle(folder / name, changed, windowed_files(manifest))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("regions", [(SMALL, LARGE), (LARGE, SMALL)], ids=["grows", "shrinks"])
def test_the_second_bundle_has_the_region_it_was_promised(
    tmp_path: Path, regions: tuple[int, int]
) -> None:
    bundles = [with_region(tmp_path, f"{size}.bundle", size) for size in regions]
    words = [sys.executable, "-c", PROGRAM, *(str(bundle.path) for bundle in bundles)]
    ran = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    found = json.loads(ran.stdout)
    assert found["answers"][0] == found["answers"][1]
    if found["notes"]:  # an onnxruntime that has one arena per process says so
        assert "has one arena per process" in found["notes"][0]
        return
    for size, reserved in zip(regions, found["levels"], strict=True):
        assert size <= reserved < size + 32 * MIB


def test_an_onnxruntime_that_refuses_a_second_arena_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def register(settings: dict[str, int]) -> None:
        if taken:
            raise RuntimeError("An allocator for this device has already been registered")
        taken.append(settings["initial_chunk_size_bytes"])

    taken: list[int] = []
    monkeypatch.setattr(onnxruntime_arenas, "_register", register)
    monkeypatch.setattr(onnxruntime_arenas, "_STATE", onnxruntime_arenas._State())
    notes: list[str] = []
    for name, size in (("first", SMALL), ("second", LARGE)):
        bundle = with_region(tmp_path, f"{name}.bundle", size)
        Executor(bundle, "onnxruntime", on_note=notes.append).close()
    assert taken == [SMALL]
    (note,) = notes
    assert "has one arena per process, and this process set one up of 64.0 MiB before" in note
    assert "a region of 320.0 MiB, may be exceeded" in note
    assert "run the bundle in a process of its own" in note
    # Nothing was predicted for this one, so there is nothing to tell.
    Executor(windowed_bundle(tmp_path), "onnxruntime", on_note=notes.append).close()
    assert len(notes) == 1


def test_every_stage_of_a_bundle_is_in_one_arena(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[dict[str, int]] = []
    monkeypatch.setattr(onnxruntime_arenas, "_register", registered.append)
    monkeypatch.setattr(onnxruntime_arenas, "_STATE", onnxruntime_arenas._State())
    for name in ("first", "second"):
        Executor(with_region(tmp_path, f"{name}.bundle", SMALL), "onnxruntime").close()
    assert [one["initial_chunk_size_bytes"] for one in registered] == [SMALL, SMALL]
