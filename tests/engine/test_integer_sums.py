"""INT8 is summed exactly where the fast kernels would saturate, and only there."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from edgeunet.bundle import Bundle, write_bundle
from edgeunet.ort import onnxruntime_session
from edgeunet.ort.onnxruntime_session import _options
from edgeunet.processors import (
    ARM64,
    ARM64_FP16,
    AVX2,
    AVX2_VNNI,
    AVX512,
    AVX512_VNNI,
    UNKNOWN,
    ProcessorClass,
)
from edgeunet.run import engine_choice
from edgeunet.run.executor import Executor
from edgeunet.specs import Precision
from tests.bundle.tiny import tiny_graph, tiny_manifest

SIZE = (8, 8)
EXACT_SUMS = "session.x64quantprecision"


def on(kind: ProcessorClass, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine think that it runs on such a processor."""
    for module in (onnxruntime_session, engine_choice):
        monkeypatch.setattr(module, "this_processor", lambda: kind)


@pytest.mark.parametrize("kind", [AVX2, AVX512, UNKNOWN], ids=lambda kind: kind.name)
def test_exact_sums_are_asked_for_where_fast_ones_saturate(
    kind: ProcessorClass, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(kind, monkeypatch)
    assert _options(1).get_session_config_entry(EXACT_SUMS) == "1"


@pytest.mark.parametrize("kind", [AVX512_VNNI, AVX2_VNNI, ARM64], ids=lambda kind: kind.name)
def test_fast_kernels_stay_where_they_are_exact(
    kind: ProcessorClass, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(kind, monkeypatch)
    with pytest.raises(RuntimeError):
        _options(1).get_session_config_entry(EXACT_SUMS)


def notes_of(bundle: Bundle) -> list[str]:
    notes: list[str] = []
    Executor(bundle, "onnxruntime", threads=1, on_note=notes.append).close()
    return notes


def bundle_of(precision: Precision, folder: Path) -> Bundle:
    manifest = msgspec.structs.replace(tiny_manifest(*SIZE), precision=precision)
    return write_bundle(folder, manifest, {"graph.onnx": tiny_graph(*SIZE)})


def test_the_cost_is_said_once_for_an_int8_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    floats = bundle_of(Precision.FP32, tmp_path / "floats.bundle")
    int8 = bundle_of(Precision.INT8, tmp_path / "int8.bundle")
    on(AVX2, monkeypatch)
    assert notes_of(floats) == []
    assert notes_of(int8) == [
        "int8 on x86-64 with AVX2, without VNNI: its fast 8-bit sums saturate, so the exact ones "
        "are used; they take about as long as fp32, and more memory"
    ]
    on(AVX512_VNNI, monkeypatch)
    assert notes_of(int8) == []


@pytest.mark.parametrize(
    ("kind", "cost"),
    [
        (AVX512_VNNI, "onnxruntime converts to fp32 and back, with more time and twice the memory"),
        (ARM64_FP16, "onnxruntime's fp16 kernels take about twice the memory of fp32"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_cost_of_fp16_on_a_processor_is_said(
    kind: ProcessorClass, cost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(kind, monkeypatch)
    (note,) = notes_of(bundle_of(Precision.FP16, tmp_path / "half.bundle"))
    assert note.startswith(f"fp16 on {kind.title}: {cost}")
    assert note.endswith("export --fp32 or --int8 here")
