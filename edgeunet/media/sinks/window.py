"""Sink that shows frames in a window.

Qt ends the process without a display, so that is checked first.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from edgeunet.errors import SinkError
from edgeunet.media.frames import Frame
from edgeunet.specs import Image

_TIMEOUT_S = 2.0
_X11_PORT = 6000


class WindowSink:
    """Shows frames until the user closes the window or presses q or Escape."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self._title = f"edgeunet: {title}"
        if not has_display():
            raise SinkError(
                "there is no display to open a window on",
                hint="write to a file instead, or log in with ssh -X",
            )

    def write(self, image: Image, frame: Frame) -> bool:
        from edgeunet.media import opencv

        return opencv.show(self._title, image)

    def finish(self) -> None:
        from edgeunet.media import opencv

        opencv.close_windows()

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
