"""The benchmark of streams, with few frames."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("av")
pytest.importorskip("aiohttp")

from benchmarks import streaming


def test_a_short_run_measures_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[dict[str, object]] = []

    def keep(name: str, rows: list[dict[str, object]]) -> Path:
        written.extend(rows)
        return Path(name)

    monkeypatch.setattr(streaming, "write_csv", keep)
    monkeypatch.setattr(streaming, "RESULTS", tmp_path)
    monkeypatch.setattr(streaming, "WAIT_S", 0.005)
    monkeypatch.setattr(streaming, "LOST_EVERY", 100)
    monkeypatch.setattr(streaming, "VIEWERS", 2)
    monkeypatch.setattr("edgeunet.stream.pipeline._WATCH_S", 0.1)
    # Exporting a bundle for the third part takes too long here.
    parts = ("--part", "overlap", "--part", "steady")
    monkeypatch.setattr(sys, "argv", ["streaming", *parts, "--frames", "5", "--steady", "400"])
    streaming.main()
    overlap, steady = written
    assert 0 < float(str(overlap["share_of_bare_loop"])) < 1.5
    assert steady["frames"] == 400
    assert int(str(steady["reconnections"])) > 1
    assert int(str(steady["recorded"])) + int(str(steady["missed"])) == 400
