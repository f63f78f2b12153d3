"""Cameras through OpenCV that are missing, hang, or deliver nothing."""

from __future__ import annotations

import threading

import pytest

from edgeunet.errors import SourceError
from edgeunet.media.live import opencv_input
from edgeunet.media.live.live_inputs import Loss, LostInputError
from edgeunet.media.live.opencv_input import OpencvInput
from edgeunet.media.sources import open_source


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
