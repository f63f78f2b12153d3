"""Several sinks at once: none waits for another, and one that fails takes nothing with it."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edgeunet.bundle import Bundle
from edgeunet.cli.run_report import status_line
from edgeunet.errors import SinkError
from edgeunet.media.frames import Frame
from edgeunet.media.sinks import NoSink
from edgeunet.media.sources.pattern import PatternSource
from edgeunet.run.executor import Executor
from edgeunet.specs import Array, Image
from edgeunet.stream import RunOptions, RunSummary, opening, run_pipeline
from edgeunet.stream.run_summary import RunStatus
from edgeunet.stream.service.notifications import failed_recordings, is_flowing
from edgeunet.stream.status_document import status_document
from tests.bundle.tiny import tiny_bundle
from tests.media.clips import read_video

PATTERN = "test://?size=48x64&frames=20"
LIVE = "test://?size=48x64&frames=40&fps=100&live=1"


class Told(NoSink):
    """Keeps what it is given, waits for as long as it is told, and fails where it is told."""

    def __init__(self, name: str, wait_s: float = 0.0, fail_at: int = -1) -> None:
        self.name = name
        self.images: list[Image] = []
        self.indices: list[int] = []
        self.discarded = False
        self._wait_s = wait_s
        self._fail_at = fail_at

    def write(self, image: Image, frame: Frame) -> bool:
        if len(self.images) == self._fail_at:
            raise SinkError(f"{self.name} is broken", hint="mend it")
        before = image.copy()
        time.sleep(self._wait_s)
        assert np.array_equal(image, before), "it was written over while the sink was at it"
        self.images.append(before)
        self.indices.append(frame.index)
        return True

    def discard(self) -> None:
        self.discarded = True


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "bundles")


def run(bundle: Bundle, source: str, monkeypatch: pytest.MonkeyPatch, *sinks: NoSink) -> RunSummary:
    by_name = {sink.name: sink for sink in sinks}
    monkeypatch.setattr(opening, "open_sink", lambda text, *_: by_name[text])
    return run_pipeline(RunOptions(source, bundle.path, tuple(by_name), view="denoised"))


def test_every_sink_gets_every_frame_of_a_file(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, slow = Told("fast"), Told("slow", wait_s=0.01)
    summary = run(bundle, PATTERN, monkeypatch, fast, slow)
    assert summary.complete
    assert fast.indices == slow.indices == list(range(20))
    assert all(np.array_equal(a, b) for a, b in zip(fast.images, slow.images, strict=True))
    assert [sink.written for sink in summary.sinks] == [20, 20]
    alone = Told("alone")
    run(bundle, PATTERN, monkeypatch, alone)
    assert all(np.array_equal(a, b) for a, b in zip(fast.images, alone.images, strict=True))


def test_a_slow_sink_of_a_live_source_misses_frames_and_delays_nobody(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, slow = Told("fast"), Told("slow", wait_s=0.1)
    summary = run(bundle, LIVE, monkeypatch, fast, slow)
    told = {sink.name: sink for sink in summary.sinks}
    assert told["fast"].written > 2 * told["slow"].written
    assert told["slow"].missed > told["fast"].missed
    assert told["slow"].written + told["slow"].missed == summary.frames
    missed = told["slow"].missed
    assert (
        f"slow missed {missed} of {summary.frames} frames, because it was still busy"
        in summary.warnings
    )
    # Every frame that it has is whole: nobody wrote into it while it was being written.
    by_index = dict(zip(fast.indices, fast.images, strict=True))
    for index, image in zip(slow.indices, slow.images, strict=True):
        if index in by_index:
            assert np.array_equal(image, by_index[index])


@pytest.mark.parametrize("source", [PATTERN, LIVE])
def test_answers_stay_while_slow_sinks_hold_them(
    source: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network writes them where sinks read them, and goes on with the next frame meanwhile."""
    seen: dict[int, Image] = {}
    read = PatternSource.read

    def noted(self: PatternSource) -> Frame | None:
        frame = read(self)
        if frame is not None:
            seen[frame.index] = frame.image.copy()
        return frame

    monkeypatch.setattr(PatternSource, "read", noted)
    sinks = [Told("fast"), Told("slow", wait_s=0.02), Told("slower", wait_s=0.05)]
    summary = run(bundle, source, monkeypatch, *sinks)
    assert [sink.failure for sink in summary.sinks] == ["", "", ""]
    executor = Executor(bundle, threads=1)
    for sink in sinks:
        assert len(sink.images) > 3
        for index, image in zip(sink.indices, sink.images, strict=True):
            assert np.array_equal(image, executor.run(seen[index])["denoised"][0])
    executor.close()


def test_the_other_sinks_go_on(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, whole = Told("broken", fail_at=3), Told("whole")
    summary = run(bundle, PATTERN, monkeypatch, broken, whole)
    assert len(whole.images) == summary.frames == 20
    assert broken.discarded
    assert not summary.complete
    assert [(sink.name, sink.failure) for sink in summary.sinks] == [
        ("broken", "broken is broken"),
        ("whole", ""),
    ]


def test_a_sink_that_fails_is_named_while_the_others_go_on(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run of weeks nobody reads the end; and a service whose recording has ended is not well.

    What only shows frames, or sends them elsewhere, may end.
    """
    monkeypatch.setattr("edgeunet.stream.pipeline._WATCH_S", 0.05)
    sinks = [Told("rec/", fail_at=3), Told("rtsp://there/live", fail_at=2), Told("kept.mkv")]
    by_name = {sink.name: sink for sink in sinks}
    monkeypatch.setattr(opening, "open_sink", lambda text, *_: by_name[text])
    notes: list[str] = []
    told: list[RunStatus] = []
    options = RunOptions(LIVE.replace("frames=40", "frames=80"), bundle.path, tuple(by_name))
    run_pipeline(options, on_note=notes.append, on_status=told.append)
    assert sorted(note for note in notes if note.startswith("warning: ")) == [
        "warning: rec/ has ended: rec/ is broken",
        "warning: rtsp://there/live has ended: rtsp://there/live is broken",
    ]
    last = told[-1]
    assert [sink["failure"] for sink in status_document(last)["sinks"]] == [
        "rec/ is broken",
        "rtsp://there/live is broken",
        "",
    ]
    assert status_line(last).endswith(", rec/ has ended, rtsp://there/live has ended")
    assert [sink.name for sink in failed_recordings(last)] == ["rec/"]
    assert not is_flowing(last, 10)
    assert is_flowing(dataclasses.replace(last, sinks=last.sinks[1:]), 10)


def test_without_a_sink_left_the_run_ends(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Told("one", fail_at=3), Told("two", fail_at=5)
    with pytest.raises(SinkError, match="one is broken"):
        run(bundle, "test://?size=48x64&frames=0", monkeypatch, one, two)
    assert one.discarded
    assert two.discarded


def test_two_files_at_once(bundle: Bundle, tmp_path: Path) -> None:
    names = (str(tmp_path / "a.mkv"), str(tmp_path / "b.mkv"))
    summary = run_pipeline(RunOptions(PATTERN, bundle.path, names))
    assert summary.sink == ", ".join(names)
    first, second = (read_video(Path(name))[0] for name in names)
    assert len(first) == 20
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    broken = (names[0], str(tmp_path / "absent.xyz"))
    with pytest.raises(Exception, match=r"suffix '.xyz'"):
        run_pipeline(RunOptions(PATTERN, bundle.path, broken))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "b.mkv", "bundles"]


def test_a_window_whose_display_goes_away_takes_nothing_with_it(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window's process ends, as with an X server that is gone; here there never was one."""
    monkeypatch.setattr("edgeunet.media.sinks.window.has_display", lambda: True)
    monkeypatch.setenv("DISPLAY", ":97")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    out = str(tmp_path / "out.mkv")
    summary = run_pipeline(RunOptions(PATTERN, bundle.path, ("window://", out)))
    window, file = summary.sinks
    assert window.failure == "the window is gone, and so may be its display"
    assert (file.written, file.failure) == (20, "")
    assert len(read_video(Path(out))[0]) == 20


def test_stages_overlap(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network and sink wait 20 ms each: one after the other 20 frames would take 0.8 s."""
    original = Executor.run

    def waiting(self: Executor, image: np.ndarray, into: Mapping[str, Array]) -> object:
        time.sleep(0.02)
        return original(self, image, into)

    monkeypatch.setattr(Executor, "run", waiting)
    summary = run(bundle, PATTERN, monkeypatch, Told("slow", wait_s=0.02))
    assert 20 / summary.frames_per_second < 0.7


def test_a_network_that_hangs_is_named_and_a_second_signal_ends_it(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    never, hung = threading.Event(), threading.Event()
    original = Executor.run
    calls = 0

    def hang(self: Executor, image: np.ndarray, into: Mapping[str, Array]) -> object:
        nonlocal calls
        calls += 1
        if calls == 4:
            hung.set()
            never.wait(20)
        return original(self, image, into)

    monkeypatch.setattr(Executor, "run", hang)
    monkeypatch.setattr("edgeunet.stream.activity.HANG_S", 0.2)
    monkeypatch.setattr("edgeunet.stream.pipeline._WATCH_S", 0.05)
    monkeypatch.setattr("edgeunet.stream.pipeline._LAST_CHANCE_S", 0.2)
    notes: list[str] = []
    sink = Told("sink")
    monkeypatch.setattr(opening, "open_sink", lambda *_: sink)

    def interrupt(status: RunStatus) -> None:
        # The watchdog has a clock of its own, and may speak after the status.
        if status.hangs and notes:
            assert status.hangs[0].stage == "the network"
            raise KeyboardInterrupt

    started_s = time.monotonic()
    summary = run_pipeline(
        RunOptions(PATTERN, bundle.path, ("sink",)), on_note=notes.append, on_status=interrupt
    )
    assert time.monotonic() - started_s < 5
    assert (summary.interrupted, summary.frames) == (True, 3)
    assert len(sink.images) == 3
    assert notes == ["warning: the network hangs: it has worked on one frame for 0 s"]
    never.set()
