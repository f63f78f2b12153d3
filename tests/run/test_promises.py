"""What is said of memory when a bundle is opened, and after its first frame."""

from __future__ import annotations

import mmap
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from edgeunet.bundle import Bundle, open_bundle, write_bundle
from edgeunet.bundle.manifest import CpuEntry, ProcessorEntry
from edgeunet.errors import BundleError
from edgeunet.processors import (
    ARM64,
    ARM64_DOT,
    AVX2,
    AVX2_VNNI,
    AVX512,
    AVX512_VNNI,
    UNKNOWN,
    ProcessorClass,
)
from edgeunet.run import promises
from edgeunet.run.executor import Executor
from edgeunet.run.process_memory import ProcessMemory
from edgeunet.run.promises import FirstFrame, promise_of
from edgeunet.units import KIB, MIB
from tests.bundle.tiny import tiny_graph, tiny_manifest, windowed_bundle, windowed_manifest

SIZE = (48, 64)
SMALL = ProcessorEntry(
    classes=("avx512-vnni", "avx512"), region_bytes=4 * MIB, predicted_bytes=6 * MIB
)
LARGE = ProcessorEntry(
    classes=("arm64", "arm64-dot"),
    region_bytes=5 * MIB,
    predicted_bytes=8 * MIB,
    thread_bytes=64 * KIB,
)


@pytest.fixture(autouse=True)
def version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "_version", lambda: "1.32.0")


def on(kind: ProcessorClass, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "this_processor", lambda: kind)


def holding(monkeypatch: pytest.MonkeyPatch, *own_bytes: int) -> None:
    """Let the process hold these bytes of its own, one after the other."""
    found = iter([ProcessMemory(each, 0, 0, each) for each in own_bytes])
    monkeypatch.setattr(promises, "process_memory", lambda: next(found))


def promised(
    folder: Path, *entries: ProcessorEntry, budget: int | None = None, name: str | None = None
) -> Bundle:
    cpu = CpuEntry(name=name, threads=4, budget_bytes=budget, processors=entries)
    manifest = msgspec.structs.replace(tiny_manifest(*SIZE), cpu=cpu)
    return write_bundle(folder / "tiny.bundle", manifest, {"graph.onnx": tiny_graph(*SIZE)})


def test_a_processor_has_the_figures_of_its_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = promised(tmp_path, SMALL, LARGE, budget=8 * MIB).manifest
    for kind, entry in ((AVX512, SMALL), (ARM64_DOT, LARGE)):
        on(kind, monkeypatch)
        found = promise_of(manifest, threads=4)
        assert (found.region_bytes, found.predicted_bytes) == (
            entry.region_bytes,
            entry.predicted_bytes,
        )
        assert found.notes == ()
        assert found.pool is not None
        assert found.pool.region_bytes == entry.region_bytes


def test_a_budget_that_this_processor_breaks_is_said_with_the_export_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = promised(tmp_path, SMALL, LARGE, budget=7 * MIB, name="avx512")
    on(ARM64, monkeypatch)
    (note,) = promise_of(bundle.manifest, threads=4).notes
    model = bundle.manifest.network.name
    assert note.startswith(
        f"memory: 8.0 MiB are predicted on {ARM64.title}, over the budget of 7.0 MiB; "
        f"this one fits: edgeunet export --model {model} --size 48x64"
    )
    assert note.endswith("--fp32 --cpu arm64 --budget 7168KiB")


def test_threads_beyond_the_predicted_ones_take_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = promised(tmp_path, LARGE, budget=8 * MIB).manifest
    on(ARM64, monkeypatch)
    found = promise_of(manifest, threads=12)
    assert found.region_bytes == LARGE.region_bytes + 8 * 64 * KIB
    assert found.predicted_bytes == LARGE.predicted_bytes + 8 * (64 + 24) * KIB
    (note,) = found.notes
    assert note.endswith("over the budget of 8.0 MiB; run it with --threads 4")
    assert promise_of(manifest, threads=1).region_bytes == LARGE.region_bytes


def test_fewer_threads_take_fewer_stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = msgspec.structs.replace(LARGE, stack_bytes=144 * KIB)
    manifest = promised(tmp_path, entry).manifest
    on(ARM64, monkeypatch)
    found = {threads: promise_of(manifest, threads) for threads in (1, 2, 4, 6)}
    more = {n: (one.predicted_bytes or 0) - LARGE.predicted_bytes for n, one in found.items()}
    assert more == {1: -3 * 144 * KIB, 2: -2 * 144 * KIB, 4: 0, 6: 2 * (64 + 144) * KIB}
    assert found[1].region_bytes == LARGE.region_bytes


def test_workers_beyond_the_planned_ones_take_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = promised(tmp_path, LARGE).manifest.cpu
    windowed = windowed_manifest(*SIZE, (16, 24))
    assert windowed.plan is not None
    plan = msgspec.structs.replace(windowed.plan, workers=2, worker_bytes=3 * MIB)
    manifest = msgspec.structs.replace(windowed, cpu=cpu, plan=plan)
    on(ARM64, monkeypatch)
    found = [promise_of(manifest, 4, workers) for workers in (None, 1, 2, 4)]
    more = [one.predicted_bytes - LARGE.predicted_bytes for one in found if one.predicted_bytes]
    assert more == [0, -3 * MIB, 0, 6 * MIB]
    assert {one.region_bytes for one in found} == {LARGE.region_bytes}


@pytest.mark.parametrize("kind", [AVX2, UNKNOWN], ids=lambda kind: kind.name)
def test_what_was_not_predicted_gets_a_margin_and_a_note(
    kind: ProcessorClass, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = promised(tmp_path, SMALL, LARGE).manifest
    on(kind, monkeypatch)
    found = promise_of(manifest, threads=1)
    assert found.region_bytes == LARGE.region_bytes * 5 // 4
    assert found.predicted_bytes == LARGE.predicted_bytes * 5 // 4
    (note,) = found.notes
    assert note == (
        f"memory: nothing was predicted for {kind.title}, so a quarter more is set aside; "
        "edgeunet memory BUNDLE --measure says what is taken"
    )


def test_an_unknown_version_gets_a_margin_and_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = promised(tmp_path, SMALL).manifest
    on(AVX512_VNNI, monkeypatch)
    monkeypatch.setattr(promises, "_version", lambda: "1.23.2")
    found = promise_of(manifest, threads=1)
    assert found.region_bytes == 5 * MIB
    assert "the memory of onnxruntime 1.23.2 was not measured, so a quarter more" in found.notes[0]


@pytest.mark.parametrize("kind", [AVX2, AVX2_VNNI, ARM64, UNKNOWN], ids=lambda kind: kind.name)
def test_an_older_bundle_knew_one_class(
    kind: ProcessorClass, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = windowed_bundle(tmp_path).manifest
    memory = msgspec.structs.replace(older.memory, region_bytes=MIB)
    older = msgspec.structs.replace(older, memory=memory)
    on(kind, monkeypatch)
    found = promise_of(older)
    (note,) = found.notes
    assert note.startswith(
        "memory: this bundle's was predicted for x86-64 with AVX-512; on "
        f"{kind.title} it may be more; export it again: edgeunet export --model "
    )
    assert (found.region_bytes, found.predicted_bytes) == (MIB, None)
    for known in (AVX512_VNNI, AVX512):
        on(known, monkeypatch)
        assert promise_of(older).notes == ()


def test_notes_come_before_the_first_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = promised(tmp_path, LARGE, budget=7 * MIB)
    on(ARM64, monkeypatch)
    notes: list[str] = []
    executor = Executor(bundle, "onnxruntime", threads=1, on_note=notes.append)
    executor.close()
    assert [note.partition(":")[0] for note in notes] == ["memory"]


def test_a_first_frame_that_takes_more_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = promised(tmp_path, SMALL)
    on(AVX512, monkeypatch)
    holding(monkeypatch, 100 * MIB, 130 * MIB)
    notes: list[str] = []
    executor = Executor(bundle, "onnxruntime", threads=1, on_note=notes.append)
    frame = np.zeros((*SIZE, 3), np.uint8)
    assert notes == []
    for _ in range(2):
        executor.run(frame)
    executor.close()
    assert notes == [
        "memory: the first frame took 30.0 MiB, 6.0 MiB were predicted; "
        "edgeunet memory BUNDLE --measure says what the network takes alone"
    ]


def test_a_first_frame_within_the_prediction_is_not_mentioned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    holding(monkeypatch, 100 * MIB, 110 * MIB)
    assert FirstFrame(10 * MIB, 0).note() is None
    monkeypatch.setattr(promises, "process_memory", lambda: None)
    assert FirstFrame(1, 0).note() is None, "nothing can be said where memory cannot be read"


def test_a_file_that_is_read_is_not_the_frames_memory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(32 * MIB))
    first = FirstFrame(MIB, 0)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as pages:
        assert pages.find(b"x") == -1
        assert first.note() is None
    taken = np.ones(32 * MIB, np.uint8)
    said = first.note()
    assert said is not None
    assert "the first frame took 3" in said
    assert taken[-1] == 1


@pytest.mark.parametrize(
    ("entries", "threads"),
    [((), 4), ((SMALL, SMALL), 4), ((SMALL,), 0)],
    ids=["no class", "a class twice", "no threads"],
)
def test_a_manifest_with_impossible_classes_is_refused(
    entries: tuple[ProcessorEntry, ...], threads: int, tmp_path: Path
) -> None:
    cpu = CpuEntry(name=None, threads=threads, budget_bytes=None, processors=entries)
    manifest = msgspec.structs.replace(tiny_manifest(*SIZE), cpu=cpu)
    path = tmp_path / "tiny.bundle"
    write_bundle(path, manifest, {"graph.onnx": tiny_graph(*SIZE)})
    with pytest.raises(BundleError, match="contradicts itself"):
        open_bundle(path)
