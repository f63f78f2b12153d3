"""Where ``edgeunet export`` writes: never over what is not a bundle, and never half."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("torch")

from edgeunet.bundle import open_bundle
from tests.cli.command import RANDOM, Ran, contents, edgeunet


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Path, Ran]:
    path = tmp_path / "exported" / "mine.bundle"
    return path, edgeunet(*RANDOM, "--fp16", "--out", path)


@pytest.mark.parametrize("kind", ["file", "folder", "another program's folder", "link"])
def test_what_is_no_bundle_is_not_replaced(kind: str, there: Path) -> None:
    target = there / "precious"
    if kind == "file":
        target.write_text("a thesis")
    elif kind == "link":
        (there / "thesis.txt").write_text("a thesis")
        target.symlink_to(there / "thesis.txt")
    else:
        target.mkdir()
        (target / "thesis.txt").write_text("a thesis")
        if kind != "folder":
            (target / "manifest.json").write_text('{"manifest_version": 3}')
    before = contents(there)
    ran = edgeunet(*RANDOM, "--out", target)
    assert ran.code == 1
    what = "is a symbolic link" if kind == "link" else "exists and is not a bundle"
    assert ran.failure[0] == f"'{target}' {what}, so it is not replaced"
    assert ran.notes == []
    assert contents(there) == before


def test_an_empty_folder_is_filled(there: Path) -> None:
    (there / "empty").mkdir()
    assert edgeunet(*RANDOM, "--out", there / "empty", "--json").code == 0
    open_bundle(there / "empty")


def test_a_folder_that_cannot_be_written(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = tempfile.mkdtemp

    def refuse(suffix: str = "", prefix: str = "", dir: Path | None = None) -> str:
        if dir == there:
            raise PermissionError(errno.EACCES, "Permission denied", str(dir))
        return make(suffix, prefix, dir)

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    ran = edgeunet(*RANDOM, "--out", there / "mine.bundle")
    assert ran.code == 1
    assert ran.failure == (
        f"{there / 'mine.bundle'}: Permission denied",
        "choose a folder or file you may read and write",
    )
    assert ran.notes == [], "it is tried before the work"
    assert contents(there) == {}


def test_a_full_disk_leaves_the_older_bundle(
    exported: tuple[Path, Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = exported
    before = contents(path.parent)
    write = Path.write_bytes

    def fill_up(target: Path, data: bytes) -> int:
        if path.parent not in target.parents:
            return write(target, data)
        write(target, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    ran = edgeunet(*RANDOM, "--out", path)
    assert ran.code == 1
    assert ran.failure == (
        f"{path}: No space left on device",
        "free some space, or write to another disk",
    )
    assert contents(path.parent) == before


def test_a_file_in_the_way(there: Path) -> None:
    (there / "file").touch()
    ran = edgeunet(*RANDOM, "--out", "file/mine.bundle")
    assert ran.code == 1
    assert ran.failure == (
        "file: Not a directory",
        "a file is in the way: choose another folder",
    )
    assert ran.notes == []
