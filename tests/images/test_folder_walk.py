"""Folders and patterns: each real folder once, through links, and none without a word."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

import pytest

from edgeunet.images.folder_walk import matching, paths_below
from edgeunet.media.sources import open_source
from tests.images.image_writers import by_opencv
from tests.media.clips import picture


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files in folders, a link to a folder beside, two links that go round in circles."""
    root = tmp_path / "root"
    for name in ("a/x.png", "a/b/y.png", "d/b/w.png", "top.png", "a/[x]/q.png", ".h/n.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "z.png").write_text("")
    (root / "c").symlink_to(tmp_path / "other")
    for name in ("loop", "round"):
        (root / "a" / name).symlink_to(root)
    return root


EVERY = ["a/[x]/q.png", "a/b/y.png", "a/x.png", "c/z.png", "d/b/w.png", "top.png"]


def files(paths: list[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths if path.is_file()]


def test_links_are_followed_and_no_file_comes_twice(tree: Path) -> None:
    assert files(paths_below(tree), tree) == EVERY
    assert files(matching(f"{tree}/**/*.png"), tree) == EVERY
    assert files(matching(f"{tree}/**"), tree) == EVERY


@pytest.mark.parametrize(
    "pattern", ["**/*.png", "a/**", "*/b/*", "**/b/**/*", "**/b/*.png", "*", "none/**/*", "./**/w*"]
)
def test_patterns_are_those_of_the_shell(
    pattern: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("loop", "round"):
        (tree / "a" / name).unlink()
    monkeypatch.chdir(tree)
    wanted = {Path(name) for name in glob.glob(pattern, recursive=True)}  # noqa: PTH207
    assert [path for path in matching(pattern) if path.is_file()] == sorted(
        path for path in wanted if path.is_file()
    )


def test_nothing_is_below_what_is_no_folder(tree: Path) -> None:
    assert paths_below(tree / "nowhere") == []
    (tree / "file").touch()
    assert paths_below(tree / "file") == []


def test_a_closed_folder_is_an_error(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def closed(path: str | Path) -> Any:
        if Path(path).name == "d":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("edgeunet.images.folder_walk.os.scandir", closed)
    with pytest.raises(PermissionError):
        paths_below(tree)
    with pytest.raises(PermissionError):
        matching(f"{tree}/**/*.png")


def test_a_run_of_a_folder_tells_of_images_in_its_folders(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    for name in ("0.png", "deeper/1.png"):
        (tmp_path / name).write_bytes(by_opencv(picture(0), ".png"))
    source = open_source(str(tmp_path))
    assert source.frame_count == 1
    assert source.report().warnings == (
        f"images in folders of '{tmp_path}', such as deeper/1.png, are left out; name them by "
        f"'{tmp_path}/**/*'",
    )
    assert open_source(f"{tmp_path}/**/*").frame_count == 2
