"""Folders that hold what they should not, and names that a library cannot take."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeunet.cli import main
from edgeunet.media import pyav
from tests.bundle.tiny import tiny_bundle
from tests.images.image_writers import by_opencv, picture, png
from tests.media.clips import read_video, write_frames, write_video

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*words: str | Path) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_bundle(tmp_path, 32, 48).path.rename(tmp_path / "tiny")
    images(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def images(folder: Path, count: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number}.png").write_bytes(by_opencv(picture() + number, ".png"))


@pytest.mark.parametrize("sink", ["in/out/", "in/deep/out/", "link/out/"])
def test_an_output_folder_inside_its_source_is_refused(sink: str, home: Path, call: Call) -> None:
    (home / "link").symlink_to("in")
    code, _, errors = call("run", "in", sink, "--bundle", "tiny")
    assert code == 2
    assert errors.splitlines()[-2] == (
        f"error: the folder '{Path(sink)}' lies inside the source 'in'"
    )
    assert not (home / "in" / "out").exists()


def test_an_output_folder_that_the_pattern_reaches_is_refused(home: Path, call: Call) -> None:
    code, _, errors = call("run", "in/**/*.png", "in/out/", "--bundle", "tiny")
    assert code == 2
    assert "lies inside the source" in errors


def test_a_folder_beside_a_single_file_is_fine(home: Path, call: Call) -> None:
    assert call("run", "in/0.png", "in/out/", "--bundle", "tiny")[0] == 0
    assert [path.name for path in (home / "in" / "out").iterdir()] == ["0.png"]


def test_frames_of_an_earlier_run_are_told_of(home: Path, call: Call) -> None:
    many, few = "test://?size=32x48&frames=5", "test://?size=32x48&frames=2"
    assert "from before" not in call("run", many, "out/", "--bundle", "tiny")[2]
    code, out, errors = call("run", few, "out/", "--bundle", "tiny", "--json")
    assert code == 0
    line = "3 images are in out/ from before, like frame_000003.png"
    assert f"warning: {line}" in errors
    assert json.loads(out)["warnings"] == [line]
    assert "from before" not in call("run", many, "out/", "--bundle", "tiny")[2]


@pytest.mark.parametrize(
    "words",
    [
        ("eval", "tiny", "in", "--sigma", "25"),
        ("run", "in", "none", "--bundle", "tiny"),
        ("run", "in/*.png", "none", "--bundle", "tiny"),
        ("calibrate", "in", "--name", "c", "--size", "32x48", "--out", "cal"),
    ],
    ids=["eval", "run", "glob", "calibrate"],
)
def test_a_pipe_among_the_images_is_refused(words: tuple[str, ...], home: Path, call: Call) -> None:
    os.mkfifo(home / "in" / "p.png")
    code, _, errors = call(*words)
    assert code == 1
    assert errors.splitlines()[-2:] == [
        "error: in/p.png is a pipe or a device, not an image file",
        "hint: remove it from the folder",
    ]


def test_frames_are_not_stored_inside_their_input(home: Path, call: Call) -> None:
    images(home / "in", 8)
    words = ("calibrate", "in", "--name", "c", "--size", "32x48", "--out", "in/cal")
    code, _, errors = call(*words, "--copy")
    assert code == 2
    assert errors.splitlines()[-2] == (
        "error: the frames would be stored in 'in/cal/c', inside the input 'in'"
    )
    assert not (home / "in" / "cal").exists()


def test_a_set_of_names_that_are_no_utf8_is_refused_before_the_work(home: Path, call: Call) -> None:
    for number in range(8):
        data = by_opencv(picture() // (number + 1), ".png")
        (home / "in" / f"{number}\udcdf.png").write_bytes(data)
    words = ("calibrate", "in", "--name", "c", "--size", "32x48", "--out", "cal")
    code, _, errors = call(*words)
    assert code == 1
    assert r"0\xdf.png' has bytes that are no UTF-8, and a set is UTF-8" in errors
    assert "--copy" in errors
    assert not (home / "cal").exists()
    assert call(*words, "--copy")[0] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="files are opened by number on Linux")
@pytest.mark.parametrize("reader", ["PyAV", "OpenCV"])
def test_videos_of_names_that_are_no_utf8(
    reader: str, home: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [np.roll(picture(), 8 * n, n % 2) // (1 + n % 3) for n in range(12)]
    write_frames(home / "a.mp4", frames).rename(home / "v\udcdf.mp4")
    if reader == "OpenCV":
        monkeypatch.setattr(pyav, "is_there", lambda: False)
    ran = call("run", "v\udcdf.mp4", "o\udcdf.mp4", "--bundle", "tiny")
    if reader == "PyAV":
        assert ran[0] == 0
        assert (home / "o\udcdf.mp4").rename(home / "o.mp4").stat().st_size > 0
        assert len(read_video(home / "o.mp4")[0]) == 12
    else:
        assert ran[0] == 1
        assert r"o\xdf.mp4' has bytes that are no UTF-8, and OpenCV needs UTF-8" in ran[2]
        assert call("run", "v\udcdf.mp4", "o.mp4", "--bundle", "tiny")[0] == 0
    assert call("eval", "tiny", "v\udcdf.mp4", "--sigma", "25")[0] == 0
    words = ("calibrate", "v\udcdf.mp4", "--name", "c", "--size", "32x48", "--out", "cal")
    code, _, errors = call(*words)
    assert code == 1
    assert r"v\xdf.mp4' has bytes that are no UTF-8, and a set is UTF-8" in errors
    code, _, errors = call(*words, "--copy")
    assert code == 0, errors
    assert not [path for path in home.iterdir() if "partial" in path.name]


def test_a_colon_is_no_protocol(home: Path, call: Call) -> None:
    write_video(home / "a.mp4", 2, 32, 48).rename(home / "12:30.mp4")
    assert call("run", "12:30.mp4", "12:31.mp4", "--bundle", "tiny")[0] == 0
    assert (home / "12:31.mp4").stat().st_size > 0


def test_labels_are_told_of_by_eval(home: Path, call: Call) -> None:
    images(home / "road" / "images", 1)
    (home / "road" / "labels").mkdir()
    path = home / "road" / "labels" / "0.png"
    numbers = (picture()[:, :, 0] > 60).astype("uint8")
    path.write_bytes(png(numbers * 255, 8, 0))
    code, _, errors = call("eval", "tiny", "road", "--sigma", "25")
    assert code == 0
    assert "warning: road: the labels in 'road' hold 0 and 255 only" in errors
    path.write_bytes(png(numbers + 33, 8, 0))
    code, _, errors = call("eval", "tiny", "road", "--sigma", "25")
    assert code == 1
    assert "error: no pixel of the labels in 'road' belongs to a class" in errors


def test_what_run_writes_of_labels_is_read_by_eval(home: Path, call: Call) -> None:
    images(home / "road" / "images", 2)
    assert (
        call("run", "road/images", "road/labels/", "--bundle", "tiny", "--view", "labels")[0] == 0
    )
    code, out, errors = call("eval", "tiny", "road", "--sigma", "0", "--json")
    assert code == 0, errors
    assert json.loads(out)["data"][0]["results"][0]["labels"]["pixel_accuracy"] == 1
