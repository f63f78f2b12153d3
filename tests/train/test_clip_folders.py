"""Folders of clips, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage import io

from edgeunet.errors import SourceError
from edgeunet.train.clip_folders import load_clips
from tests.media.clips import write_frames
from tests.train.toys import toy_photographs


def write_clip(folder: Path, frames: int, size: tuple[int, int] = (24, 32)) -> None:
    folder.mkdir(parents=True)
    (picture,) = toy_photographs([size])
    for index in range(frames):
        moved = np.roll(picture, index, axis=1)
        io.imsave(folder / f"{index:03}.png", moved, check_contrast=False)


def test_sub_folders_and_videos_are_clips(tmp_path: Path) -> None:
    write_clip(tmp_path / "b", 4)
    (picture,) = toy_photographs([(32, 48)])
    write_frames(tmp_path / "a.mkv", [picture[..., ::-1].copy()] * 3)
    found = load_clips([tmp_path], notice=pytest.fail)
    assert [(clip.name, len(clip.frames), clip.side) for clip in found] == [
        ("a.mkv", 3, 32),
        ("b", 4, 24),
    ]
    assert np.array_equal(np.roll(found[1].frames[0], 1, axis=1), found[1].frames[1])


def test_a_clip_of_two_frames_is_left_out_and_named(tmp_path: Path) -> None:
    write_clip(tmp_path / "long", 3)
    write_clip(tmp_path / "short", 2)
    said: list[str] = []
    assert len(load_clips([tmp_path], notice=said.append)) == 1
    assert said == ["short has 2 frames, too few for a clip"]


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (lambda place: None, "there is no folder", "give a folder with a video"),
        (lambda place: place.mkdir(), "there are no clips in", "a sub-folder of their own"),
        (lambda place: write_clip(place, 3), "000.png lies directly in", "sub-folder of their own"),
        (lambda place: write_clip(place / "a", 2), "there are no clips in", "at least 3 frames"),
    ],
)
def test_folders_without_clips(tmp_path: Path, make: object, message: str, hint: str) -> None:
    assert callable(make)
    make(tmp_path / "here")
    with pytest.raises(SourceError, match=message) as caught:
        load_clips([tmp_path / "here"], notice=lambda text: None)
    assert hint in caught.value.hint


def test_frames_of_two_sizes(tmp_path: Path) -> None:
    write_clip(tmp_path / "a", 3)
    (picture,) = toy_photographs([(20, 20)])
    io.imsave(tmp_path / "a" / "003.png", picture, check_contrast=False)
    with pytest.raises(SourceError, match="frame 4 of 'a' is 20x20, the first one 24x32") as caught:
        load_clips([tmp_path], notice=pytest.fail)
    assert caught.value.hint == "all frames of a clip must have one size"
