"""Clips from a simulated camera: one camera, new noise in every frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("colour_demosaicing", reason="edgeunet[train] has it")
pytest.importorskip("cv2")

from edgeunet.camera.night import night_shot
from edgeunet.errors import SinkError, UsageError
from edgeunet.metrics import psnr_db
from edgeunet.photographs import fill_frame, shipped_photographs
from edgeunet.specs import Image
from edgeunet.stream.camera_clip import camera_frames, write_clips
from edgeunet.stream.photo_clip import photo_frames
from tests.media.clips import listing, picture, read_video

HEIGHT, WIDTH = 48, 80


def still_scene() -> Image:
    """Return a part of a photograph, BGR, of the sensor's size."""
    shot = night_shot(HEIGHT, WIDTH)
    photograph = shipped_photographs()["coffee"][100:300, 150:450]
    return np.ascontiguousarray(fill_frame(photograph, *shot.sensor_size)[:, :, ::-1])


def test_a_still_scene_has_one_clean_image_and_new_noise_in_every_frame() -> None:
    shot = night_shot(HEIGHT, WIDTH)
    frames = list(camera_frames([still_scene()] * 6, shot))
    for noisy, clean in frames:
        assert noisy.shape == clean.shape == (HEIGHT, WIDTH, 3)
        assert noisy.dtype == clean.dtype == np.uint8
        assert np.array_equal(clean, frames[0][1])
        # The clean image is the scene after the camera's tone and sharpening: still BGR.
        assert psnr_db(clean, still_scene()[8:-8, 8:-8], peak=255) > 20
    assert len({noisy.tobytes() for noisy, _ in frames}) == 6
    one = psnr_db(frames[0][0], frames[0][1], peak=255)
    mean = np.mean([noisy for noisy, _ in frames], axis=0)
    # A mean of six has a sixth of the variance; what clipping in the dark adds stays.
    assert psnr_db(mean, frames[0][1], peak=255) > one + 2
    again = list(camera_frames([still_scene()] * 2, shot))
    assert np.array_equal(again[1][0], frames[1][0])
    (other, _) = next(camera_frames([still_scene()], shot, seed=1))
    assert not np.array_equal(other, frames[0][0])


def test_clips_are_written_side_by_side(tmp_path: Path) -> None:
    pairs = [(picture(index), picture(9 - index)) for index in range(4)]
    write_clips({tmp_path / "a.mkv": 0, tmp_path / "b.mkv": 1}, iter(pairs), 12.0)
    for name, place in (("a", 0), ("b", 1)):
        frames, rate = read_video(tmp_path / f"{name}.mkv")
        assert rate == 12
        assert len(frames) == 4
        for frame, pair in zip(frames, pairs, strict=True):
            assert np.array_equal(frame, pair[place])


def test_a_clip_that_cannot_be_made_leaves_none(tmp_path: Path) -> None:
    clips = {tmp_path / "a.mp4": 0, tmp_path / "b.mp4": 1}
    with pytest.raises(SinkError, match="even sizes only, and the frames are 47x64"):
        write_clips(clips, [(picture(0), picture(1, 47, 64))], 12.0)
    assert listing(tmp_path) == []

    def breaks() -> Iterator[tuple[Image, ...]]:
        yield picture(0), picture(1)
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        write_clips(clips, breaks(), 12.0)
    assert listing(tmp_path) == []


def test_a_pan_over_photographs() -> None:
    photographs = [picture(index, 60, 90) for index in range(2)]
    frames = list(photo_frames(photographs, height=40, width=60, frames=6))
    assert [frame.shape for frame in frames] == [(40, 60, 3)] * 6
    # It begins in the upper left corner of each, as large as it is.
    for index, photograph in ((0, photographs[0]), (3, photographs[1])):
        assert np.array_equal(frames[index], photograph[:40, :60])
    assert not np.array_equal(frames[0], frames[1])


def test_a_photograph_that_is_too_small() -> None:
    with pytest.raises(UsageError, match="a photograph of 48x64 does not fill a frame of 50x64"):
        photo_frames([picture(0)], height=50, width=64, frames=2)
