"""Photographs as arrays: always (H, W, 3) uint8 RGB, whatever the file was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage import io

from edgeunet.errors import SourceError
from edgeunet.photographs import (
    Photograph,
    fill_frame,
    list_images,
    read_photograph,
    shipped_photographs,
)
from edgeunet.suffixes import IMAGE_SUFFIXES


def picture(height: int = 9, width: int = 13) -> Photograph:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 20, columns * 15, rows + columns], axis=2).astype(np.uint8)


def write(path: Path, pixels: Photograph) -> Path:
    io.imsave(path, pixels, check_contrast=False)
    return path


def test_shipped_photographs_are_colour_and_large_enough() -> None:
    shipped = shipped_photographs()
    assert list(shipped) == ["astronaut", "coffee", "chelsea", "rocket"]
    for photograph in shipped.values():
        assert photograph.dtype == np.uint8
        assert photograph.ndim == 3
        assert photograph.shape[2] == 3
        assert min(photograph.shape[:2]) >= 300
        assert photograph.flags["C_CONTIGUOUS"]
        assert photograph.std() > 20
        assert not np.array_equal(photograph[..., 0], photograph[..., 2]), "it is grey"


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
def test_lossless_files_come_back(suffix: str, tmp_path: Path) -> None:
    given = read_photograph(write(tmp_path / f"a{suffix}", picture()))
    assert np.array_equal(given, picture())
    assert given.flags["C_CONTIGUOUS"]


def test_red_is_first(tmp_path: Path) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 250
    given = read_photograph(write(tmp_path / "red.jpg", red))
    assert given[..., 0].min() > 240
    assert given[..., 1:].max() < 15


def test_grey_becomes_three_equal_planes(tmp_path: Path) -> None:
    grey = picture()[..., 0]
    given = read_photograph(write(tmp_path / "grey.png", grey))
    assert given.shape == (9, 13, 3)
    assert all(np.array_equal(given[..., plane], grey) for plane in range(3))


def test_transparency_is_dropped(tmp_path: Path) -> None:
    transparent = np.dstack([picture(), np.full((9, 13), 7, np.uint8)])
    assert np.array_equal(read_photograph(write(tmp_path / "a.png", transparent)), picture())


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_a_truncated_image(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"a{suffix}", picture(64, 64))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match=f"a{suffix} is not a readable image") as caught:
        read_photograph(path)
    assert caught.value.hint == "remove the file or replace it"


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
@pytest.mark.parametrize("content", [b"", b"no image at all, but some text that goes on"])
def test_what_is_no_image(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="is not a readable image"):
        read_photograph(path)


def test_images_are_listed_below_a_folder_in_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.JPG", "sub/c.webp", "notes.txt", "sub/d.mp4"):
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path, notice=print)]
    assert found == ["a.JPG", "b.png", "sub/c.webp"]


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SourceError, match="there are no images in") as caught:
        list_images(tmp_path, notice=print)
    assert ".jpg" in caught.value.hint


@pytest.mark.parametrize("name", ["nowhere", "notes.txt"])
def test_no_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SourceError, match=f"there is no folder '.*{name}'"):
        list_images(tmp_path / name, notice=print)


def test_a_smaller_frame_is_the_centre() -> None:
    photograph = picture(9, 13)
    assert np.array_equal(fill_frame(photograph, 5, 5), photograph[2:7, 4:9])
    assert np.array_equal(fill_frame(photograph, 9, 13), photograph)


def test_a_larger_frame_is_filled_with_mirrors() -> None:
    photograph = picture(9, 13)
    frame = fill_frame(photograph, 30, 40)
    assert frame.shape == (30, 40, 3)
    assert frame.flags["C_CONTIGUOUS"]
    assert np.array_equal(frame[:9, :13], photograph)
    assert np.array_equal(frame[9:18, :13], photograph[::-1])
    assert np.array_equal(frame[18:27, :13], photograph)
    assert np.array_equal(frame[:9, 13:26], photograph[:, ::-1])


def test_printing_inks_become_colours(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "ink.jpg"
    image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(path)
    red = read_photograph(path)[8, 8]
    assert red[0] > 200
    assert red[1] < 60
    assert red[2] < 60
