"""What of GStreamer this machine has: an interpreter with its binding, and a server of RTSP."""

from __future__ import annotations

import functools
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
_IMPORTS = (
    "import gi, numpy; gi.require_version('Gst', '1.0'); from gi.repository import Gst; "
    "Gst.init(None); assert Gst.ElementFactory.find('x264enc')"
)
_SERVER = "import gi; gi.require_version('GstRtspServer', '1.0')"
PACKAGES = (
    "needs Debian's python3-gi, python3-gst-1.0, gir1.2-gst-rtsp-server-1.0, "
    "gstreamer1.0-plugins-good, -bad, -ugly, -libav and python3-numpy"
)


@functools.cache
def interpreter() -> str | None:
    """Return a Python that has GStreamer's binding, the server and numpy; None without one."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            subprocess.run(
                [python, "-c", f"{_IMPORTS}; {_SERVER}"],
                check=True,
                capture_output=True,
                timeout=60,
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return python
    return None


needs_gstreamer = pytest.mark.skipif(interpreter() is None, reason=PACKAGES)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RtspServer:
    """A server in a process of its own, on a port of loopback."""

    def __init__(
        self,
        size: str = "48x64",
        user: tuple[str, str] | None = None,
        port: int | None = None,
        codec: str = "h264",
    ) -> None:
        self.port = port or free_port()
        self.address = f"rtsp://127.0.0.1:{self.port}/cam"
        script = Path(__file__).with_name("rtsp_server.py")
        self._process = subprocess.Popen(
            [interpreter() or "", str(script), str(self.port), size, codec, *(user or ())],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> RtspServer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.signal(signal.SIGCONT)
        self.kill()


def run_with_gstreamer(code: str, *arguments: str, timeout_s: float = 60) -> str:
    """Run Python code where GStreamer's binding is, with this checkout; return what it prints."""
    done = subprocess.run(
        [interpreter() or "", "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
