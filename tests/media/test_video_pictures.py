"""Pictures of video files: upright, in the right colours, and said where they are not as usual."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeunet.errors import SourceError
from edgeunet.media.frames import StreamShape
from edgeunet.media.sinks import open_sink
from edgeunet.media.sources import open_source
from edgeunet.specs import Image
from tests.media.clips import picture, read_video
from tests.media.test_video_times import copy
from tests.media.video_cases import steady, turn, write_clip

FULL, LIMITED = 2, 1
# Weights of red and blue in luma: ITU-R BT.709, BT.601, BT.2020.
WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}
COLOURS = [(220, 30, 40), (30, 200, 60), (40, 60, 210), (128, 128, 128), (250, 240, 20)]


def first_image(path: Path) -> tuple[Image, tuple[str, ...]]:
    source = open_source(str(path))
    frame = source.read()
    source.close()
    assert frame is not None
    return frame.image, source.report().warnings


TURNS: dict[str, tuple[tuple[int, int, int, int], Callable[[Image], NDArray[np.uint8]]]] = {
    "none": ((1, 0, 0, 1), lambda image: image),
    "clockwise": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "half": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "counterclockwise": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "mirrored": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda image: image[::-1]),
    "transposed": ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    "transversed": ((0, -1, -1, 0), lambda image: np.rot90(image, 2).transpose(1, 0, 2)),
}


@pytest.mark.parametrize("name", TURNS)
def test_a_picture_stands_upright(tmp_path: Path, name: str) -> None:
    matrix, truth = TURNS[name]
    path = write_clip(tmp_path / "clip.mp4", steady(2)).path
    stored, _ = first_image(path)
    image, warnings = first_image(turn(path, *matrix))
    assert np.array_equal(image, truth(stored))
    assert warnings == ()
    if name in ("none", "clockwise", "half", "counterclockwise"):  # OpenCV does not mirror
        assert np.abs(image.astype(int) - read_video(path)[0][0]).max() <= 1
    copy(path, tmp_path / "out.mp4")
    again, _ = first_image(tmp_path / "out.mp4")
    assert again.shape == image.shape
    assert np.abs(again.astype(int) - image).mean() < 6


def test_an_angle_that_is_no_quarter_turn_is_said(tmp_path: Path) -> None:
    path = turn(write_clip(tmp_path / "clip.mp4", steady(2)).path, 2, 1, 1, 2)
    _, warnings = first_image(path)
    assert warnings == (f"{path} asks for an angle that is no quarter turn; it is not turned",)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_pixels_that_are_not_square_are_said_and_kept(tmp_path: Path, suffix: str) -> None:
    def widen(container: Any, stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    path = write_clip(tmp_path / "clip.mp4", steady(2), prepare=widen).path
    image, warnings = first_image(path)
    assert image.shape == (48, 64, 3)
    assert warnings == (
        f"the pixels of {path} are 1.33 times as wide as high; frames are worked on as they are "
        "stored",
    )
    copy(path, tmp_path / f"out{suffix}")
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
    turned = turn(path, 0, 1, -1, 0)
    copy(turned, tmp_path / f"turned{suffix}")
    with av.open(str(tmp_path / f"turned{suffix}")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(3, 4)


def test_a_ratio_of_pixels_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    def widen(container: Any, stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    path = write_clip(tmp_path / "clip.mp4", steady(2), prepare=widen).path
    source = open_source(str(path))
    shape = StreamShape(source.height, source.width, 25.0, 2, source.clip)
    sink = open_sink(str(tmp_path / "out.mkv"), shape, source)
    while (frame := source.read()) is not None:
        sink.write(frame.image, frame)
    sink.finish()
    assert sink.warnings() == (
        "FFV1 in .mkv cannot say that its pixels are 1.33 times as wide as high",
    )


def coded(colour: tuple[int, int, int], matrix: int, *, full: bool) -> tuple[int, int, int]:
    """Return Y, Cb and Cr of a colour, as the recommendations have it."""
    red_weight, blue_weight = WEIGHTS[matrix]
    red, green, blue = (channel / 255 for channel in colour)
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    chroma = [(blue - luma) / (2 - 2 * blue_weight), (red - luma) / (2 - 2 * red_weight)]
    if full:
        return round(255 * luma), *(round(128 + 255 * part) for part in chroma)  # type: ignore[return-value]
    return round(16 + 219 * luma), *(round(128 + 224 * part) for part in chroma)  # type: ignore[return-value]


def centre(image: Image) -> list[int]:
    """Return red, green and blue of the pixel in the middle."""
    return [int(channel) for channel in image[24, 32, ::-1]]


def write_colours(path: Path, matrix: int, tagged: int, *, full: bool, bits: int = 8) -> Path:
    """Write a frame per colour, coded by the formulas of this file."""
    codec, pixels = "libx264", "yuv420p" if bits == 8 else "yuv420p10le"
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=25)
        stream.options = {"preset": "ultrafast", "qp": "0"}
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        context = stream.codec_context
        context.colorspace, context.color_range = tagged, FULL if full else LIMITED
        context.color_primaries, context.color_trc = 1, 1
        for colour in COLOURS:
            luma, *chroma = (part << (bits - 8) for part in coded(colour, matrix, full=full))
            kind = np.uint8 if bits == 8 else np.uint16
            planes = np.concatenate(
                [np.full(48 * 64, luma, kind), *(np.full(24 * 32, part, kind) for part in chroma)]
            )
            frame: Any = av.VideoFrame(64, 48, pixels)
            frame.colorspace, frame.color_range = tagged, FULL if full else LIMITED
            sizes = np.cumsum([0, 48 * 64, 24 * 32, 24 * 32])
            for plane, begin, end in zip(frame.planes, sizes, sizes[1:], strict=False):
                rows = planes[begin:end].reshape(plane.height, -1)
                padded = np.zeros((plane.height, plane.line_size), np.uint8)
                padded[:, : rows.nbytes // plane.height] = rows.view(np.uint8)
                plane.update(padded.tobytes())
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_matrix_and_range_are_honoured_and_kept(tmp_path: Path, matrix: int, full: bool) -> None:
    path = write_colours(tmp_path / "clip.mp4", matrix, matrix, full=full)
    if matrix == 9 and av.__version__.startswith("17."):
        with pytest.raises(SourceError, match="coded by matrix 9 of ITU-T H.273"):
            first_image(path)
        return
    images, _ = copy(path, tmp_path / "out.mp4")
    assert [centre(image) for image in images] == [
        pytest.approx(list(colour), abs=3) for colour in COLOURS
    ]
    for name in ("clip.mp4", "out.mp4"):
        with av.open(str(tmp_path / name)) as container:
            context = container.streams.video[0].codec_context
            assert context.colorspace == matrix
            assert context.color_range == (FULL if full else LIMITED)
            assert (context.color_primaries, context.color_trc) == (1, 1)
    # The second library reads the same colours from what was written.
    for image, colour in zip(read_video(tmp_path / "out.mp4")[0], COLOURS, strict=True):
        assert centre(image) == pytest.approx(list(colour), abs=8)


def test_what_names_no_matrix_is_bt601_and_stays_unnamed(tmp_path: Path) -> None:
    path = write_colours(tmp_path / "clip.mp4", 6, 2, full=False)
    images, _ = copy(path, tmp_path / "out.mp4")
    again, _ = copy(tmp_path / "out.mp4", tmp_path / "again.mp4")
    for image, second, colour in zip(images, again, COLOURS, strict=True):
        assert centre(image) == pytest.approx(list(colour), abs=3)
        assert centre(second) == pytest.approx(list(colour), abs=8)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.colorspace == 2


def test_ten_bits_are_rounded_to_eight(tmp_path: Path) -> None:
    path = write_colours(tmp_path / "clip.mp4", 1, 1, full=False, bits=10)
    images, _ = copy(path, tmp_path / "out.mkv")
    again, _ = copy(tmp_path / "out.mkv", tmp_path / "again.mkv")
    for image, second, colour in zip(images, again, COLOURS, strict=True):
        assert centre(image) == pytest.approx(list(colour), abs=3)
        assert np.array_equal(image, second)


def test_a_matrix_that_is_not_converted_rightly_is_refused(tmp_path: Path) -> None:
    path = write_colours(tmp_path / "clip.mp4", 6, 8, full=False)
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    assert caught.value.message == (
        f"the colours of '{path}' are coded by matrix 8 of ITU-T H.273, which is not converted "
        "rightly here"
    )
    assert (
        caught.value.hint == "convert it first: ffmpeg -i IN -vf scale=out_color_matrix=bt709 OUT"
    )


def test_high_dynamic_range_is_said(tmp_path: Path) -> None:
    def tag(container: Any, stream: Any) -> None:
        stream.codec_context.color_trc = 16

    path = write_clip(tmp_path / "clip.mp4", steady(2), prepare=tag).path
    _, warnings = first_image(path)
    assert warnings == (
        f"{path} has high dynamic range (PQ): its frames look flat in 8 bits, and the networks "
        "have not seen such",
    )


def test_a_change_of_size_ends_the_reading_in_two_lines(tmp_path: Path) -> None:
    for name, size in (("a", (48, 64)), ("b", (32, 48))):
        images = [picture(index, *size) for index in range(10)]
        write_clip(tmp_path / f"{name}.ts", steady(10), images)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join((tmp_path / f"{name}.ts").read_bytes() for name in "ab"))
    source = open_source(str(joined))
    with pytest.raises(SourceError) as caught:
        while (frame := source.read()) is not None:
            assert frame.image.shape == (48, 64, 3)
    source.close()
    assert caught.value.message == f"'{joined}' changes its frame size to 32x48 after 10 frames"
    assert caught.value.hint == "cut it into one file per frame size"


def test_title_and_date_are_kept(tmp_path: Path) -> None:
    def name(container: Any, stream: Any) -> None:
        container.metadata.update({"title": "Hof", "creation_time": "2021-05-04T10:00:00.000000Z"})

    path = write_clip(tmp_path / "clip.mp4", steady(2), prepare=name).path
    for suffix in (".mp4", ".mkv"):
        copy(path, tmp_path / f"out{suffix}")
        with av.open(str(tmp_path / f"out{suffix}")) as container:
            kept = {key.lower(): value for key, value in container.metadata.items()}
        assert kept["title"] == "Hof"
        if suffix == ".mp4":
            assert kept["creation_time"].startswith("2021-05-04T10:00:00")


def test_a_file_of_two_videos_says_that_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as output:
        streams: list[Any] = []
        for height, width in ((32, 48), (48, 64)):
            stream = output.add_stream("ffv1", rate=25)
            stream.height, stream.width, stream.pix_fmt = height, width, "bgr0"
            streams.append(stream)
        for stream in streams:
            image = picture(0, stream.height, stream.width)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            output.mux(stream.encode(frame.reformat(format="bgr0")))
            output.mux(stream.encode(None))
    image, warnings = first_image(path)
    assert image.shape == (32, 48, 3)
    assert warnings == (f"{path} holds 2 videos, and one is worked on, of 32x48",)
