"""``benchmarks/gpu.py`` where there is no GPU: on a simulated one, and without any."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from benchmarks import gpu as benchmark
from benchmarks.helpers.gpu_parity import against_onnxruntime
from benchmarks.helpers.gpu_peers import PEERS
from benchmarks.helpers.roofline import Counted, Peaks, count, measured_bytes_per_s
from edgeunet.engine.cuda import open_device
from edgeunet.run import measured as measuring
from edgeunet.specs import Task
from tests.bundle.tiny import tiny_bundle, windowed_bundle
from tests.engine.simulated_gpu import Gpu
from tests.engine.simulated_jetson import WORK_BYTES, jetson


def test_every_figure_of_a_simulated_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = jetson(monkeypatch)
    bundle = machine.build(windowed_bundle(tmp_path))
    monkeypatch.setattr(benchmark, "build", lambda bundle: {"stages": {}})
    monkeypatch.setattr(benchmark, "measured_operations_per_s", lambda precision: 1e12)
    monkeypatch.setattr(
        benchmark, "measure", lambda path, engine: measuring.run_and_measure(path, engine, 5, 1)
    )
    facts = {"name": "Orin", "bytes_per_s": 1e11}
    subject, made = benchmark.given(bundle.path)
    assert subject.key == "tiny fp32 48x64 in 16x24"
    found = benchmark.subject_rows(subject, made, benchmark.Clock(0.01), facts)
    rows = {row["engine"]: row for row in found["engines"]}
    ran = [row for name, row in rows.items() if name.startswith("tensorrt")]
    assert len(ran) == 1 + len(benchmark.SWITCHES)
    for row in ran:
        assert row["frames"] >= 10
        assert row["latency_ms"]["p50"] <= row["latency_ms"]["p95"] <= row["latency_ms"]["p99"]
        assert 0 < row["of_roofline"] < 1
    (figure,) = rows["tensorrt"]["parity"]
    assert (figure["metric"], figure["value"], figure["holds"]) == ("psnr_db", None, True)
    assert all("skipped" in rows[name] for name in PEERS)
    assert found["memory"]["device"]["stages"][0]["work_bytes"] == WORK_BYTES
    json.dumps(found)
    machine.gpu.finish()


def test_what_is_counted(tmp_path: Path) -> None:
    whole = count(tiny_bundle(tmp_path))
    frame = 48 * 64 * 3
    # No convolution in it: the frame in, the frame and the labels out.
    assert (whole.operations, whole.least_bytes) == (0, 2 * frame + 48 * 64)
    assert whole.most_bytes > 4 * whole.least_bytes
    windowed = count(windowed_bundle(tmp_path))
    # 12 windows, twice; each is copied in and out, and read and written.
    assert windowed.least_bytes == 2 * 12 * 3 * (2 * 16 * 24 * 3)


def test_the_roofline_is_the_slower_of_the_two() -> None:
    counted = Counted(operations=4 * 10**9, least_bytes=10**9, most_bytes=10**10)
    assert Peaks(1e12, 1e12).least_ms(counted) == pytest.approx(4.0)
    assert Peaks(1e11, 1e12).least_ms(counted) == pytest.approx(10.0)
    assert Peaks(1e11, None).least_ms(counted) == pytest.approx(10.0)
    assert Peaks(None, None).least_ms(counted) is None


def test_the_memory_is_timed_by_copying(monkeypatch: pytest.MonkeyPatch) -> None:
    jetson(monkeypatch, gpu=(gpu := Gpu()))
    with open_device() as device:
        monkeypatch.setattr(device, "elapsed_ms", lambda start, end: 20.0)
        assert measured_bytes_per_s(device, 1 << 20) == pytest.approx(2 * 20 * (1 << 20) / 0.02)
    gpu.finish()


def test_without_a_gpu_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jetson(monkeypatch, gpu=Gpu(devices=0))
    out = tmp_path / "out.json"
    assert benchmark.main(["--out", str(out)]) == 1
    assert capsys.readouterr().err.startswith("no GPU: the driver finds no GPU")
    assert not out.exists()


def test_a_dry_run_goes_all_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jetson(monkeypatch, gpu=Gpu(devices=0))
    out, bundle = tmp_path / "out.json", windowed_bundle(tmp_path)
    assert benchmark.main(["--dry-run", "--out", str(out), str(bundle.path)]) == 0
    document: dict[str, Any] = json.loads(out.read_text())
    (found,) = document["subjects"]
    assert document["gpu"]["skipped"].startswith("the driver finds no GPU")
    assert found["counted"]["least_bytes"] > 0
    assert [row["engine"] for row in found["engines"]] == ["tensorrt", *PEERS]
    assert all(isinstance(row.get("skipped", ""), str) for row in found["engines"])


def test_parity_sees_a_wrong_engine(tmp_path: Path) -> None:
    subject = benchmark.DRY[0]
    made = benchmark.make(subject, tmp_path)
    opened = benchmark.executor_opener(made.bundle, "onnxruntime", made.check)
    row = benchmark.engine_row(subject, "onnxruntime", opened, 0.0)
    assert all(figure["holds"] for figure in row["parity"])
    size = subject.size

    def wrong(image: Any) -> dict[str, Any]:
        return {"denoised": np.zeros((1, *size, 3), np.uint8)}

    for check in (made.check, functools.partial(against_onnxruntime, made.bundle)):
        assert not any(figure["holds"] for figure in check(wrong))


@pytest.mark.parametrize("task", [Task.SEGMENT, Task.CLASSIFY])
def test_parity_of_labels_and_scores(task: Task, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path, tasks=(task,))
    (output,) = bundle.manifest.outputs
    right = benchmark.executor_opener(bundle, "onnxruntime", None)()[0]
    assert against_onnxruntime(bundle, right)[0]["holds"]

    def wrong(image: Any) -> dict[str, Any]:
        return {output.name: np.ones_like(right(image)[output.name]) * 7}

    assert not against_onnxruntime(bundle, wrong)[0]["holds"]
