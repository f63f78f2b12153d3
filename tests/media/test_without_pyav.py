"""A device without PyAV reads and writes videos through OpenCV, and says what it cannot know."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from edgeunet.errors import SinkError
from edgeunet.media.frames import Frame, Sink, StreamShape
from edgeunet.media.sinks import open_sink, opencv_video_sink
from edgeunet.media.sources import open_source
from edgeunet.media.sources.opencv_video_source import PlainVideoSource
from tests.media.clips import cut, index_to_front, listing, picture, read_video, write_video

SHAPE = StreamShape(48, 64, 12.5, 20)


@pytest.fixture(autouse=True)
def without_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)


def sink_for(path: Path, shape: StreamShape = SHAPE) -> Sink:
    return open_sink(str(path), shape, open_source("test://?size=48x64"))


def feed(sink: Sink, frames: int, height: int = 48, width: int = 64) -> None:
    for index in range(frames):
        image = picture(index, height, width)
        assert sink.write(image, Frame(index, index / 12.5, image))


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_video_goes_through_and_says_what_is_not_known(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    sink = sink_for(path)
    feed(sink, 20)
    sink.finish()
    assert listing(tmp_path) == [path.name]
    assert sink.warnings() == (
        f"{path} is written without PyAV 17.1: at 12.5 frames per second throughout, and without "
        "sound (pip install 'av>=17.1')",
    )
    source = open_source(str(path))
    assert isinstance(source, PlainVideoSource)
    assert source.clip is None
    frames = 0
    while (frame := source.read()) is not None:
        assert np.abs(frame.image.astype(int) - picture(frames)).mean() < 12
        frames += 1
    assert frames == 20
    report = source.report()
    assert (report.complete, report.ended) == (True, True)
    assert report.warnings == (
        f"{path} is read without PyAV 17.1: its frames are taken to come at equal intervals, and "
        "damage and changes of the frame size go unseen (pip install 'av>=17.1')",
    )


def test_a_pyav_that_is_too_old_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", types.SimpleNamespace(__version__="16.1.0"))
    path = write_video(tmp_path / "clip.mp4", 3)
    assert isinstance(open_source(str(path)), PlainVideoSource)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_cut_video_is_told_from_a_whole_one(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"clip{suffix}", 60)
    if suffix == ".mp4":
        index_to_front(path)
    source = open_source(str(cut(path, 0.6)))
    read = 0
    while source.read() is not None:
        read += 1
    report = source.report()
    assert 5 < read < 55
    assert not report.complete
    assert re.fullmatch(
        f"{path} is cut off after {read} frames: at least .* are missing at its end",
        report.broken_off,
    )


def test_odd_sizes_go_into_avi_and_are_refused_elsewhere(tmp_path: Path) -> None:
    shape = StreamShape(47, 63, 25.0, 4)
    with pytest.raises(SinkError, match=".mkv video has even sizes only") as caught:
        sink_for(tmp_path / "out.mkv", shape)
    assert caught.value.hint == f"write {tmp_path}/out.avi, or into a folder: {tmp_path}/out/"
    sink = sink_for(tmp_path / "out.avi", shape)
    feed(sink, 4, 47, 63)
    sink.finish()
    assert [frame.shape for frame in read_video(tmp_path / "out.avi")[0]] == [(47, 63, 3)] * 4


def test_a_codec_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(opencv_video_sink.CODECS, ".mp4", "nope")
    with pytest.raises(SinkError, match="this OpenCV cannot write nope video of 48x64") as caught:
        sink_for(tmp_path / "out.mp4")
    assert "try another suffix" in caught.value.hint
    assert listing(tmp_path) == []


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_lost_frames_are_found_although_opencv_is_silent(tmp_path: Path, suffix: str) -> None:
    sink = sink_for(tmp_path / f"out{suffix}")
    assert isinstance(sink, opencv_video_sink.PlainVideoSink)
    feed(sink, 3)
    sink._frames += 2
    with pytest.raises(SinkError) as caught:
        sink.finish()
    assert caught.value.message == (
        f"only 3 of 5 frames of '{tmp_path}/out{suffix}' could be written; what plays of it, "
        f"3 frames, is kept in '{tmp_path}/out.part{suffix}'"
    )
    assert listing(tmp_path) == [f"out.part{suffix}"]


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_full_disk_stops_the_run_and_keeps_what_plays(small_disk: Path, suffix: str) -> None:
    path = small_disk / f"out{suffix}"
    sink = sink_for(path)
    random = np.random.default_rng(0)
    with pytest.raises(SinkError) as caught:
        for index in range(2000):
            noise = random.integers(0, 256, (48, 64, 3), np.uint8)
            sink.write(noise, Frame(index, index / 12.5, noise))
    sink.discard()
    assert caught.value.message.startswith("the disk is full: about ")
    assert caught.value.hint == "free some space, or write to another disk"
    # MPEG-4 in MP4 has its index at the end, for which there may be no room.
    kept = listing(small_disk)
    assert kept == [f"out.part{suffix}"] or (suffix == ".mp4" and not kept)
    assert all(name in caught.value.message for name in kept or ["nothing was kept"])
    assert all(read_video(small_disk / name)[0] for name in kept)
