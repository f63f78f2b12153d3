"""Pixels that a file asks players to cut off are told of, and frames stay whole."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from edgeunet.media.shown_part import Margins, margins_of
from edgeunet.media.sources import open_source
from edgeunet.media.sources.opencv_video_source import PlainVideoSource
from tests.media.video_cases import give_aperture, steady, write_clip


def cropped_matroska(path: Path) -> Path:
    """Write an MKV file, two of whose elements are overwritten by pixels to be cropped."""
    write_clip(path, steady(2), codec="ffv1", pixels="bgr0", options={})
    data = bytearray(path.read_bytes())
    # The unit of the size to be shown, and the element behind the description of the picture.
    plain = b"\xe0\x8a\xb0\x81\x40\xba\x81\x30\x54\xb2\x81\x04\x55\xee\x81\x00"
    cropped = b"\xe0\x8e\xb0\x81\x40\xba\x81\x30\x54\xcc\x81\x05\x54\xbb\x81\x03"
    at = data.index(plain)
    data[at : at + len(cropped)] = cropped
    path.write_bytes(bytes(data))
    return path


def said_of(path: Path) -> tuple[tuple[int, int], tuple[str, ...]]:
    source = open_source(str(path))
    size = source.height, source.width
    warnings = source.report().warnings
    source.close()
    return size, warnings


def test_matroska_and_webm(tmp_path: Path) -> None:
    path = cropped_matroska(tmp_path / "clip.mkv")
    assert margins_of(path) == Margins(top=Fraction(3), left=Fraction(5))
    assert said_of(path) == (
        (48, 64),
        (
            f"{path} asks players to cut off pixels (3 at the top, 5 on the left); frames are "
            "worked on as they are stored",
        ),
    )


def test_mp4_and_its_fractions(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", steady(2)).path
    assert margins_of(path) is None
    give_aperture(path, 49, 48, 0, 0)
    assert margins_of(path) == Margins(left=Fraction(15, 2), right=Fraction(15, 2))
    assert "(7.5 on the left, 7.5 on the right)" in said_of(path)[1][0]


def test_an_aperture_of_the_whole_picture_is_none(tmp_path: Path) -> None:
    path = give_aperture(write_clip(tmp_path / "clip.mp4", steady(2)).path, 64, 48, 0, 0)
    assert margins_of(path) is None
    assert said_of(path) == ((48, 64), ())


def test_what_is_broken_has_no_margins(tmp_path: Path) -> None:
    whole = give_aperture(write_clip(tmp_path / "clip.mp4", steady(2)).path, 48, 40, 0, -2)
    data = whole.read_bytes()
    at = data.index(b"clap")
    for number, content in enumerate(
        (data[: at + 12], data[: at + 8] + bytes(4) + data[at + 12 :], b"", b"\0" * 64)
    ):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(content)
        assert margins_of(path) is None


def test_it_is_told_without_pyav_as_well(tmp_path: Path) -> None:
    path = cropped_matroska(tmp_path / "clip.mkv")
    source = PlainVideoSource(str(path), path)
    warnings = source.report().warnings
    source.close()
    assert "(3 at the top, 5 on the left)" in warnings[1]
