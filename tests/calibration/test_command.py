"""``edgeunet calibrate`` as a person types it."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest

from edgeunet.calibration import CalibrationSet, load_calibration_set, making
from edgeunet.calibration.making import make_set
from edgeunet.calibration.set_frames import frames, pairs
from edgeunet.calibration.set_order import SetOrder
from edgeunet.errors import RecipeError
from edgeunet.media.clip_reader import open_clip
from tests.calibration.test_frame_choice import noise
from tests.cli.command import Ran, contents, edgeunet
from tests.media.clips import write_video

COUNT = 8


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Eight different pictures, and each of them again."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(COUNT):
        imageio.imwrite(folder / f"{number}.png", noise(number))
        imageio.imwrite(folder / f"again-{number}.png", noise(number))
    return folder


def calibrate(folder: Path, *words: object, name: str = "mine") -> Ran:
    return edgeunet("calibrate", *words, "--name", name, "--out", folder / "sets")


def made(ran: Ran) -> tuple[Any, CalibrationSet]:
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    return document, load_calibration_set(document["set"])


def test_a_set_of_a_folder(images: Path, tmp_path: Path) -> None:
    words = ("--licence", "CC0, by me", "--seed", 7, "--json")
    document, calibration = made(calibrate(tmp_path, images, *words))
    assert (document["pictures"], document["near_duplicates"]) == (16, 8)
    assert (document["distinct_frames"], document["members"]) == (COUNT, 4 * COUNT)
    assert document["sigmas"] == {"0": 8, "15": 8, "25": 8, "50": 8}
    assert document["stored"] is None
    assert (calibration.height, calibration.width, calibration.licence) == (40, 56, "CC0, by me")
    assert {member.licence for member in calibration.members} == {"CC0, by me"}
    assert [member.seed for member in calibration.members] == list(range(7, 7 + 4 * COUNT))
    every = {(member.source, member.sigma) for member in calibration.members}
    assert len(every) == 4 * COUNT
    for member, (clean, noisy) in zip(calibration.members, pairs(calibration), strict=True):
        assert np.array_equal(clean[:, :, ::-1], imageio.imread(member.source))
        spread = float((noisy.astype(float) - clean).std())
        assert spread == pytest.approx(member.sigma, abs=0.15 * member.sigma)
    text = (tmp_path / "sets" / "mine.toml").read_text()
    assert "../images/" in text
    assert str(tmp_path) not in text


def test_every_level_has_dark_and_bright_frames(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(24):
        imageio.imwrite(folder / f"{number}.png", np.full((16, 16, 3), 10 * number + 8, np.uint8))
    words = ("--frames", 24, "--sigma", "0..40", "--json")
    document, calibration = made(calibrate(tmp_path, folder, *words))
    assert document["sigmas"] == dict.fromkeys(("0", "8", "16", "24", "32", "40"), 4)
    assert document["brightness"] == [8.0, 238.0]
    means: dict[float, list[float]] = {}
    for member, (clean, _) in zip(calibration.members, pairs(calibration), strict=True):
        means.setdefault(member.sigma, []).append(float(clean.mean()))
    assert all(min(found) < 80 and max(found) > 150 for found in means.values())


def test_large_pictures_give_several_windows(tmp_path: Path) -> None:
    imageio.imwrite(tmp_path / "large.png", noise(3, 72, 96))
    words = ("--size", "32x32", "--sigma", "0", "--json")
    document, calibration = made(calibrate(tmp_path, tmp_path / "large.png", *words))
    assert (document["candidates"], document["members"]) == (6, 6)
    corners = [(member.top, member.left) for member in calibration.members]
    assert corners == [(top, left) for top in (0, 40) for left in (0, 32, 64)]


def test_frames_of_a_clip_are_named_by_number(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mkv", 40)
    words = ("--frames", 5, "--sigma", "0", "--json")
    document, calibration = made(calibrate(tmp_path, clip, *words))
    assert (document["pictures"], document["stored"]) == (40, None)
    numbers = [member.frame or 0 for member in calibration.members]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > 20
    reader, every = open_clip(clip), []
    while (picture := reader.read()) is not None:
        every.append(picture)
    reader.close()
    for member, frame in zip(calibration.members, frames(calibration), strict=True):
        assert member.frame is not None
        assert np.array_equal(frame[:, :, ::-1], every[member.frame])


@pytest.mark.parametrize("pace", ["", "&live=1&fps=200"])
def test_what_does_not_come_again_is_stored(tmp_path: Path, pace: str) -> None:
    source = f"test://?size=48x64&frames=0{pace}"
    ran = calibrate(tmp_path, source, "--limit", 60, "--frames", 10, "--licence", "CC0", "--json")
    document, calibration = made(ran)
    store = tmp_path / "sets" / "mine"
    assert document["stored"] == str(store)
    assert len(list(store.iterdir())) == document["distinct_frames"]
    assert len(list(frames(calibration))) == 10
    assert {Path(member.source).parent for member in calibration.members} == {store}
    assert sorted(path.name for path in (tmp_path / "sets").iterdir()) == ["mine", "mine.toml"]


def test_an_interruption_leaves_nothing(images: Path, tmp_path: Path) -> None:
    order = SetOrder([str(images)], "mine", tmp_path / "sets", None, None, (0.0,), copy=True)
    before = contents(tmp_path)

    def interrupt(done: int, total: int | None) -> None:
        assert total == 16
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_set(order, interrupt)
    assert contents(tmp_path) == before


def test_a_set_that_cannot_be_finished_leaves_no_frames(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames are stored before the file that names them."""

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "mine.toml")

    monkeypatch.setattr(making, "text_of", full)
    before = contents(tmp_path)
    message, hint = calibrate(tmp_path, images, "--copy").failure
    assert message == "mine.toml: No space left on device"
    assert hint == "free some space, or write to another disk"
    assert contents(tmp_path) == before


def test_a_copy_needs_the_pictures_no_more(images: Path, tmp_path: Path) -> None:
    document, _ = made(calibrate(tmp_path, images, "--copy", "--frames", 6, "--json"))
    images.rename(tmp_path / "elsewhere")
    (tmp_path / "sets").rename(tmp_path / "moved")
    calibration = load_calibration_set(str(tmp_path / "moved" / "mine.toml"))
    assert len(list(frames(calibration))) == document["members"] == 6


def test_licences_by_input(images: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mkv", 20, 40, 56)
    words = ("--licence", "CC0", "--licence", "CC BY 4.0", "--frames", 20)
    ran = calibrate(tmp_path, images, clip, *words, "--json")
    _, calibration = made(ran)
    found = {(member.frame is None, member.licence) for member in calibration.members}
    assert found == {(True, "CC0"), (False, "CC BY 4.0")}
    assert calibration.licence == "CC0; CC BY 4.0"


def test_labels_are_no_pictures(images: Path, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    for number in range(COUNT):
        imageio.imwrite(tmp_path / "labels" / f"{number}.png", noise(number + 50)[:, :, 0])
    document, _ = made(calibrate(tmp_path, tmp_path, "--json"))
    assert document["pictures"] == 16


def test_what_cannot_be_used_is_named(images: Path, tmp_path: Path) -> None:
    (images / "broken.png").write_text("no picture")
    imageio.imwrite(images / "small.png", noise(0, 32, 24))
    ran = calibrate(tmp_path, images, "--size", "40x56")
    assert ran.code == 0, ran.err
    assert "warning: left out: broken.png is not a readable image" in ran.notes
    assert "warning: left out: small.png is 32x24, smaller than 40x56" in ran.notes
    assert any(line.startswith("nobody knows what may be done with") for line in ran.notes)


def test_a_picture_that_changed_is_named(images: Path, tmp_path: Path) -> None:
    _, calibration = made(calibrate(tmp_path, images, "--json"))
    imageio.imwrite(Path(calibration.members[0].source), noise(99))
    with pytest.raises(RecipeError, match="member 1 .* is not the frame the set was made with"):
        list(frames(calibration))


def same(folder: Path) -> tuple[object, ...]:
    for path in folder.glob("[1-9]*.png"):
        path.unlink()
    for path in folder.glob("again-[1-9]*.png"):
        path.unlink()
    return (folder,)


def black(folder: Path) -> tuple[object, ...]:
    for path in folder.iterdir():
        imageio.imwrite(path, np.zeros((40, 56, 3), np.uint8))
    return (folder,)


def several_sizes(folder: Path) -> tuple[object, ...]:
    imageio.imwrite(folder / "zz.png", noise(5, 32, 64))
    return (folder,)


def empty(folder: Path) -> tuple[object, ...]:
    (folder / "none").mkdir()
    return (folder / "none",)


BAD: dict[str, tuple[Callable[[Path], tuple[object, ...]], str, str, int]] = {
    "empty folder": (empty, "there are no images in", "supported: .apng, .bmp", 1),
    "duplicates only": (
        same,
        "different frames: 1 of the 2 seen; a set needs 5",
        "give more pictures, like those the network will see",
        1,
    ),
    "all black": (
        black,
        "every frame is black: nothing would have a range",
        "give pictures like those the network will see",
        1,
    ),
    "several sizes": (
        several_sizes,
        "zz.png is 32x64, others are 40x56: the frames of a set have one size",
        "say which, like --size 32x56",
        2,
    ),
    "too small": (
        lambda folder: (folder, "--size", "64x64"),
        "no picture can be used: 0.png is 40x56, smaller than 64x64",
        "give others, or a smaller --size",
        1,
    ),
    "tiny frames": (
        lambda folder: (folder, "--size", "8x8"),
        "frames of 8x8 pixels are too small to choose among",
        "height and width must be at least 16",
        2,
    ),
    "one frame": (
        lambda folder: (folder, "--frames", 1),
        "a set of 1 frame is too small: ranges of so few fit only them",
        "take 5 to 4096 frames, better some dozens",
        2,
    ),
    "more than there are": (
        lambda folder: (folder, "--frames", 40),
        "there are 8 different frames, which at 4 noise levels make 32, and --frames asks for 40",
        "give more pictures, or --frames 32",
        1,
    ),
    "no level": (
        lambda folder: (folder, "--sigma", "50..0"),
        "--sigma 50..0 goes down",
        "write 0..50",
        2,
    ),
    "licences": (
        lambda folder: (folder, "--licence", "a", "--licence", "b"),
        "2 licences are given for 1 inputs",
        "give one for all, or one for each input, in their order",
        2,
    ),
    "a source without end": (
        lambda folder: ("test://?frames=0",),
        "'test://?frames=0' has no end",
        "say how far: --limit 1000",
        1,
    ),
    "nothing there": (
        lambda folder: (folder / "nothing",),
        "there is no file or folder",
        "check the path",
        1,
    ),
}


@pytest.mark.parametrize(("change", "error", "hint", "code"), BAD.values(), ids=BAD)
def test_what_no_set_can_be_made_of(
    images: Path,
    tmp_path: Path,
    change: Callable[[Path], tuple[object, ...]],
    error: str,
    hint: str,
    code: int,
) -> None:
    words = change(images)
    before = contents(tmp_path)
    ran = calibrate(tmp_path, *words)
    assert error in ran.failure[0]
    assert hint in ran.failure[1]
    assert ran.code == code
    assert contents(tmp_path) == before


NAMES = {
    "../mine": ("'../mine' cannot be the name of a set", "use a-z, 0-9, '-' and '_'"),
    "photographs": ("'photographs' is a set that ships with edgeunet", "choose another name"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_cannot_be(images: Path, tmp_path: Path, name: str) -> None:
    ran = calibrate(tmp_path, images, name=name)
    assert ran.failure[0] == NAMES[name][0]
    assert NAMES[name][1] in ran.failure[1]
    assert ran.code == 2


@pytest.mark.parametrize("taken", ["mine.toml", "mine/frame.png"])
def test_nothing_is_written_over(images: Path, tmp_path: Path, taken: str) -> None:
    path = tmp_path / "sets" / taken
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    before = contents(tmp_path)
    message, hint = calibrate(tmp_path, images, "--copy").failure
    assert message.startswith("there is already '")
    assert hint == "choose another name, or delete it first"
    assert contents(tmp_path) == before


def test_a_folder_that_cannot_be_written(images: Path, tmp_path: Path) -> None:
    (tmp_path / "sets").write_text("a file")
    before = contents(tmp_path)
    message, hint = calibrate(tmp_path, images).failure
    assert "Not a directory" in message
    assert hint == "a file is in the way: choose another folder"
    assert contents(tmp_path) == before


def test_a_set_by_name_from_the_current_folder(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = edgeunet("calibrate", "images", "--name", "kitchen", "--licence", "CC0")
    assert ran.code == 0, ran.err
    assert ran.notes[-2:] == [
        f"wrote {Path('calibration', 'kitchen.toml')}",
        "use it: edgeunet export --model MODEL (or --onnx FILE) --int8 --calibration kitchen",
    ]
    assert len(list(frames(load_calibration_set("kitchen")))) == 4 * COUNT
