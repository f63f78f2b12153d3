"""Whole files or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeunet.files import replacing_file, replacing_folder


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
