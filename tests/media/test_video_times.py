"""Frames keep their times from file to file, whatever the container promises about them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from edgeunet.media.frames import SourceReport, StreamShape
from edgeunet.media.sinks import open_sink
from edgeunet.media.sources import open_source
from edgeunet.specs import Image
from tests.media.clips import picture
from tests.media.video_cases import Made, packet_times, sound_of, steady, write_clip

VARIABLE = (*(index / 3 for index in range(6)), *(2 + index / 30 for index in range(20)))


def copy(path: Path, out: Path, limit: int | None = None) -> tuple[list[Image], SourceReport]:
    """Copy a file through a source and a sink, frame by frame, as ``edgeunet run`` does."""
    source = open_source(str(path))
    shape = StreamShape(
        source.height, source.width, source.frame_rate, source.frame_count, source.clip
    )
    sink = open_sink(str(out), shape, source)
    images: list[Image] = []
    while len(images) != limit and (frame := source.read()) is not None:
        sink.write(frame.image, frame)
        images.append(frame.image)
    sink.finish()
    source.close()
    return images, source.report()


def _b_frames(folder: Path) -> Made:
    options = {"preset": "veryfast", "bf": "3", "qp": "10"}
    return write_clip(folder / "clip.mp4", options=options)


def _edit_list(folder: Path) -> Made:
    """Return a clip whose first ten frames are there for decoding only."""
    options = {"preset": "veryfast", "bf": "2", "qp": "10"}
    return write_clip(folder / "clip.mp4", steady(40), options=options, shift_s=-0.4)


def _fragmented(folder: Path) -> Made:
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    return write_clip(folder / "clip.mp4", VARIABLE, container=flags)


def _mjpeg(folder: Path) -> Made:
    base = Fraction(1, 25)
    return write_clip(
        folder / "clip.avi", codec="mjpeg", pixels="yuvj420p", options={}, time_base=base
    )


def _vp9(folder: Path) -> Made:
    options = {"deadline": "realtime", "cpu-used": "8"}
    return write_clip(folder / "clip.webm", VARIABLE, codec="libvpx-vp9", options=options)


CASES: dict[str, Callable[[Path], Made]] = {
    "steady mp4": lambda folder: write_clip(folder / "clip.mp4"),
    "variable mp4": lambda folder: write_clip(folder / "clip.mp4", VARIABLE),
    "variable mkv": lambda folder: write_clip(folder / "clip.mkv", VARIABLE),
    "variable ts": lambda folder: write_clip(folder / "clip.ts", VARIABLE, shift_s=0),
    "b-frames": _b_frames,
    "edit list": _edit_list,
    "start offset mkv": lambda folder: write_clip(folder / "clip.mkv", steady(start_s=100.0)),
    "start offset mp4": lambda folder: write_clip(folder / "clip.mp4", steady(start_s=2.5)),
    "longer sound mp4": lambda folder: write_clip(folder / "clip.mp4", sound_s=2.0),
    "longer sound mkv": lambda folder: write_clip(folder / "clip.mkv", sound_s=2.0),
    "sound before frames": lambda folder: write_clip(
        folder / "clip.mkv", steady(start_s=0.5), sound_s=1.5
    ),
    "fragmented": _fragmented,
    "mjpeg avi": _mjpeg,
    "vp9 webm": _vp9,
    "one frame": lambda folder: write_clip(folder / "clip.mp4", (0.0,)),
    "29.97": lambda folder: write_clip(folder / "clip.mp4", steady(20, 30000 / 1001)),
    "5 frames a second": lambda folder: write_clip(folder / "clip.mkv", steady(6, 5.0)),
}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize("case", CASES)
def test_every_frame_keeps_its_time(tmp_path: Path, case: str, suffix: str) -> None:
    made = CASES[case](tmp_path)
    out = tmp_path / f"out{suffix}"
    images, report = copy(made.path, out)
    assert len(images) == len(made.times_s)
    assert (report.complete, report.ended, report.broken_off) == (True, True, "")
    assert report.left_out() == ()
    given, written = np.array(made.times_s), np.array(packet_times(out))
    if made.path.suffix == ".ts":  # the clock of a transport stream begins anywhere
        given = given + packet_times(made.path)[0] - given[0]
    if suffix == ".avi":  # has no start
        given = given - given[0]
    half = np.diff(given).min() / 2 if len(given) > 1 else 0.02
    assert np.abs(given - written).max() < min(half, 0.02)


def test_the_last_frame_is_shown_as_long_as_before(tmp_path: Path) -> None:
    made = write_clip(tmp_path / "clip.mp4", VARIABLE)
    copy(made.path, tmp_path / "out.mp4")
    ends = []
    for path in (made.path, tmp_path / "out.mp4"):
        with av.open(str(path)) as container:
            assert container.duration is not None
            ends.append(container.duration / 1e6)
    assert ends[0] == pytest.approx(ends[1], abs=0.01)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("case", ["longer sound mp4", "longer sound mkv", "sound before frames"])
def test_sound_is_copied_packet_by_packet(tmp_path: Path, case: str, suffix: str) -> None:
    made = CASES[case](tmp_path)
    copy(made.path, tmp_path / f"out{suffix}")
    given, copied = sound_of(made.path), sound_of(tmp_path / f"out{suffix}")
    if suffix == ".mkv":  # holds nothing before zero: the packet that primes a decoder
        given = [packet for packet in given if packet[0] >= 0]
    assert len(given) > 40
    assert [content for _, content in given] == [content for _, content in copied]
    assert all(abs(a - b) <= 1 for (a, _), (b, _) in zip(given, copied, strict=True))


def test_sound_ends_with_the_frames_where_a_run_is_stopped(tmp_path: Path) -> None:
    made = write_clip(tmp_path / "clip.mp4", sound_s=2.0)
    copy(made.path, tmp_path / "out.mp4", limit=10)
    assert 300 < sound_of(tmp_path / "out.mp4")[-1][0] <= 400


def test_sound_stays_beside_the_frames_in_avi(tmp_path: Path) -> None:
    made = write_clip(tmp_path / "clip.mkv", steady(start_s=1.0), sound_s=2.0, sound_codec="mp2")
    copy(made.path, tmp_path / "out.avi")
    given, copied = sound_of(made.path), sound_of(tmp_path / "out.avi")
    # What was heard at the first frame is at the beginning now.
    assert copied[0][1] == next(content for time, content in given if time >= 1000)


@pytest.mark.parametrize("suffix", [".mov", ".avi"])
def test_sound_that_a_container_cannot_hold_is_said(tmp_path: Path, suffix: str) -> None:
    made = write_clip(tmp_path / "clip.mkv", sound_s=1.0, sound_codec="libopus")
    source = open_source(str(made.path))
    shape = StreamShape(source.height, source.width, 25.0, 20, source.clip)
    out = tmp_path / f"out{suffix}"
    sink = open_sink(str(out), shape, source)
    while (frame := source.read()) is not None:
        sink.write(frame.image, frame)
    sink.finish()
    (said,) = sink.warnings()
    assert "sound" in said
    assert said.endswith("left out")
    assert len(packet_times(out)) == 20


def test_times_that_go_back_go_on(tmp_path: Path) -> None:
    for name in "ab":
        write_clip(tmp_path / f"{name}.ts", steady(50))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join((tmp_path / f"{name}.ts").read_bytes() for name in "ab"))
    images, report = copy(joined, tmp_path / "out.mp4")
    assert len(images) == 100
    assert report.warnings == (
        f"the times of {joined} go back 1 times, as where recordings were joined; from there they "
        "are counted on",
    )
    steps = np.diff(packet_times(tmp_path / "out.mp4"))
    assert steps == pytest.approx(0.04, abs=0.001)


def test_the_clock_of_a_broadcast_begins_at_nothing(tmp_path: Path) -> None:
    made = write_clip(tmp_path / "clip.ts", steady(start_s=5000.0), sound_s=1.0, sound_start_s=5000)
    images, _ = copy(made.path, tmp_path / "out.mp4")
    assert len(images) == 20
    times = packet_times(tmp_path / "out.mp4")
    assert times[0] < 0.2
    assert np.diff(times) == pytest.approx(0.04, abs=0.001)
    assert 0 <= sound_of(tmp_path / "out.mp4")[0][0] < 200


def test_a_lossless_round_trip_is_exact(tmp_path: Path) -> None:
    pictures = [picture(index) for index in range(4)]
    lossless = {"preset": "ultrafast", "qp": "0"}
    made = write_clip(tmp_path / "clip.mp4", steady(4), pictures, options=lossless)
    first, _ = copy(made.path, tmp_path / "a.mkv")
    second, _ = copy(tmp_path / "a.mkv", tmp_path / "b.mkv")
    third, _ = copy(tmp_path / "b.mkv", tmp_path / "c.mkv")
    for one, two, three in zip(first, second, third, strict=True):
        assert np.array_equal(one, two)
        assert np.array_equal(one, three)
