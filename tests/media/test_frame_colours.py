"""Colours stored at half the size are spread to where the file says that they belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.media.colour_planes import Plane, by_field, halved, planes_of, write_planes
from tests.media.test_video_pictures import first_image

HEIGHT, WIDTH = 48, 64


def scene(height: int = HEIGHT, width: int = WIDTH) -> Plane:
    """Return a smooth picture, (H, W, 3) R'G'B' 0..255, whose colours change in both directions."""
    rows, columns = np.mgrid[0:height, 0:width] / 10.0
    waves = [np.sin(rows + columns), np.cos(columns - rows), np.sin(0.7 * columns) * np.cos(rows)]
    return 128 + 70 * np.stack(waves, axis=2)


def apart(path: Path, picture: Plane) -> tuple[float, tuple[str, ...]]:
    """Return the mean difference of what is read from a picture, 0..255, and what is told."""
    image, warnings = first_image(path)
    return float(np.abs(image[:, :, ::-1] - picture).mean()), warnings


def test_the_colours_of_a_field_belong_to_it(tmp_path: Path) -> None:
    """Two moments in a frame; taken for one picture, the colours of one would lie on the other."""
    picture = scene()
    picture[1::2] = np.roll(picture, 24, axis=1)[1::2]
    luma, *chroma = planes_of(picture)
    planes = [luma, *(by_field(plane) for plane in chroma)]
    options = {"qp": "0", "flags": "+ilme+ildct", "x264-params": "tff=1"}
    path = write_planes(
        tmp_path / "a.mp4", planes, codec="libx264", options=options, pixels="yuv420p"
    )
    found, warnings = apart(path, picture)
    assert found < 5
    assert warnings == (f"{path} is interlaced: each of its frames holds two moments",)
    progressive = write_planes(
        tmp_path / "b.mp4", planes, codec="libx264", options={"qp": "0"}, pixels="yuv420p"
    )
    assert apart(progressive, picture)[0] > 3 * found


@pytest.mark.parametrize(
    ("codec", "left"), [("libx264", True), ("ffv1", False)], ids=["H.264", "FFV1"]
)
def test_colours_of_ten_bits_lie_where_the_file_says(
    tmp_path: Path, codec: str, left: bool
) -> None:
    """H.264 puts them on every second column unless it says otherwise, FFV1 says nothing."""
    picture = scene()
    luma, *chroma = planes_of(picture)
    found = []
    for side in (left, not left):
        planes = [luma, *(halved(plane, left=side) for plane in chroma)]
        options = {"qp": "0"} if codec == "libx264" else {}
        path = write_planes(
            tmp_path / f"{side}.mkv", planes, codec=codec, options=options, pixels="yuv420p10le"
        )
        found.append(apart(path, picture)[0])
    assert found[0] < found[1]


@pytest.mark.parametrize("size", [(47, 63), (47, 64), (48, 63), (48, 64)])
def test_odd_sizes_lose_no_more_than_even_ones(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = scene(*size)
    luma, *chroma = planes_of(picture)
    planes = [luma, *(halved(plane) for plane in chroma)]
    path = write_planes(tmp_path / "a.mkv", planes, codec="ffv1", options={}, pixels="yuv420p")
    assert apart(path, picture)[0] < 2.7
