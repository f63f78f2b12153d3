"""Cameras that are missing, hang, or deliver nothing."""

from __future__ import annotations

import threading

import pytest

from edgeunet.errors import SourceError
from edgeunet.media.sources import cameras


def test_a_camera_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "_START_S", 0.05)
    never = threading.Event()

    def hang() -> None:
        never.wait(5)

    with pytest.raises(SourceError, match="'csi://0' delivers no frame within 0.05 s") as caught:
        cameras._live("csi://0", hang, "it cannot be opened")
    assert caught.value.hint == "it cannot be opened: check that it is connected"
    never.set()


def test_an_error_while_opening_is_passed_on() -> None:
    def refuse() -> None:
        raise SourceError("no GStreamer here", hint="install it")

    with pytest.raises(SourceError, match="no GStreamer here"):
        cameras._live("gst://x", refuse, "")


def test_a_camera_that_does_not_open() -> None:
    with pytest.raises(SourceError, match="another program may use it"):
        cameras._live("0", lambda: None, "another program may use it")
