"""Clips that are compared frame by frame, and the best strength of non-local means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")

from edgeunet.media import opencv
from edgeunet.metrics import psnr_db
from edgeunet.specs import Image
from edgeunet.stream.camera_clip import write_clips
from edgeunet.stream.comparison import (
    STRENGTHS,
    best_strength,
    compare_clips,
    write_beside,
    write_still,
)
from tests.media.clips import picture, read_image, read_video


def noisy(image: Image, sigma: float, seed: int) -> Image:
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def test_every_method_is_held_against_the_clean_frames(tmp_path: Path) -> None:
    clean = [picture(index) for index in range(3)]
    seen = [noisy(image, 15, index) for index, image in enumerate(clean)]
    answers = [noisy(image, 4, index) for index, image in enumerate(clean)]
    paths = [tmp_path / f"{name}.mkv" for name in ("noisy", "denoised", "clean")]
    write_clips(
        dict(zip(paths, range(3), strict=True)), zip(seen, answers, clean, strict=True), 12.0
    )
    done: list[int] = []
    found = compare_clips(*paths, on_frame=done.append)
    assert done == [1, 2, 3]
    pairs = list(zip(seen, clean, strict=True))
    assert found.strength == best_strength(pairs[:2])
    for figure, images in (
        (found.noisy_db, seen),
        (found.denoised_db, answers),
        (found.non_local_means_db, [opencv.non_local_means(i, found.strength) for i in seen]),
    ):
        wanted = [psnr_db(a, b, peak=255) for a, b in zip(images, clean, strict=True)]
        assert figure == pytest.approx(np.mean(wanted), abs=1e-3)
    assert found.noisy_db + 1 < found.non_local_means_db
    # Four panels of the second frame; captions are at the bottom.
    panels = [found.still[:20, 64 * n : 64 * (n + 1)] for n in range(4)]
    wanted_panels = (
        seen[1],
        opencv.non_local_means(seen[1], found.strength),
        answers[1],
        clean[1],
    )
    assert found.still.shape == (48, 4 * 64, 3)
    assert all(np.array_equal(a, b[:20]) for a, b in zip(panels, wanted_panels, strict=True))
    write_still(tmp_path / "still.png", found.still)
    assert np.array_equal(read_image(tmp_path / "still.png"), found.still)
    write_beside(tmp_path / "beside.mkv", paths[0], paths[1], 12.0)
    frames, _ = read_video(tmp_path / "beside.mkv")
    assert len(frames) == 3
    assert np.array_equal(frames[2][:20], np.concatenate([seen[2], answers[2]], axis=1)[:20])


def test_the_best_strength_follows_the_noise() -> None:
    clean = picture(3)
    weak, strong = (best_strength([(noisy(clean, sigma, 0), clean)]) for sigma in (3, 25))
    assert weak in STRENGTHS
    assert strong in STRENGTHS
    assert weak < strong
