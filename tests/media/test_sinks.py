from __future__ import annotations

import errno
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest

from edgeunet.errors import SinkError, UsageError
from edgeunet.media.frames import Frame, Sink, StreamShape
from edgeunet.media.sinks import open_sink
from edgeunet.media.sources import open_source
from edgeunet.media.whole_files import cut_off
from tests.media.clips import (
    index_to_front,
    listing,
    picture,
    read_image,
    read_video,
    write_image,
    write_video,
)

SHAPE = StreamShape(48, 64, 12.5, 20)


def sink_for(text: Path | str, shape: StreamShape = SHAPE) -> Sink:
    return open_sink(str(text), shape, open_source("test://?size=48x64"))


def feed(sink: Sink, frames: int, height: int = 48, width: int = 64, rate: float = 12.5) -> None:
    for index in range(frames):
        image = picture(index, height, width)
        assert sink.write(image, Frame(index, index / rate, image))


def feed_noise(sink: Sink, frames: int) -> None:
    """Write frames of noise, which no codec can compress."""
    random = np.random.default_rng(0)
    for index in range(frames):
        noise = random.integers(0, 256, (48, 64, 3), np.uint8)
        sink.write(noise, Frame(index, index / SHAPE.frame_rate, noise))


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".avi", ".mkv", ".MP4"])
def test_a_video_is_whole_or_not_there(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    sink = sink_for(path)
    feed(sink, 20)
    assert not path.exists()
    sink.finish()
    assert listing(tmp_path) == [path.name]
    frames, rate = read_video(path)
    assert len(frames) == 20
    assert rate == 12.5
    assert np.abs(frames[7].astype(int) - picture(7)).mean() < 12


def test_matroska_is_lossless(tmp_path: Path) -> None:
    sink = sink_for(tmp_path / "out.mkv")
    feed(sink, 5)
    sink.finish()
    frames, _ = read_video(tmp_path / "out.mkv")
    assert all(np.array_equal(frame, picture(index)) for index, frame in enumerate(frames))


def test_the_rate_of_broadcast_survives(tmp_path: Path) -> None:
    sink = sink_for(tmp_path / "out.mp4", StreamShape(48, 64, 30000 / 1001, 3))
    feed(sink, 3, rate=30000 / 1001)
    sink.finish()
    assert read_video(tmp_path / "out.mp4")[1] == pytest.approx(30000 / 1001)


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
def test_odd_sizes_go_into_some_videos_and_are_refused_elsewhere(
    tmp_path: Path, suffix: str
) -> None:
    shape = StreamShape(47, 63, 25.0, 4)
    with pytest.raises(SinkError) as caught:
        sink_for(tmp_path / "out.mp4", shape)
    assert caught.value.message == ".mp4 video has even sizes only, and the frames are 47x63"
    assert caught.value.hint == f"write {tmp_path}/out.mkv, or into a folder: {tmp_path}/out/"
    sink = sink_for(tmp_path / f"out{suffix}", shape)
    feed(sink, 4, 47, 63)
    sink.finish()
    frames, _ = read_video(tmp_path / f"out{suffix}")
    assert [frame.shape for frame in frames] == [(47, 63, 3)] * 4
    assert np.abs(frames[3].astype(int) - picture(3, 47, 63)).mean() < 12
    assert listing(tmp_path) == [f"out{suffix}"]


def test_a_discarded_video_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("older")
    sink = sink_for(path)
    feed(sink, 3)
    sink.discard()
    assert listing(tmp_path) == ["out.mp4"]
    assert path.read_text() == "older"


def test_a_folder_keeps_the_images_names(tmp_path: Path) -> None:
    sink = sink_for(f"{tmp_path}/out/")
    assert sink.write(picture(3), Frame(0, 0.0, picture(0), "IMG.v2"))
    assert sink.write(picture(4), Frame(1, 0.0, picture(0)))
    sink.finish()
    assert listing(tmp_path / "out") == ["IMG.v2.png", "frame_000002.png"]
    assert np.array_equal(read_image(tmp_path / "out" / "IMG.v2.png"), picture(3))


def test_a_folder_nobody_wrote_to_is_not_left(tmp_path: Path) -> None:
    sink_for(tmp_path / "out").discard()
    assert listing(tmp_path) == []


def test_one_image_goes_into_one_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"out.png is one image, but the source has more") as many:
        sink_for(tmp_path / "out.png")
    assert many.value.hint == "write them into a folder: out/, or add --frames 1"
    sink = sink_for(tmp_path / "out.jpg", StreamShape(48, 64, 25.0, 1))
    feed(sink, 1)
    sink.finish()
    assert read_image(tmp_path / "out.jpg").shape == (48, 64, 3)


def test_sinks_are_known_or_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the suffix '.mpx' is not one that can be") as caught:
        sink_for("out.mpx")
    assert "video: .mp4 .m4v .mov .avi .mkv; one image: .bmp" in caught.value.hint
    with pytest.raises(UsageError, match=r"there is no sink 'http://me:\*\*\*@x'"):
        sink_for("http://me:s3cret@x")
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="is a file, not a folder"):
        sink_for(tmp_path / "file")
    assert sink_for("none").name == "none"


@pytest.mark.parametrize("link", [False, True])
def test_a_sink_never_overwrites_its_source(tmp_path: Path, link: bool) -> None:
    clip = write_video(tmp_path / "clip.mp4", 5)
    (tmp_path / "images").mkdir()
    write_image(tmp_path / "images" / "a.png", picture(0))
    out, folder = clip, tmp_path / "images"
    if link:
        out, folder = tmp_path / "other.mp4", tmp_path / "other"
        out.symlink_to(clip)
        folder.symlink_to(tmp_path / "images")
    with pytest.raises(UsageError, match="is the source itself"):
        open_sink(str(out), SHAPE, open_source(str(clip)))
    with pytest.raises(UsageError, match="is the source itself"):
        open_sink(str(folder), SHAPE, open_source(str(tmp_path / "images")))
    with pytest.raises(UsageError, match="is the source itself"):
        open_sink(str(folder / "a.png"), SHAPE, open_source(str(tmp_path / "images" / "a.png")))


def test_a_window_needs_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    for text in ("window://", "display"):
        with pytest.raises(SinkError, match="there is no display to open a window on"):
            sink_for(text)
    # Qt would abort the process on a display that is named and does not answer.
    monkeypatch.setenv("DISPLAY", ":97")
    with pytest.raises(SinkError, match="there is no display"):
        sink_for("window://")
    monkeypatch.setenv("DISPLAY", "127.0.0.1:97.0")
    with pytest.raises(SinkError, match="there is no display"):
        sink_for("window://")


@pytest.mark.parametrize("name", ["out.mp4", "out", "deep/out.mp4"])
def test_a_target_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match=r"cannot write '.*': ") as caught:
        sink_for(tmp_path / "file" / name)
    assert caught.value.hint.startswith("choose a folder that you may write to")
    assert listing(tmp_path) == ["file"]


def test_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(SinkError) as caught:
        sink_for(tmp_path / "out.mp4")
    assert caught.value.message == f"cannot write '{tmp_path}/out.mp4': Permission denied"
    sink = sink_for(tmp_path / "images")
    with pytest.raises(SinkError, match=r"cannot write '.*frame_000001.png': Permission denied"):
        feed(sink, 1)
    sink.discard()
    assert listing(tmp_path) == []


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_full_disk_stops_the_run_and_keeps_what_plays(small_disk: Path, suffix: str) -> None:
    path = small_disk / f"out{suffix}"
    (small_disk / f"out.part{suffix}").write_bytes(b"of an earlier run")
    sink = sink_for(path)
    with pytest.raises(SinkError) as caught:
        feed_noise(sink, 2000)
    sink.discard()
    kept = small_disk / f"out.part-2{suffix}"
    found = re.fullmatch(
        rf"the disk is full: '{path}' could not be written on after (\d+) frames; what plays of "
        rf"it, (\d+) frames, is kept in '{kept}'",
        caught.value.message,
    )
    assert found is not None
    assert caught.value.hint == "free some space, or write to another disk"
    assert listing(small_disk) == [f"out.part-2{suffix}", f"out.part{suffix}"]
    images, _ = read_video(kept)
    # The last picture of an AVI file may be there in part.
    assert len(images) - int(found[2]) in ((0, 1) if suffix == ".avi" else (0,))
    assert 0 < int(found[2]) <= int(found[1])
    assert cut_off(kept)


def test_a_disk_that_fills_at_the_very_end(small_disk: Path) -> None:
    sink = sink_for(small_disk / "out.mp4")
    feed_noise(sink, 20)
    (small_disk / "other").write_bytes(bytes(200 * 1024))
    with pytest.raises(OSError, match="No space left"), (small_disk / "more").open("wb") as stream:
        stream.write(bytes(200 * 1024))
    with pytest.raises(
        SinkError, match=r"the disk is full: .* after 20 frames; what plays of it, "
    ):
        sink.finish()
    assert listing(small_disk) == ["more", "other", "out.part.mp4"]
    assert 0 < len(read_video(small_disk / "out.part.mp4")[0]) < 20


def test_a_full_disk_keeps_the_images_before_it(small_disk: Path) -> None:
    sink = sink_for(small_disk / "out/")
    with pytest.raises(
        SinkError, match=r"No space left on device; the \d+ images before it"
    ) as full:
        feed_noise(sink, 100)
    sink.discard()
    assert "on a disk with space left" in full.value.hint
    names = listing(small_disk / "out")
    assert len(names) > 10
    assert all(read_image(small_disk / "out" / name).shape == (48, 64, 3) for name in names)


def test_an_index_moved_to_the_front_still_plays(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", 6)
    index_to_front(path)
    assert len(read_video(path)[0]) == 6
