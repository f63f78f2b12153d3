"""One reader: what it makes of every kind of file, through Pillow and through OpenCV alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgeunet.errors import SourceError
from edgeunet.images import opencv_file, pillow_file
from edgeunet.images.reader import read_rgb
from tests.images.file_kinds import kinds
from tests.images.image_writers import by_opencv, encoded, grey, picture, png
from tests.images.kind import Kind

KINDS = kinds()


def check(kind: Kind, pixels: NDArray[np.uint8]) -> None:
    assert kind.truth is not None
    assert pixels.dtype == np.uint8
    assert pixels.flags["C_CONTIGUOUS"]
    assert pixels.shape == kind.truth.shape
    assert np.abs(pixels.astype(int) - kind.truth).max() <= kind.tolerance


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_a_file_shows_what_was_written(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / f"a{kind.suffix}"
    path.write_bytes(kind.data)
    if kind.truth is not None:
        check(kind, read_rgb(path))
        return
    with pytest.raises(SourceError) as caught:
        read_rgb(path)
    assert kind.refused in caught.value.message
    assert caught.value.message.startswith(path.name)
    assert caught.value.hint


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_opencv_alone_reads_the_same_or_refuses(kind: Kind) -> None:
    if kind.truth is not None and kind.without_pillow:
        check(kind, opencv_file.read_rgb(kind.data, "a", lambda: None))
        return
    with pytest.raises(SourceError):
        opencv_file.read_rgb(kind.data, "a", lambda: None)


def test_a_device_without_pillow_reads_through_opencv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "edgeunet.images.pillow_file")
    monkeypatch.delattr("edgeunet.images.pillow_file")
    wanted = {kind.name: kind for kind in KINDS}
    for name in ("jpeg, orientation 6", "png rgb 12 of 16 bit, sBIT"):
        path = tmp_path / f"a{wanted[name].suffix}"
        path.write_bytes(wanted[name].data)
        check(wanted[name], read_rgb(path))
    (tmp_path / "a.tif").write_bytes(wanted["tiff cmyk"].data)
    with pytest.raises(SourceError) as caught:
        read_rgb(tmp_path / "a.tif")
    assert caught.value.message == (
        "a.tif is of a kind that only Pillow reads rightly, and Pillow is not installed"
    )
    assert caught.value.hint.startswith("pip install pillow")


@pytest.mark.parametrize("colours", [0, 8])
def test_a_pixel_that_names_no_colour_of_the_palette(colours: int, tmp_path: Path) -> None:
    palette = [(b"PLTE", bytes(3 * colours))] if colours else []
    (tmp_path / "a.png").write_bytes(png(grey() >> 4, 4, 3, *palette))
    with pytest.raises(SourceError, match=r"a.png is not a readable image"):
        read_rgb(tmp_path / "a.png")


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(SourceError, match=r"a.png cannot be read: Too many levels of symbolic"):
        read_rgb(tmp_path / "a.png")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_jpeg_that_is_cut_anywhere(progressive: bool, subsampling: int) -> None:
    """Cut in the last scan and ended again, so that every decoder takes it for whole."""
    noise = np.random.default_rng(3).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    for restart in (0, 2):
        data = encoded(
            Image.fromarray(noise), "JPEG", progressive=progressive, subsampling=subsampling,
            restart_marker_blocks=restart,
        )  # fmt: skip
        assert opencv_file.read_rgb(data, "a", lambda: None).shape == noise.shape
        begin = data.rindex(b"\xff\xda") + 14
        end = begin + (len(data) - begin) * 9 // 10
        for at in np.linspace(begin, end, 8).astype(int):
            cut = data[:at].rstrip(b"\xff") + b"\xff\xd9"
            for read in (opencv_file.read_rgb, pillow_file.read_rgb):
                with pytest.raises(SourceError, match="is not a readable image"):
                    read(cut, "a", lambda: None)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(SourceError, match="a.png is not a regular file"):
        read_rgb(tmp_path / "a.png")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a.png cannot be read: No such file"):
        read_rgb(tmp_path / "a.png")


@pytest.mark.parametrize("factor", [1.2, 2.4])
def test_too_many_pixels_are_named(
    factor: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(by_opencv(np.zeros((1200, 1000, 3), np.uint8), ".png"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(1.2e6 / factor))
    with pytest.raises(SourceError) as caught:
        read_rgb(path)
    most = 1.2 / factor
    assert (
        caught.value.message == f"large.png has 1 megapixels, the most that is read is {most:.0f}"
    )


def test_damaged_metadata_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(picture()).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_rgb(path).shape == picture().shape


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_a_file_that_is_cut_off_is_refused_or_lacks_nothing(kind: Kind) -> None:
    if kind.truth is None:
        return
    size = len(kind.data)
    for end in (size // 4, size * 3 // 4, size - 20, size - 5, size - 1):
        cut = kind.data[:end]
        for read in (pillow_file.read_rgb, opencv_file.read_rgb):
            try:
                pixels = read(cut, "a", lambda: None)
            except SourceError:
                continue
            # Behind the picture lie previews, or what fills up tiles and bytes.
            check(kind, pixels)
            assert not cut.startswith((b"\x89PNG", b"\xff\xd8")) or "preview" in kind.name
