"""Names of files: shown, sorted by their numbers, and checked before a library gets them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgeunet import names
from edgeunet.errors import SinkError, SourceError
from edgeunet.names import (
    compared_forms,
    is_utf8,
    natural_order,
    path_to_read,
    path_to_write,
    shown,
)

LATIN_1 = "v\udcdf.mp4"


@pytest.mark.parametrize("name", ["a.png", "ß.png", "①.png", "日本.png", "[/b] :smile:.png"])
def test_text_is_shown_as_it_is(name: str) -> None:
    assert shown(name) == name
    assert is_utf8(name)


def test_bytes_that_are_no_utf8_are_shown_by_number() -> None:
    assert shown(LATIN_1) == r"v\xdf.mp4"
    assert not is_utf8(Path(LATIN_1))
    shown(LATIN_1).encode("utf-8")


def test_names_of_a_mac_are_compared_with_others() -> None:
    one, two = "\u00e9", "e\u0301"
    assert compared_forms([f"{two}.png", LATIN_1]) == {f"{two}.png": f"{one}.png", LATIN_1: LATIN_1}
    assert compared_forms([one, two]) == {one: one, two: two}


def test_numbers_in_names_are_sorted_as_numbers() -> None:
    mixed = ["frame_10", "frame_2", "frame_①", "frame_²", "frame_٣", "frame_", "2", "10"]
    assert sorted(mixed, key=natural_order) == [
        "frame_", "frame_2", "frame_٣", "frame_10", "frame_²", "frame_①", "2", "10",
    ]  # fmt: skip


def test_a_path_for_a_library_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with path_to_read(Path("12:30.mp4")) as name:
        assert name == path_to_write(Path("12:30.mp4")) == str(tmp_path / "12:30.mp4")


@pytest.mark.skipif(sys.platform != "linux", reason="files are opened by number on Linux")
def test_a_file_whose_name_is_no_utf8_is_opened_by_its_number(tmp_path: Path) -> None:
    (tmp_path / LATIN_1).write_bytes(b"frames")
    with path_to_read(tmp_path / LATIN_1) as name:
        assert is_utf8(name)
        assert Path(name).read_bytes() == b"frames"
    assert not Path(name).exists()
    with pytest.raises(FileNotFoundError), path_to_read(tmp_path / f"no{LATIN_1}"):
        pass


def test_a_path_that_is_no_utf8_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SinkError) as caught:
        path_to_write(tmp_path / LATIN_1)
    assert r"v\xdf.mp4' has bytes that are no UTF-8, and OpenCV needs" in caught.value.message
    monkeypatch.setattr(names, "_OPEN_FILES", tmp_path / "none")
    with pytest.raises(SourceError) as refused, path_to_read(tmp_path / LATIN_1):
        pass
    assert r"v\xdf.mp4' has bytes that are no UTF-8, and this system" in refused.value.message
    str(refused.value).encode("utf-8")
