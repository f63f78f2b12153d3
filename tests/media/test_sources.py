from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from edgeunet.errors import SourceError, UsageError
from edgeunet.media import opencv
from edgeunet.media.frames import Frame, Source
from edgeunet.media.sources import SCHEMES, open_source
from edgeunet.media.sources.cameras import csi_pipeline
from tests.media.clips import cut, index_to_front, picture, write_image, write_video


def frames_of(source: Source) -> list[Frame]:
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    source.close()
    return frames


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_video_delivers_every_frame(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"clip{suffix}", 20)
    source = open_source(str(path))
    assert (source.height, source.width, source.frame_rate) == (48, 64, 12.5)
    assert source.frame_count == 20
    assert not source.live
    frames = frames_of(source)
    assert [frame.index for frame in frames] == list(range(20))
    assert frames[5].timestamp_s == pytest.approx(5 / 12.5)
    assert frames[0].image.dtype == np.uint8
    report = source.report()
    assert report.complete
    assert report.warnings == ()


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_cut_video_keeps_its_readable_frames_and_says_so(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"clip{suffix}", 60)
    if suffix == ".mp4":
        index_to_front(path)
        whole = open_source(str(path))
        assert len(frames_of(whole)) == 60
        assert whole.report().complete
    source = open_source(str(cut(path, 0.6)))
    read = len(frames_of(source))
    assert 5 < read < 55
    report = source.report()
    assert not report.complete
    assert re.fullmatch(
        f"{path} is cut off after {read} frames: at least .* are missing at its end",
        report.broken_off,
    )


def test_a_video_read_only_in_part_is_not_called_cut(tmp_path: Path) -> None:
    source = open_source(str(write_video(tmp_path / "clip.mp4", 20)))
    source.read()
    source.close()
    assert source.report().complete


@pytest.mark.parametrize("kind", ["text", "empty", "cut index"])
def test_a_file_that_is_no_video_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "clip.mp4"
    if kind == "cut index":
        cut(write_video(path, 60), 0.6)
    else:
        path.write_text("hello world\n" * 100 if kind == "text" else "")
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    assert caught.value.message == (
        f"'{path}' is not a video that can be read, or its end with the index is missing"
    )
    assert "play it in a video player" in caught.value.hint


def test_a_text_file_is_no_video_of_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello world\n" * 100)
    with pytest.raises(SourceError, match="neither a video nor an image by its suffix"):
        open_source(str(tmp_path / "notes.txt"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no file or folder '.*absent.mp4'"):
        open_source(str(tmp_path / "absent.mp4"))


def test_images_come_in_natural_order_with_their_names(tmp_path: Path) -> None:
    for index in (10, 2, 1):
        write_image(tmp_path / f"shot_{index}.png", picture(index))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    for text in (str(tmp_path), str(tmp_path / "*.png")):
        source = open_source(text)
        assert source.frame_count == 3
        frames = frames_of(source)
        assert [frame.name for frame in frames] == ["shot_1", "shot_2", "shot_10"]
        assert np.array_equal(frames[2].image, picture(10))


def test_images_with_the_same_stem_get_different_names(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", picture(0))
    write_image(tmp_path / "a.bmp", picture(1))
    names = [frame.name for frame in frames_of(open_source(str(tmp_path)))]
    assert names == ["000001_a", "000002_a"]


def test_broken_and_differently_sized_images_are_left_out_by_name(tmp_path: Path) -> None:
    for index in range(5):
        write_image(tmp_path / f"{index}.jpg", picture(index))
    cut(tmp_path / "1.jpg", 0.5)
    write_image(tmp_path / "3.jpg", picture(3, 32, 40))
    source = open_source(str(tmp_path), (48, 64))
    assert [frame.name for frame in frames_of(source)] == ["0", "2", "4"]
    report = source.report()
    assert report.skipped == ("1.jpg is not a readable image", "3.jpg is 32x40, not 48x64")
    assert not report.complete


def test_one_odd_first_image_does_not_decide_the_size(tmp_path: Path) -> None:
    write_image(tmp_path / "0.png", picture(0, 32, 40))
    write_image(tmp_path / "1.png", picture(1))
    source = open_source(str(tmp_path), (48, 64))
    assert (source.height, source.width) == (48, 64)
    assert open_source(str(tmp_path), (8, 8)).height == 32


@pytest.mark.parametrize("broken", [b"", b"\x89PNG\r\n\x1a\n cut", b"\xff\xd8\xff\xe0 cut"])
def test_a_broken_image_alone_is_refused(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(broken)
    with pytest.raises(SourceError, match="is not a readable image"):
        open_source(str(path))


def test_folders_and_patterns_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there are no images in the folder"):
        open_source(str(tmp_path))
    with pytest.raises(SourceError, match="no image matches") as caught:
        open_source(str(tmp_path / "*.png"))
    assert caught.value.hint == "keep the pattern in quotes; a bracket in a name is written [[]"


def test_schemes_are_known_or_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="there is no source rstp://") as caught:
        open_source("rstp://camera/stream")
    assert caught.value.hint.startswith("did you mean 'rtsp'? known: file://")
    assert set(SCHEMES) == {
        *("file", "v4l2", "csi", "gst", "test"),
        *("rtsp", "rtsps", "http", "https", "udp", "srt"),
    }
    with pytest.raises(UsageError, match="the source is empty"):
        open_source(" ")


@pytest.mark.parametrize("text", ["97", "v4l2:///dev/video97", "/dev/video97"])
def test_a_camera_that_is_not_there_is_named(text: str) -> None:
    with pytest.raises(SourceError, match="there is no camera /dev/video97"):
        open_source(text)


def test_opencv_without_gstreamer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opencv, "has_gstreamer", lambda: False)
    for text in ("csi://0", "gst://videotestsrc ! videoconvert ! appsink"):
        with pytest.raises(SourceError, match="this OpenCV has no GStreamer") as caught:
            open_source(text)
        assert "apt install python3-opencv" in caught.value.hint
    with pytest.raises(UsageError, match="the GStreamer pipeline has no appsink"):
        open_source("gst://videotestsrc ! autovideosink")
    with pytest.raises(UsageError, match="names no sensor"):
        open_source("csi://front")


def test_the_csi_pipeline_scales_and_never_queues() -> None:
    pipeline = csi_pipeline(1, 480, 640)
    assert pipeline.startswith("nvarguscamerasrc sensor-id=1 !")
    assert "width=640,height=480" in pipeline
    assert pipeline.endswith("appsink drop=true max-buffers=1")


def test_the_pattern_takes_its_options() -> None:
    source = open_source("test://?size=20x30&frames=7&fps=5")
    assert (source.height, source.width, source.frame_rate) == (20, 30, 5.0)
    frames = frames_of(source)
    assert len(frames) == 7
    assert not np.array_equal(frames[0].image, frames[1].image)
    again = frames_of(open_source("test://?size=20x30&frames=7&fps=5"))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(frames, again, strict=True))


def test_the_pattern_takes_the_size_wanted_unless_told() -> None:
    assert open_source("test://").height == 480
    assert open_source("test://", (48, 64)).width == 64
    assert open_source("test://?frames=0").frame_count is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("sise=20x30", "a test pattern has no option 'sise'"),
        ("size=20by30", "'20by30' is not a frame size"),
        ("size=0x30", "is not a pattern that can be made"),
        ("frames=many", "frames=many is not a number"),
        ("frames=-1", "is not a pattern that can be made"),
        ("fps=0", "is not a pattern that can be made"),
        ("fps=nan", "is not a pattern that can be made"),
        ("frames=inf", "is not a pattern that can be made"),
        ("live=yes", "live=yes is neither 0 nor 1"),
    ],
)
def test_pattern_options_are_checked(query: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_source(f"test://?{query}")


@pytest.mark.parametrize("digit", ["²", "①", "٣"])
def test_digits_of_other_scripts_number_no_camera(digit: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no file or folder"):
        open_source(digit)
    with pytest.raises(UsageError, match="names no sensor"):
        open_source(f"csi://{digit}")


def test_images_come_in_natural_order_whatever_their_digits(tmp_path: Path) -> None:
    names = ("f①.png", "f10.png", "f².png", "f2.png", "._f1.png")
    for name in names:
        write_image(tmp_path / name, picture(0))
    source = open_source(str(tmp_path))
    assert [path.name for path in source.paths] == ["f2.png", "f10.png", "f².png", "f①.png"]
