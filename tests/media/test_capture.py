from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgeunet.errors import SourceError
from edgeunet.media.capture import LiveSource, ReadAhead
from edgeunet.media.clip_facts import ClipFacts
from edgeunet.media.frames import Frame, SourceReport
from edgeunet.media.live import reconnecting
from edgeunet.media.live.live_inputs import Loss, LostInputError, Picture
from edgeunet.media.live.reconnecting import Patience, ReconnectingSource
from edgeunet.media.sources import open_source
from tests.media.clips import picture


class Scripted:
    """A source that delivers a frame when the test tells it to."""

    name = "scripted"
    height, width = 48, 64
    frame_rate = 25.0
    frame_count = None
    endless = False
    clip: ClipFacts | None = None
    live = True
    paths: tuple[Path, ...] = ()

    def __init__(self, failure: Exception | None = None) -> None:
        self.delivered = 0
        self.closed = False
        self._turns = threading.Semaphore(0)
        self._left = 0
        self._failure = failure
        self.waiting_after = -1

    def deliver(self, frames: int) -> None:
        self._left = frames
        self._turns.release()

    def read(self) -> Frame | None:
        if self._left == 0:
            # Asked again: whoever asks has put the frame before where it belongs.
            self.waiting_after = self.delivered
            if not self._turns.acquire(timeout=5.0):
                return None
            if self._left == 0:
                if self._failure is not None:
                    raise self._failure
                return None
        self._left -= 1
        self.delivered += 1
        return Frame(self.delivered - 1, 0.0, picture(self.delivered))

    def report(self) -> SourceReport:
        return SourceReport(warnings=("from inside",))

    def close(self) -> None:
        self.closed = True


def wait_for(source: Scripted, delivered: int) -> None:
    deadline = time.monotonic() + 5
    while source.waiting_after < delivered and time.monotonic() < deadline:
        time.sleep(0.002)


def test_the_newest_frame_wins_and_the_others_are_counted() -> None:
    inner = Scripted()
    live = LiveSource(inner)
    inner.deliver(5)
    wait_for(inner, 5)
    first = live.read()
    assert first is not None
    assert first.index == 4
    assert first.arrived_s is not None
    inner.deliver(3)
    wait_for(inner, 8)
    second = live.read()
    assert second is not None
    assert second.index == 7
    inner.deliver(0)
    assert live.read() is None
    # The first four came before anybody asked for a frame.
    assert live.report() == SourceReport(early=4, dropped=2, warnings=("from inside",))
    live.close()
    assert inner.closed


def test_a_failure_in_the_thread_reaches_the_reader() -> None:
    inner = Scripted(SourceError("the cable is out", hint="plug it in"))
    live = LiveSource(inner)
    inner.deliver(0)
    with pytest.raises(SourceError, match="the cable is out"):
        live.read()
    live.close()


def test_a_silent_camera_is_given_up() -> None:
    inner = Scripted()
    live = LiveSource(inner, silence_s=0.05)
    with pytest.raises(SourceError, match=r"'scripted' has delivered no frame for 0.05 s"):
        live.read()
    inner.deliver(0)
    live.close()


def test_a_live_pattern_keeps_its_pace_and_drops() -> None:
    source = open_source("test://?size=8x8&frames=20&fps=100&live=1")
    assert source.live
    assert source.frame_count == 20
    seen = []
    while (frame := source.read()) is not None:
        seen.append(frame.index)
        time.sleep(0.035)
    source.close()
    assert seen == sorted(seen)
    assert seen[-1] == 19
    assert len(seen) + source.report().dropped + source.report().early == 20
    assert source.report().dropped > 3


@pytest.mark.parametrize("kind", [LiveSource, ReadAhead])
def test_a_reader_that_waits_can_be_interrupted(kind: type[LiveSource | ReadAhead]) -> None:
    inner = Scripted()
    waiting = kind(inner)
    threading.Timer(0.05, waiting.interrupt).start()
    started_s = time.monotonic()
    assert waiting.read() is None
    assert time.monotonic() - started_s < 2
    inner.deliver(0)
    waiting.close()


def test_files_are_read_two_frames_ahead_and_no_further() -> None:
    inner = Scripted()
    ahead = ReadAhead(inner)
    inner.deliver(9)
    # Two wait, and the thread holds a third that it cannot put down.
    deadline_s = time.monotonic() + 5
    while inner.delivered < 3 and time.monotonic() < deadline_s:
        time.sleep(0.002)
    time.sleep(0.05)
    assert inner.delivered == 3
    frames = [ahead.read() for _ in range(9)]
    assert [frame.index for frame in frames if frame is not None] == list(range(9))
    inner.deliver(0)
    assert ahead.read() is None
    ahead.close()
    assert inner.closed


def test_a_limit_reads_no_frame_more() -> None:
    inner = Scripted()
    ahead = ReadAhead(inner, limit=2)
    inner.deliver(9)
    frames = [ahead.read() for _ in range(3)]
    assert [frame and frame.index for frame in frames] == [0, 1, None]
    assert inner.delivered == 2
    ahead.close()


def test_a_failure_comes_after_the_frames_before_it() -> None:
    inner = Scripted(SourceError("the disk is gone", hint="mend it"))
    ahead = ReadAhead(inner)
    inner.deliver(2)
    wait_for(inner, 2)
    inner.deliver(0)
    assert [ahead.read() is not None for _ in range(2)] == [True, True]
    with pytest.raises(SourceError, match="the disk is gone"):
        ahead.read()
    ahead.close()


class TwoFrames:
    """An input that is lost after two frames."""

    frame_rate, damaged = 25.0, 0

    def __init__(self) -> None:
        self.left = 2

    def read(self) -> Picture:
        if not self.left:
            raise LostInputError(Loss.ERROR, "lost", hint="wait")
        self.left -= 1
        return Picture(picture(0), None)

    def interrupt(self) -> None:
        return None

    def close(self) -> None:
        return None


def test_frames_say_how_often_their_camera_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = SimpleNamespace(next_s=lambda loss: 0.0, after=lambda connected_s: None)
    monkeypatch.setattr(reconnecting, "_Waits", lambda: waits)
    source = ReconnectingSource("camera", TwoFrames, Patience(1.0, 5.0))
    frames = [source.read() for _ in range(5)]
    source.close()
    assert [frame and frame.reconnections for frame in frames] == [0, 0, 1, 1, 2]


def test_a_camera_that_is_lost_at_once_again_and_again_is_opened_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would fill the log, and keep a camera that starts from ever being ready."""
    source = ReconnectingSource("camera", TwoFrames, Patience(1.0, 500.0))
    waits_s: list[float] = []
    monkeypatch.setattr(source._stop, "wait", waits_s.append)
    for _ in range(15):
        source.read()
    longest = [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert len(waits_s) == len(longest)
    assert all(0.75 * most <= one <= most for one, most in zip(waits_s, longest, strict=True))
    # A connection that lasted makes it as quick as at first.
    source._back_s -= 60
    for _ in range(2):
        source.read()
    assert waits_s[-1] <= 0.5
    source.close()
