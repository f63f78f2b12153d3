"""Cameras through OpenCV that are missing, hang, or deliver nothing."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edgeunet.errors import SourceError
from edgeunet.media.live import opencv_input, reconnecting
from edgeunet.media.live.live_inputs import Loss, LostInputError, Picture
from edgeunet.media.live.opencv_input import OpencvInput
from edgeunet.media.live.reconnecting import Patience
from edgeunet.media.sources import cameras, open_source


def test_a_camera_that_hangs_is_given_up_and_not_tried_twice_at_once() -> None:
    release = threading.Event()

    def hang() -> None:
        release.wait(20)

    before = threading.active_count()
    with pytest.raises(LostInputError, match="'csi://0' has delivered no frame for 0.05 s") as one:
        OpencvInput("csi://0", hang, "it cannot be opened", 0.05)
    assert (one.value.loss, one.value.exit_code) == (Loss.SILENCE, 3)
    for _ in range(5):
        with pytest.raises(LostInputError, match="still hangs inside OpenCV from the try before"):
            OpencvInput("csi://0", hang, "it cannot be opened", 0.05)
    assert threading.active_count() == before + 1
    release.set()
    for thread in opencv_input._hanging:
        thread.join(5)
    assert threading.active_count() == before


def test_an_error_while_opening_is_passed_on() -> None:
    def refuse() -> None:
        raise SourceError("no GStreamer here", hint="install it")

    with pytest.raises(SourceError, match="no GStreamer here"):
        OpencvInput("gst://x", refuse, "", 5)


def test_a_camera_that_does_not_open() -> None:
    with pytest.raises(LostInputError, match="another program may use it"):
        OpencvInput("0", lambda: None, "another program may use it", 5)


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(LostInputError, match="there is no camera /dev/video97") as caught:
        open_source("97")
    assert caught.value.exit_code == 3


class PulledOut:
    """A USB camera whose file is there again only after a while."""

    frame_rate, damaged = 25.0, 0

    def __init__(self, device: Path) -> None:
        self._device = device
        self._left = 3

    def read(self) -> Picture:
        if not self._left:
            self._device.unlink()
            threading.Timer(0.3, self._device.touch).start()
            raise LostInputError(Loss.ERROR, "Could not read from resource", hint="")
        self._left -= 1
        return Picture(np.zeros((8, 8, 3), np.uint8), None)

    def interrupt(self) -> None:
        return None

    def close(self) -> None:
        return None


def test_a_camera_that_is_plugged_in_again_is_found_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking for its file locks nobody out, so there are no long waits as for a password."""
    device = tmp_path / "video7"
    device.touch()
    monkeypatch.setattr(reconnecting, "_FIRST_WAIT_S", 0.1)
    monkeypatch.setattr(cameras, "_by_gstreamer", lambda *arguments: PulledOut(device))
    events: list[str] = []
    live = cameras.LiveOptions(Patience(1, 20), on_event=events.append)
    started_s = time.monotonic()
    source = cameras.open_v4l2(f"v4l2://{device}", str(device), None, live)
    while not source.report().reconnections:
        assert source.read() is not None
    assert time.monotonic() - started_s < 3
    source.close()
    assert "Could not read from resource; opening it again" in events[0]
    assert "is back after" in events[1]


def test_a_camera_is_looked_for_until_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last try comes at the end, though the wait before it would be longer than is left."""
    tries: list[float] = []

    def start() -> PulledOut:
        tries.append(time.monotonic())
        if len(tries) == 1:
            return Once()
        raise LostInputError(Loss.ABSENT, "no such path", hint="look it up")

    source = reconnecting.ReconnectingSource("camera", start, Patience(1, 0.4))
    assert source.read() is not None
    started_s = time.monotonic()
    with pytest.raises(LostInputError) as caught:
        source.read()
    assert caught.value.message == "no such path; it did not come back for 0.4 s"
    assert tries[-1] - started_s >= 0.4


class Once(PulledOut):
    """An input with one frame."""

    def __init__(self) -> None:
        self._left = 1

    def read(self) -> Picture:
        if not self._left:
            raise LostInputError(Loss.ERROR, "lost", hint="")
        return super().read()
