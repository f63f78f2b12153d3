"""Recordings in segments: true times, limits, a full disk, and a process that is killed."""

from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

av = pytest.importorskip("av")

from edgeunet.errors import SinkError, UsageError  # noqa: E402
from edgeunet.media.frames import Frame, StreamShape  # noqa: E402
from edgeunet.media.sinks.claims import Claim  # noqa: E402
from edgeunet.media.sinks.recorder import Recorder  # noqa: E402
from edgeunet.media.sinks.recording_options import (  # noqa: E402
    LEAST_FREE_BYTES,
    RecordingOptions,
    read_recording,
)
from edgeunet.media.video_writer import VideoWriter  # noqa: E402
from tests.bundle.tiny import tiny_bundle  # noqa: E402
from tests.cli.command import edgeunet  # noqa: E402
from tests.media.clips import picture  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
SHAPE = StreamShape(48, 64, 25.0, None)
START_S = 1_790_000_000.0  # 2026-09-21, 14:13:20 UTC


def times_of(path: Path) -> list[float]:
    """Return the times of a video's frames, in seconds after its beginning."""
    with av.open(str(path)) as container:
        return [round(frame.time, 4) for frame in container.decode(video=0)]


def record(
    folder: Path, times_s: list[float], options: RecordingOptions, now_s: object = None
) -> Recorder:
    """Record small frames at these times; the clock goes with them."""
    clock = [START_S]
    recorder = Recorder(folder, SHAPE, options, now_s=now_s or (lambda: clock[0]))  # type: ignore[arg-type]
    for index, time_s in enumerate(times_s):
        clock[0] = START_S + time_s
        recorder.write(picture(index), Frame(index, time_s, picture(index)))
    recorder.finish()
    return recorder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_segments_are_called_after_their_time_and_gaps_stay_gaps(tmp_path: Path) -> None:
    # 25 frames a second, but nothing between 1.2 and 3.2 s: the camera was away.
    times_s = [index / 25 for index in range(30)] + [3.2 + index / 25 for index in range(30)]
    recorder = record(tmp_path, times_s, RecordingOptions(4.0, least_free_bytes=0))
    assert names(tmp_path) == ["rec-20260921T141320Z.mp4", "rec-20260921T141324Z.mp4"]
    first, second = (times_of(path) for path in recorder.segments())
    assert first == [round(time_s, 4) for time_s in times_s if time_s < 4.0]
    assert len(first) + len(second) == 60
    assert second[0] == 0
    with av.open(str(recorder.segments()[0])) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")


def test_a_clock_that_is_set_back_loses_nothing(tmp_path: Path) -> None:
    moments = iter([START_S, START_S + 2, START_S - 3600, START_S, START_S])
    last = [START_S]

    def now_s() -> float:
        last[0] = next(moments, last[0])
        return last[0]

    recorder = record(
        tmp_path,
        [index / 10 for index in range(40)],
        RecordingOptions(1.0, least_free_bytes=0),
        now_s,
    )
    assert sum(len(times_of(path)) for path in recorder.segments()) == 40
    assert "rec-20260921T131320Z.mp4" in names(tmp_path)
    assert "rec-20260921T141320Z-2.mp4" in names(tmp_path)


@pytest.mark.parametrize("step_s", [-3600.0, 50 * 365 * 86400.0], ids=["back", "on"])
@pytest.mark.parametrize("by_age", [False, True])
def test_a_clock_that_is_set_removes_nothing_new(
    tmp_path: Path, step_s: float, by_age: bool
) -> None:
    """A limit removes what was recorded first, not what has the smallest date in its name."""
    times_s = [index / 10 for index in range(60)]
    moments = [START_S + (step_s if second > 2 else 0) + second for second in range(9)]
    seconds = [0]

    def now_s() -> float:
        return moments[min(seconds[0], 8)]

    options = RecordingOptions(1.0, least_free_bytes=0, keep_s=2.5 if by_age else None)
    if not by_age:
        size = record(tmp_path / "one", times_s[:10], options).segments()[0].stat().st_size
        options = RecordingOptions(1.0, 3 * size + size // 2, least_free_bytes=0)
    folder = tmp_path / "out"
    recorder = Recorder(folder, SHAPE, options, now_s=now_s)
    for index, time_s in enumerate(times_s):
        seconds[0] = int(time_s)
        recorder.write(picture(index), Frame(index, time_s, picture(index)))
    recorder.finish()
    found = recorder.segments()
    assert len(found) == 3
    assert all(path.stem >= moment_name(moments[3]) for path in found)
    assert all(path.stem <= moment_name(moments[5]) for path in found)


def moment_name(second: float) -> str:
    return datetime.fromtimestamp(second, timezone.utc).strftime("rec-%Y%m%dT%H%M%SZ")


def test_only_so_much_is_kept(tmp_path: Path) -> None:
    times_s = [index / 10 for index in range(60)]
    whole = record(tmp_path / "all", times_s, RecordingOptions(1.0, least_free_bytes=0))
    sizes = [path.stat().st_size for path in whole.segments()]
    assert len(sizes) == 6
    limit = sum(sizes[-3:]) + 10
    few = record(tmp_path / "few", times_s, RecordingOptions(1.0, limit, least_free_bytes=0))
    assert [path.name for path in few.segments()] == [path.name for path in whole.segments()[-3:]]
    assert few.warnings() == (f"3 old recordings were removed from {tmp_path / 'few'}/",)
    young = record(tmp_path / "new", times_s, RecordingOptions(1.0, None, 2.5, 0))
    assert len(young.segments()) in (3, 4)
    (tmp_path / "few" / "rec-mine.mp4").write_bytes(b"not ours")
    # The newest stays, however small the limit is.
    record(tmp_path / "few", times_s, RecordingOptions(1.0, 1, least_free_bytes=0))
    assert names(tmp_path / "few") == [whole.segments()[-1].name, "rec-mine.mp4"]


def test_a_segment_with_an_event_outlives_the_limits(tmp_path: Path) -> None:
    kept: list[str] = []
    recorder = Recorder(
        tmp_path, SHAPE, RecordingOptions(1.0, keep_bytes=1, least_free_bytes=0), now_s=clock()
    )
    for index in range(40):
        if index == 15:
            # It is wanted for a frame that is still to come, and once more for the same segment.
            recorder.keep(1.65, lambda path: kept.append(path.name))
            recorder.keep(1.7, lambda path: kept.append(path.name))
        recorder.write(picture(index), Frame(index, index / 10, picture(index)))
        if index == 18:
            assert any(name.endswith("-event.partial.mp4") for name in names(tmp_path))
            assert kept == []
    recorder.finish()
    name, newest = names(tmp_path)
    assert newest > name
    assert kept == [name, name]
    assert name.endswith("-event.mp4")
    assert len(times_of(tmp_path / name)) == 10
    assert recorder.segments(with_events=True) == [tmp_path / name]


def test_on_a_full_disk_segments_with_events_go_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path, SHAPE, RecordingOptions(1.0, least_free_bytes=0), now_s=clock())
    recorder.keep(0.0, lambda path: None)
    for index in range(30):
        recorder.write(picture(index), Frame(index, index / 10, picture(index)))
    recorder.finish()
    with_event = recorder.segments(with_events=True)
    assert len(with_event) == 1
    assert len(recorder.segments()) == 2
    monkeypatch.setattr("edgeunet.media.sinks.recorder._free_bytes", lambda folder: 0)
    full = RecordingOptions(1.0, least_free_bytes=1)
    again = Recorder(tmp_path, SHAPE, full, now_s=clock())
    assert names(tmp_path) == []
    assert again.warnings() == (
        f"3 old recordings were removed from {tmp_path}/",
        "the disk was full: 1 of them had events, as no others were left",
    )


def clock() -> Callable[[], float]:
    """A clock that goes on by a second whenever a segment asks it."""
    moments = iter(range(1000))
    return lambda: START_S + next(moments)


def open_files(folder: Path) -> list[str]:
    """Return what this process has open below a folder."""
    found = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return [name for name in found if name.startswith(str(folder))]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 1 MiB, where the system allows to make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("a disk of its own can be mounted by root only")
    yield folder
    # A container whose end could not be written is closed when it is collected.
    gc.collect()
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_takes_the_oldest_segment_and_goes_on(small_disk: Path) -> None:
    import numpy as np

    random = np.random.default_rng(3)
    recorder = Recorder(small_disk, SHAPE, RecordingOptions(1.0, least_free_bytes=0))
    for index in range(900):
        noise = random.integers(0, 255, (48, 64, 3), np.uint8)
        recorder.write(noise, Frame(index, index / 25, noise))
    recorder.finish()
    assert "were removed from" in recorder.warnings()[0]
    gc.collect()
    assert open_files(small_disk) == []
    found = recorder.segments()
    assert len(found) > 2
    # The newest frames are there.
    assert len(times_of(found[-1])) > 5


def test_a_disk_that_stays_full_keeps_what_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path, SHAPE, RecordingOptions(9.0, least_free_bytes=0))
    original = VideoWriter.write

    def full(self: VideoWriter, *arguments: object) -> None:
        if arguments[1] > 0.9:  # type: ignore[operator]
            raise OSError(errno.ENOSPC, "No space left on device")
        original(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(VideoWriter, "write", full)
    monkeypatch.setattr(Recorder, "_remove_oldest", lambda self: False)
    with pytest.raises(SinkError, match="any more: No space left on device") as caught:
        for index in range(30):
            recorder.write(picture(index), Frame(index, index / 25, picture(index)))
    assert "1 segments of this run are kept" in caught.value.message
    recorder.discard()
    (segment,) = recorder.segments()
    assert len(times_of(segment)) == 23


@pytest.mark.parametrize("what", ["files", "folder"])
def test_a_folder_that_somebody_clears_is_recorded_into_again(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeunet.media.sinks.recorder._CHECK_S", 0.0)
    folder = tmp_path / "rec"
    limits = RecordingOptions(9.0, keep_bytes=2**20, least_free_bytes=1)
    recorder = Recorder(folder, SHAPE, limits, now_s=clock())
    for index in range(40):
        if index == 20:
            for path in folder.iterdir():
                path.unlink()
            if what == "folder":
                folder.rmdir()
        recorder.write(picture(index), Frame(index, index / 25, picture(index)))
    recorder.finish()
    (segment,) = recorder.segments()
    # The frame with which it was noticed went with the others.
    assert len(times_of(segment)) == 19
    assert recorder.warnings() == (
        f"1 recordings in {folder}/ were removed by somebody else while they were written",
    )


def test_a_folder_that_is_gone_for_good_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeunet.media.sinks.recorder._CHECK_S", 0.0)
    folder = tmp_path / "usb" / "rec"
    recorder = Recorder(folder, SHAPE, RecordingOptions(9.0))
    recorder.write(picture(0), Frame(0, 0.0, picture(0)))
    (tmp_path / "usb").rename(tmp_path / "elsewhere")
    with pytest.raises(SinkError, match="any more: No such file or directory") as caught:
        for index in range(1, 4):
            recorder.write(picture(index), Frame(index, index / 25, picture(index)))
    assert "0 segments of this run are kept" in caught.value.message
    recorder.discard()


@pytest.mark.parametrize("method", ["rename", "unlink"])
def test_a_disk_that_becomes_read_only_is_named(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a card does that is worn out. Then no segment gets its name, and none can be removed."""
    limits = RecordingOptions(1.0, keep_bytes=1, least_free_bytes=0)
    recorder = Recorder(tmp_path, SHAPE, limits)

    def read_only(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    for index in range(30):
        recorder.write(picture(index), Frame(index, index / 25, picture(index)))
    monkeypatch.setattr(Path, method, read_only)
    with pytest.raises(SinkError, match="any more: Read-only file system"):
        for index in range(30, 80):
            recorder.write(picture(index), Frame(index, index / 25, picture(index)))
    recorder.discard()


def test_what_a_killed_run_leaves_plays_and_is_adopted(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    out = tmp_path / "out"
    words = ("run", "test://?size=48x64&fps=25&live=1&frames=0", f"{out}/", "--segment", "60s")
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeunet", *words, "--bundle", str(bundle.path)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    source_s = time.monotonic()
    while not (out.is_dir() and names(out)) and time.monotonic() < source_s + 60:
        time.sleep(0.02)
    time.sleep(3.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (partial,) = names(out)
    assert partial.endswith(".partial.mp4")
    (out / "rec-20200101T000000Z.partial.mp4").write_bytes(b"nothing of it plays")
    recorder = Recorder(out, SHAPE, RecordingOptions(60.0, least_free_bytes=0))
    recorder.discard()
    whole = partial.replace(".partial", "")
    assert names(out) == [whole]
    assert recorder.warnings() == (
        f"1 recordings of a run that was killed were kept, like {whole}",
    )
    found = times_of(out / whole)
    assert found[-1] > 1.4
    assert found == sorted(found)


def test_two_runs_on_one_output_are_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundles").path
    claim = Claim(tmp_path / "out")
    ran = edgeunet("run", "test://?frames=2", f"{tmp_path}/out/", "--bundle", bundle)
    assert ran.failure == (
        f"another run writes into '{tmp_path}/out'",
        "end the other run, or name another output",
    )
    assert not (tmp_path / "out").exists()
    claim.close()
    ran = edgeunet("run", "test://?frames=2", f"{tmp_path}/out/", "--bundle", bundle)
    assert ran.code == 0, ran.err


def test_what_cannot_be_a_recording(tmp_path: Path) -> None:
    assert read_recording(None, None, None) is None
    assert read_recording("10min", "20GiB", None) == RecordingOptions(
        600.0, 20 * 2**30, None, LEAST_FREE_BYTES
    )
    assert read_recording("90s", "7d", "1GiB") == RecordingOptions(90.0, None, 604800.0, 2**30)
    for words, message in (
        (("10", None, None), "'10' is not a duration"),
        (("0.2s", None, None), "'0.2s' is too short for a segment"),
        (("1h", "20x", None), "'20x' is neither a size nor an age"),
        (("1h", "0", None), "--keep 0 keeps nothing"),
        ((None, "7d", None), "only segments of a recording are removed"),
    ):
        with pytest.raises(UsageError, match=message):
            read_recording(*words)
    with pytest.raises(SinkError, match="segments have even sizes only"):
        Recorder(tmp_path, StreamShape(47, 64, 25.0, None), RecordingOptions(1.0))
    with pytest.raises(SinkError, match=r"GiB cannot stay free on the disk of .*, which has"):
        Recorder(tmp_path, SHAPE, RecordingOptions(1.0, least_free_bytes=2**61))
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot record into"):
        Recorder(tmp_path / "file" / "x", SHAPE, RecordingOptions(1.0))
