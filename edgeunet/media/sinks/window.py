"""Sink that shows frames in a window, which has a process of its own.

Qt ends the process without a display, so that is checked first.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np

from edgeunet.errors import SinkError
from edgeunet.media.frames import Frame
from edgeunet.media.sinks import window_process
from edgeunet.specs import Image

_TIMEOUT_S = 2.0
_X11_PORT = 6000


class WindowSink:
    """Shows frames until the user closes the window or presses q or Escape."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        if not has_display():
            raise SinkError(
                "there is no display to open a window on",
                hint="write to a file instead, or log in with ssh -X",
            )
        self._process = subprocess.Popen(
            [sys.executable, "-m", window_process.__name__, f"edgeunet: {title}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def write(self, image: Image, frame: Frame) -> bool:
        frames, answers = self._process.stdin, self._process.stdout
        if frames is None or answers is None:  # both are pipes
            return False
        try:
            frames.write(window_process.HEADER.pack(*image.shape[:2]))
            frames.write(np.ascontiguousarray(image).data)
            frames.flush()
            answer = answers.read(1)
        except OSError:
            answer = b""
        if answer == window_process.NO_WINDOWS:
            raise SinkError(
                "this OpenCV cannot open windows",
                hint="opencv-python can, opencv-python-headless cannot; or write to a file",
            )
        if not answer:
            raise SinkError(
                "the window is gone, and so may be its display",
                hint="log in with ssh -X again, or write to a file",
            )
        return answer == window_process.SHOWN

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def discard(self) -> None:
        self.finish()

    def warnings(self) -> tuple[str, ...]:
        return ()


def has_display() -> bool:
    """Return whether a window can be opened: a display is named and answers."""
    if sys.platform != "linux":
        return True
    wayland = os.environ.get("WAYLAND_DISPLAY")
    if wayland:
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR", "/run/user/0"))
        if (runtime / wayland).exists():
            return True
    host, _, number = os.environ.get("DISPLAY", "").rpartition(":")
    screen = number.partition(".")[0]
    if not (screen.isascii() and screen.isdigit()):
        return False
    if host in ("", "unix"):
        return _answers(socket.AF_UNIX, f"/tmp/.X11-unix/X{screen}")
    return _answers(socket.AF_INET, (host, _X11_PORT + int(screen)))


def _answers(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(_TIMEOUT_S)
        try:
            probe.connect(address)
        except OSError:
            return False
    return True
