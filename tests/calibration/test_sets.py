from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeunet.calibration import (
    CalibrationSet,
    Member,
    calibration_names,
    load_calibration_set,
    set_frames,
    text_of,
)
from edgeunet.calibration.set_frames import clips, frames, pairs, sealed
from edgeunet.calibration.shipped_set import generate
from edgeunet.errors import RecipeError, SourceError, UsageError
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
        ('name = "mine"', 'name = "yours"', "its name is 'yours', its file's 'mine'"),
        ("top = 2", "top = 2\nframe = -1", "frame of member 1 must be a number from 0, of a clip"),
        (
            'file = "grey.png"',
            'photograph = "coffee"\nframe = 1',
            "frame of member 1 must be a number from 0, of a clip",
        ),
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


def test_a_file_that_is_gone_is_named(mine: Path) -> None:
    calibration = load_calibration_set(str(mine))
    (mine.parent / "grey.png").unlink()
    with pytest.raises(RecipeError, match=r"member 1 \(.*grey.png\) of .* is gone") as caught:
        list(frames(calibration))
    assert "make the set anew" in caught.value.hint


def test_a_set_of_ones_own_is_found_by_name(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine.rename(tmp_path / "moved.toml")
    (tmp_path / "calibration").mkdir()
    (tmp_path / "moved.toml").rename(tmp_path / "calibration" / "mine.toml")
    assert load_calibration_set("mine").name == "mine"
    with pytest.raises(UsageError, match="'mime'") as caught:
        load_calibration_set("mime")
    assert caught.value.hint.startswith("did you mean 'mine'? known: photographs, mine; ")


STRANGE = 'a "quoted" \\ path\x7f, \u00e9\U0001f600'


def test_what_is_written_reads_as_it_was(tmp_path: Path) -> None:
    member = Member(file="a.png", frame=7, top=1, left=2, sigma=12.5, seed=3, sha256="0" * 64)
    calibration = CalibrationSet(
        schema=1, name="x", title=STRANGE, licence="", height=4, width=5, members=(member,)
    )
    path = tmp_path / "x.toml"
    path.write_text(text_of(calibration, "made by a test"), encoding="utf-8")
    read = load_calibration_set(str(path))
    assert (read.title, read.members[0].frame) == (STRANGE, 7)
    assert read.members[0].file == str(tmp_path / "a.png")


class Counting:
    """A clip of grey frames, each as bright as its number."""

    opened = 0

    def __init__(self, path: Path) -> None:
        Counting.opened += 1
        self.at = 0

    def read(self) -> NDArray[np.uint8] | None:
        self.at += 1
        return np.full((4, 5, 3), self.at - 1, np.uint8) if self.at <= 9 else None

    def close(self) -> None:
        self.at = -1


def clip_set(folder: Path, *numbers: int) -> CalibrationSet:
    (folder / "clip.avi").touch()
    members = tuple(
        Member(file=str(folder / "clip.avi"), frame=n, top=0, left=0, sigma=0.0, seed=0, sha256="")
        for n in numbers
    )
    return CalibrationSet(
        schema=1, name="x", title="", licence="", height=4, width=5, members=members
    )


def test_frames_of_a_clip_are_read_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_frames, "open_clip", Counting)
    Counting.opened = 0
    calibration = sealed(clip_set(tmp_path, 2, 2, 5, 8))
    assert Counting.opened == 1
    found = [int(frame.max()) for frame in frames(calibration)]
    assert found == [2, 2, 5, 8]
    some = pairs(calibration, [1, 3])
    assert [int(clean.min()) for clean, _ in some] == [2, 8]
    before = [[int(one.min()) for one in member.before] for member in clips(calibration, None, 3)]
    assert before == [[0, 1], [0, 1], [2, 3, 4], [5, 6, 7]]
    assert [len(member.before) for member in clips(calibration, [0, 3], 0)] == [0, 0]


def test_a_clip_that_is_shorter_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_frames, "open_clip", Counting)
    with pytest.raises(RecipeError, match=r"clip.avi, frame 9\).*: the clip ends after 9 frames"):
        sealed(clip_set(tmp_path, 9))


def test_a_clip_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"clip\.avi"):
        list(frames(clip_set(tmp_path, 0)))


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
