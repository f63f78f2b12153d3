"""``edgeunet demo``: the whole tour, small and short."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("cv2")
pytest.importorskip("matplotlib")

from edgeunet.bundle import open_bundle
from edgeunet.cli import demo
from edgeunet.recipes import folder, load_recipe
from tests.cli.command import edgeunet
from tests.stream.media import read_image, read_video

WEIGHTS = load_recipe("unetmm").trained_weights(folder("export"))
HEIGHT, WIDTH, FRAMES = 64, 96, 7


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_SIZE", (HEIGHT, WIDTH))
    monkeypatch.setattr(demo, "_FRAMES", FRAMES)
    monkeypatch.setattr(demo, "_PLOT_SIZE", (64, 96))
    # A NAFNet takes a while to export at any size.
    monkeypatch.setattr(demo, "_BASELINE", "unet")


@pytest.mark.slow
@pytest.mark.usefixtures("_small")
@pytest.mark.skipif(WEIGHTS is None or not WEIGHTS.is_file(), reason="needs the shipped weights")
def test_the_whole_tour(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    ran = edgeunet("demo", "--out", out, "--json")
    assert ran.code == 0, ran.err
    bundle = f"unetmm-{HEIGHT}x{WIDTH}-fp16.bundle"
    files = ["clean.mkv", "memory.png", "memory.svg", "side-by-side.mp4", "still.png", bundle]
    assert sorted(path.name for path in out.iterdir()) == files
    assert [line.strip() for line in ran.err.splitlines()[-len(files) :]] == [
        str(out / name) for name in files
    ]
    assert open_bundle(out / bundle).manifest.weights == WEIGHTS.name  # type: ignore[union-attr]

    clean, _ = read_video(out / "clean.mkv")
    beside, rate = read_video(out / "side-by-side.mp4")
    assert len(clean) == len(beside) == FRAMES
    assert rate == pytest.approx(demo._FRAME_RATE)
    assert clean[0].shape == (HEIGHT, WIDTH, 3)
    assert read_image(out / "still.png").shape == beside[0].shape
    assert beside[0].shape[1] >= 2 * WIDTH

    document = json.loads(ran.out)
    assert (document["frames"], document["size"]) == (FRAMES, f"{HEIGHT}x{WIDTH}")
    assert document["sigma"] == 25
    # Clipped to bytes, noise of sigma 25 is a little less than 20.2 dB below the peak.
    assert 19.5 < document["psnr_db_noisy"] < 22
    assert document["psnr_db_denoised"] > document["psnr_db_noisy"] + 5
    assert [report["model"] for report in document["memory"]] == ["unet", "unetmm"]
    baseline, flagship = document["memory"]
    assert flagship["skip_bytes"] * 15 <= baseline["skip_bytes"] * 1.01


@pytest.mark.usefixtures("_small")
def test_a_place_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("a thesis")
    ran = edgeunet("demo", "--out", tmp_path / "demo")
    assert ran.code == 1
    assert ran.failure[0] == f"{tmp_path / 'demo'}: File exists"
    assert (tmp_path / "demo").read_text() == "a thesis"
