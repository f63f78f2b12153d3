"""The noise of pairs, by camera and ISO."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("skimage")

from skimage import io

from benchmarks import noise_curves
from edgeunet.errors import SourceError
from edgeunet.pairs import Pair
from tests.noise_profile.scenes import in_bytes, ramp, shots


def test_pairs_are_grouped_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = ramp(96, 128)
    for number, noisy in enumerate(shots(scene, 3)):
        name = f"Box_5_160_{(800, 1600, 1600)[number]}_wall_{number}.png"
        for side, image in (("noisy", noisy), ("clean", in_bytes(scene))):
            (tmp_path / side).mkdir(exist_ok=True)
            io.imsave(tmp_path / side / name, image, check_contrast=False)
    table, picture = tmp_path / "table.csv", tmp_path / "curves.svg"
    words = ["noise_curves", str(tmp_path), "--out", str(table), "--picture", str(picture)]
    monkeypatch.setattr(sys, "argv", words)
    noise_curves.main()
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["camera"], row["iso"], row["pairs"]) for row in rows} == {
        ("Box", "800", "1"),
        ("Box", "1600", "2"),
    }
    middle = [float(row["luma_deviation"]) for row in rows if 0.4 < float(row["signal"]) < 0.5]
    # The gain and the read noise of the scene, in luma.
    expected = 255 * ((1e-3 * 0.45 + (3 / 255) ** 2) * 0.447) ** 0.5
    assert middle == pytest.approx([expected] * len(middle), rel=0.15)
    assert b"<svg" in picture.read_bytes()
    assert "Box, ISO 1600, 2 pairs" in capsys.readouterr().out


def test_a_name_without_an_iso() -> None:
    pair = Pair("wall.png", Path("noisy/wall.png"), Path("clean/wall.png"))
    with pytest.raises(SourceError, match="wall.png names no ISO"):
        noise_curves.grouped([pair])
