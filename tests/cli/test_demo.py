"""``edgeunet demo``: the whole tour, small and short."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("cv2")
pytest.importorskip("matplotlib")
pytest.importorskip("colour_demosaicing")

from edgeunet.bundle import open_bundle
from edgeunet.cli import demo, demo_video
from edgeunet.metrics import psnr_db
from edgeunet.recipes import folder, load_recipe
from tests.cli.command import edgeunet
from tests.media.clips import read_image, read_video

WEIGHTS = load_recipe("unetmm").trained_weights(folder("export"))
HEIGHT, WIDTH, FRAMES = 64, 96, 7
BUDGET_HEIGHT, BUDGET_WIDTH, BUDGET_MIB = 160, 224, 5


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_SIZE", (HEIGHT, WIDTH))
    monkeypatch.setattr(demo, "_FRAMES", FRAMES)
    monkeypatch.setattr(demo, "_BURST_FRAMES", 3)
    monkeypatch.setattr(demo, "_BUDGET_SIZE", (BUDGET_HEIGHT, BUDGET_WIDTH))
    monkeypatch.setattr(demo, "_BUDGET_BYTES", BUDGET_MIB << 20)
    monkeypatch.setattr(demo, "_PLOT_SIZE", (64, 96))
    monkeypatch.setattr(demo, "_FIXED_SIZE", (64, 96))
    monkeypatch.setattr(demo_video, "_FRAMES", 12)
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
    limited = f"unetmm-{BUDGET_HEIGHT}x{BUDGET_WIDTH}-{BUDGET_MIB}MiB.bundle"
    whole = f"unetmm-{BUDGET_HEIGHT}x{BUDGET_WIDTH}-whole.bundle"
    files = [
        *("burst.mkv", "clean.mkv", "denoised.mkv", "memory.png", "memory.svg", "noisy.mkv"),
        *("side-by-side.mp4", "still.png", limited, whole, bundle),
        *("unetmm-video-64x96-fp16.bundle", "with-memory.mp4"),
    ]
    assert sorted(path.name for path in out.iterdir()) == files
    assert [line.strip() for line in ran.err.splitlines()[-len(files) :]] == [
        str(out / name) for name in files
    ]
    assert open_bundle(out / bundle).manifest.weights == WEIGHTS.name  # type: ignore[union-attr]

    clips = {name: read_video(out / f"{name}.mkv")[0] for name in ("noisy", "denoised", "clean")}
    for frames in clips.values():
        assert len(frames) == FRAMES
        assert frames[0].shape == (HEIGHT, WIDTH, 3)
    beside, rate = read_video(out / "side-by-side.mp4")
    assert rate == pytest.approx(demo._FRAME_RATE)
    assert [frame.shape for frame in beside] == [(HEIGHT, 2 * WIDTH, 3)] * FRAMES
    assert read_image(out / "still.png").shape == (HEIGHT, 4 * WIDTH, 3)
    burst, _ = read_video(out / "burst.mkv")
    assert len({frame.tobytes() for frame in burst}) == len(burst) == 3

    document = json.loads(ran.out)
    assert (document["frames"], document["size"]) == (FRAMES, f"{HEIGHT}x{WIDTH}")
    for name in ("noisy", "denoised"):
        found = [psnr_db(a, b, peak=255) for a, b in zip(clips[name], clips["clean"], strict=True)]
        assert document[f"psnr_db_{name}"] == pytest.approx(np.mean(found), abs=2e-3)
    # A small sensor in a dark street.
    assert 20 < document["psnr_db_noisy"] < 28
    panels, _ = read_video(out / "with-memory.mp4")
    assert [frame.shape for frame in panels] == [(64, 3 * 96, 3)] * 12
    fixed = document["fixed_camera"]
    assert fixed["noisy_db"] < fixed["frame_by_frame_db"] < fixed["with_memory_db"]
    assert document["psnr_db_non_local_means"] > document["psnr_db_noisy"]
    assert document["non_local_means_strength"] > 0
    assert document["psnr_db_denoised"] > document["psnr_db_noisy"] - 1
    assert [report["model"] for report in document["memory"]] == ["unet", "unetmm"]
    baseline, flagship = document["memory"]
    assert flagship["skip_bytes"] * 15 <= baseline["skip_bytes"] * 1.01

    budget = document["budget"]
    assert budget["budget_bytes"] == BUDGET_MIB << 20
    assert (budget["whole"]["bundle"], budget["windows"]["bundle"]) == (whole, limited)
    assert open_bundle(out / limited).manifest.plan is not None, "the budget has to bind"
    assert budget["windows"]["predicted_bytes"] <= budget["budget_bytes"]
    assert budget["budget_bytes"] < budget["whole"]["predicted_bytes"]
    assert budget["largest_difference"] <= 1
    assert budget["equal"] is (budget["differing_bytes"] == 0)
    assert budget["differing_bytes"] < 1e-4 * 3 * BUDGET_HEIGHT * BUDGET_WIDTH * 3
    for name in ("whole", "windows"):
        measured = budget[name]["measured_bytes"]
        assert measured is None or measured < 2 * budget[name]["predicted_bytes"]


@pytest.mark.usefixtures("_small")
def test_a_place_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("a thesis")
    ran = edgeunet("demo", "--out", tmp_path / "demo")
    assert ran.code == 1
    assert ran.failure[0] == f"{tmp_path / 'demo'}: File exists"
    assert (tmp_path / "demo").read_text() == "a thesis"
