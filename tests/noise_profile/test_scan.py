"""From a source to a profile: clips, folders, single images, live sources."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")

import cv2

from edgeunet.errors import SourceError, UsageError
from edgeunet.media.frames import Frame, SourceReport
from edgeunet.noise_profile import scan as noise_scan
from edgeunet.noise_profile.scan import CAMERA_FRAMES, SETTLING_FRAMES, scan
from tests.noise_profile.scenes import GAIN, READ, Bytes, flat, ramp, shots, textured


def _folder(path: Path, images: list[Bytes]) -> Path:
    path.mkdir()
    for number, image in enumerate(images, 1):
        cv2.imwrite(str(path / f"shot_{number}.png"), image[:, :, ::-1])
    return path


def _clip(path: Path, images: list[Bytes]) -> Path:
    height, width = images[0].shape[:2]
    # FFV1 takes BGR as it is, so that the clip is lossless.
    code = cv2.VideoWriter.fourcc(*"FFV1")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, 25.0, (width, height))
    for image in images:
        writer.write(np.ascontiguousarray(image[:, :, ::-1]))
    writer.release()
    return path


class _Live:
    """Shots without an end, as a camera has them."""

    name, frame_rate, frame_count, live = "camera", 30.0, None, True
    paths: tuple[Path, ...] = ()
    height, width = 64, 96

    def __init__(self, frames: int | None = None) -> None:
        self._images = itertools.cycle(shots(ramp(64, 96), 4))
        self._left = frames
        self.delivered = 0
        self.closed = False

    def read(self) -> Frame | None:
        if self._left == self.delivered:
            return None
        self.delivered += 1
        image = np.ascontiguousarray(next(self._images)[:, :, ::-1])
        return Frame(self.delivered - 1, self.delivered / 30, image)

    def report(self) -> SourceReport:
        return SourceReport()

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("kind", ["clip", "folder"])
def test_known_gain_and_read_noise_from_files(kind: str, tmp_path: Path) -> None:
    images = shots(ramp(), 12)
    make = _clip if kind == "clip" else _folder
    path = make(tmp_path / ("a.mkv" if kind == "clip" else "a"), images)
    found = scan(str(path))
    assert (found.warnings, found.notes) == ((), ())
    assert (found.profile.shots, found.profile.height, found.profile.width) == (12, 192, 256)
    assert found.profile.white
    for curve in (found.profile.curves.red, found.profile.curves.green, found.profile.curves.blue):
        assert curve.fit is not None
        assert curve.fit.gain == pytest.approx(GAIN, rel=0.1)
        assert curve.fit.read == pytest.approx(READ, rel=0.1)


def test_channels_are_not_mixed_up(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    strong = np.array([6, 3, 1.5])
    images = [
        np.rint(ramp(96, 128) + generator.standard_normal((96, 128, 3)) * strong)
        .clip(0, 255)
        .astype(np.uint8)
        for _ in range(4)
    ]
    curves = scan(str(_folder(tmp_path / "a", images))).profile.curves
    means = [curve.mean_deviation for curve in (curves.red, curves.green, curves.blue)]
    assert means == pytest.approx(strong, rel=0.05)


def test_only_so_many_frames_are_read(tmp_path: Path) -> None:
    done: list[tuple[int, int | None]] = []
    path = _folder(tmp_path / "a", shots(ramp(64, 96), 5))
    found = scan(str(path), frames=3, report=lambda now, total: done.append((now, total)))
    assert found.profile.shots == 3
    assert done == [(1, 3), (2, 3), (3, 3)]


def test_one_image_is_measured_as_a_flat_scene(tmp_path: Path) -> None:
    path = _folder(tmp_path / "a", shots(flat(), 1)) / "shot_1.png"
    found = scan(str(path))
    assert found.profile.method == "spatial"
    assert found.notes == (
        "measured in one shot, so a pixel's own offset counts as noise; two or more shots of a "
        "static scene tell more",
    )


def test_shots_are_named_by_their_files(tmp_path: Path) -> None:
    first, second = shots(textured(), 2)
    path = _folder(tmp_path / "a", [first, np.roll(second, 1, axis=1)])
    with pytest.raises(SourceError, match="between shot_1.png and shot_2.png: that is"):
        scan(str(path))


def test_frames_of_a_clip_are_named_by_their_numbers(tmp_path: Path) -> None:
    first, second = shots(textured(), 2)
    path = _clip(tmp_path / "a.mkv", [first, np.roll(second, 1, axis=1)])
    with pytest.raises(SourceError, match="between frame 1 and frame 2: that is"):
        scan(str(path))


def test_a_frame_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = _folder(tmp_path / "a", shots(ramp(64, 96), 3))
    (path / "shot_2.png").write_bytes(b"no image")
    found = scan(str(path))
    assert found.profile.shots == 2
    assert found.warnings == ("shot_2.png is not a readable image",)


def test_frames_that_are_too_small(tmp_path: Path) -> None:
    path = _folder(tmp_path / "a", shots(ramp(63, 96), 2))
    with pytest.raises(SourceError, match="is 63x96 pixels, too small to measure its noise"):
        scan(str(path))


def test_a_camera_settles_first_and_then_gives_a_number_of_shots(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = _Live()
    monkeypatch.setattr(noise_scan, "open_source", lambda text, size: source)
    found = scan("0")
    assert found.profile.shots == CAMERA_FRAMES
    assert source.delivered == CAMERA_FRAMES + SETTLING_FRAMES
    assert source.closed
    assert found.notes == (
        f"the first {SETTLING_FRAMES} frames are left out: exposure settles in them",
    )


def test_a_camera_that_ends_early_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    source = _Live(frames=SETTLING_FRAMES + 4)
    monkeypatch.setattr(noise_scan, "open_source", lambda text, size: source)
    assert scan("0", frames=10).warnings == ("camera ended after 4 frames",)


def test_one_frame_of_a_camera_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    source = _Live()
    monkeypatch.setattr(noise_scan, "open_source", lambda text, size: source)
    with pytest.raises(UsageError, match="and --frames 1 asks for one"):
        scan("0", frames=1)
    assert source.closed
