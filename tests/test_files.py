"""Whole files or none."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from edgeunet.files import check_writable, read_toml, replacing_file, replacing_folder


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with replacing_file(target) as beside:
        beside.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(OSError, match="disk"), replacing_file(target) as beside:
        beside.write_text("half")
        raise OSError("disk full")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "b"
    target.mkdir()
    (target / "old").touch()
    with replacing_folder(target) as beside:
        (beside / "new").touch()
    assert [p.name for p in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_keeps_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "b"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(KeyboardInterrupt), replacing_folder(target) as beside:
        (beside / "new").touch()
        raise KeyboardInterrupt
    assert [p.name for p in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("replacing", [replacing_file, replacing_folder])
def test_an_error_names_the_target_and_leaves_no_folders(
    tmp_path: Path, replacing: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    target = tmp_path / "new" / "deep" / "a.txt"
    with pytest.raises(OSError, match="full") as caught, replacing(target):
        assert target.parent.is_dir()
        raise OSError(errno.ENOSPC, "full")
    assert caught.value.filename == str(target)
    with pytest.raises(FileNotFoundError) as missing, replacing(target) as beside:
        (beside.parent / f"{beside.name}-absent").stat()
    assert missing.value.filename == str(target)
    with pytest.raises(FileNotFoundError) as other, replacing(target):
        (tmp_path / "other").stat()
    assert other.value.filename == str(tmp_path / "other")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(KeyboardInterrupt), replacing_file(tmp_path / "mine" / "new" / "a"):
        raise KeyboardInterrupt
    assert list(tmp_path.rglob("*")) == [tmp_path / "mine"]


def test_writable_is_found_out_without_a_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "deep" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for target in (tmp_path / "file" / "b", tmp_path / "file" / "deep" / "b"):
        with pytest.raises(NotADirectoryError) as caught:
            check_writable(target)
        assert caught.value.filename == str(target.parent)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(OSError, match="too long") as long:
        check_writable(tmp_path / ("x" * 300))
    assert long.value.filename == str(tmp_path / ("x" * 300))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_a_byte_order_mark_before_toml_is_dropped(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "table.toml"
    path.write_bytes(mark + b'name = "Kodak"\n')
    assert read_toml(path, dict[str, str]) == {"name": "Kodak"}
