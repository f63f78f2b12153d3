from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from edgeunet.calibrations import (
    calibration_names,
    frames,
    generate,
    load_calibration_set,
)
from edgeunet.errors import RecipeError, UsageError
from edgeunet.photographs import shipped_photographs
from edgeunet.recipes import folder

_SET = """\
schema = 1
name = "mine"
title = "one frame"
licence = "mine"
height = 16
width = 24

[[members]]
file = "grey.png"
top = 2
left = 3
sigma = 0.0
seed = 0
sha256 = "{digest}"
"""
_GREY = hashlib.sha256(bytes([128]) * 16 * 24 * 3).hexdigest()


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    io = pytest.importorskip("skimage.io")
    pixels = np.full((18, 27, 3), 128, np.uint8)
    io.imsave(tmp_path / "grey.png", pixels, check_contrast=False)
    path = tmp_path / "mine.toml"
    path.write_text(_SET.format(digest=_GREY))
    return path


@pytest.mark.parametrize("name", calibration_names())
def test_shipped_sets_give_the_frames_they_promise(name: str) -> None:
    pytest.importorskip("skimage")
    calibration = load_calibration_set(name)
    shapes = {(frame.shape, frame.dtype.name) for frame in frames(calibration)}
    assert calibration.name == name
    assert shapes == {((calibration.height, calibration.width, 3), "uint8")}


def test_the_shipped_set_is_the_generated_one() -> None:
    pytest.importorskip("skimage")
    committed = (folder("calibration") / "photographs.toml").read_bytes()
    assert generate().encode() == committed


def test_the_shipped_set_covers_noise_and_brightness() -> None:
    pytest.importorskip("skimage")
    calibration = load_calibration_set("photographs")
    assert {member.sigma for member in calibration.members} == {0, 15, 25, 50}
    means = [
        float(frame.mean())
        for member, frame in zip(calibration.members, frames(calibration), strict=True)
        if member.sigma == 0
    ]
    assert min(means) < 64
    assert max(means) > 144


def test_frames_are_bgr() -> None:
    pytest.importorskip("skimage")
    calibration = load_calibration_set("photographs")
    member, frame = calibration.members[0], next(frames(calibration))
    shipped = shipped_photographs()[member.source]
    assert np.array_equal(frame[0, 0, ::-1], shipped[member.top, member.left])


def test_a_file_is_found_beside_its_set(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    (frame,) = frames(load_calibration_set(str(mine)))
    assert frame.shape == (16, 24, 3)
    assert np.all(frame == 128)


def test_another_frame_than_promised_is_named(mine: Path) -> None:
    mine.write_text(_SET.format(digest="0" * 64))
    with pytest.raises(RecipeError, match=r"member 1 \(.*grey.png\) of .* 'mine' is not the frame"):
        list(frames(load_calibration_set(str(mine))))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "schema is 2, this version reads 1"),
        ("sigma = 0.0", "sigma = 0.0\nblur = 1", "unknown field `blur`"),
        ("sigma = 0.0", "sigma = -1.0", "sigma of member 1 must be a number from 0"),
        ("sigma = 0.0", "sigma = nan", "sigma of member 1 must be a number from 0"),
        ("top = 2", "top = -2", "top, left and seed of member 1 must not be negative"),
        ('file = "grey.png"', "", "member 1 must have either photograph or file"),
        ("height = 16", "height = 0", "height and width must be at least 1"),
        ("height = 16", "height = ", "not a valid calibration set"),
    ],
)
def test_a_wrong_set_is_refused(mine: Path, old: str, new: str, message: str) -> None:
    mine.write_text(_SET.format(digest=_GREY).replace(old, new))
    with pytest.raises(RecipeError, match=message) as caught:
        load_calibration_set(str(mine))
    assert caught.value.message.startswith("mine.toml is not a valid calibration set: ")
    assert caught.value.hint == "the fields are listed in calibration/README.md"


def test_a_set_without_members_is_refused(mine: Path) -> None:
    mine.write_text(_SET.partition("[[members]]")[0] + "members = []\n")
    with pytest.raises(RecipeError, match=r"it has no \[\[members\]\]"):
        load_calibration_set(str(mine))


def test_a_crop_beyond_the_photograph_is_named(mine: Path) -> None:
    mine.write_text(_SET.format(digest=_GREY).replace("left = 3", "left = 4"))
    with pytest.raises(RecipeError, match="ends at row 18, column 28; the photograph is 18x27"):
        list(frames(load_calibration_set(str(mine))))


def test_an_unknown_photograph_is_named(mine: Path) -> None:
    mine.write_text(_SET.replace('file = "grey.png"', 'photograph = "astronout"'))
    with pytest.raises(RecipeError, match="there is no photograph 'astronout'") as caught:
        list(frames(load_calibration_set(str(mine))))
    assert caught.value.hint.startswith("did you mean 'astronaut'? ")


def test_an_unknown_set_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="there is no calibration set 'photograph'") as caught:
        load_calibration_set("photograph")
    assert caught.value.hint.startswith("did you mean 'photographs'? known: ")
    with pytest.raises(RecipeError, match=r"there is no calibration file 'no\.toml'"):
        load_calibration_set("no.toml")
