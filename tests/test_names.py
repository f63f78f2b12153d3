"""Names of files: shown, sorted by their numbers, and checked before a library gets them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeunet.errors import SinkError, SourceError
from edgeunet.names import is_utf8, natural_order, path_to_read, path_to_write, shown

LATIN_1 = "v\udcdf.mp4"


@pytest.mark.parametrize("name", ["a.png", "ß.png", "①.png", "日本.png", "[/b] :smile:.png"])
def test_text_is_shown_as_it_is(name: str) -> None:
    assert shown(name) == name
    assert is_utf8(name)


def test_bytes_that_are_no_utf8_are_shown_by_number() -> None:
    assert shown(LATIN_1) == r"v\xdf.mp4"
    assert not is_utf8(Path(LATIN_1))
    shown(LATIN_1).encode("utf-8")


def test_numbers_in_names_are_sorted_as_numbers() -> None:
    names = ["frame_10", "frame_2", "frame_①", "frame_²", "frame_٣", "frame_", "2", "10"]
    assert sorted(names, key=natural_order) == [
        "frame_", "frame_2", "frame_٣", "frame_10", "frame_²", "frame_①", "2", "10",
    ]  # fmt: skip


def test_a_path_for_a_library_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert path_to_read(Path("12:30.mp4")) == str(tmp_path / "12:30.mp4")


def test_a_path_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    for check, error in ((path_to_read, SourceError), (path_to_write, SinkError)):
        with pytest.raises(error) as caught:
            check(tmp_path / LATIN_1)
        assert r"v\xdf.mp4' has bytes that are no UTF-8" in str(caught.value)
        str(caught.value).encode("utf-8")
