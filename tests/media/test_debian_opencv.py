"""Cameras through Debian's OpenCV 4.6, where neither GStreamer's binding nor PyAV is there."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest

from tests.media.gstreamer_here import (
    REPOSITORY,
    RtspServer,
    interpreter,
    needs_gstreamer,
    run_with_gstreamer,
)
from tests.media.test_rtsp import FOLLOW


def has_opencv() -> bool:
    code = (
        "import cv2, re; "
        "raise SystemExit(not re.search('GStreamer: +YES', cv2.getBuildInformation()))"
    )
    done = subprocess.run([interpreter() or "false", "-c", code], capture_output=True, check=False)
    return done.returncode == 0


pytestmark = [
    needs_gstreamer,
    pytest.mark.skipif(
        interpreter() is not None and not has_opencv(), reason="needs Debian's python3-opencv"
    ),
]
WITHOUT = "import sys\nsys.modules['gi'] = sys.modules['av'] = None\n"


def follow(
    text: str, timeout_s: float, frames: int, reconnect_s: float = 0
) -> list[dict[str, object]]:
    words = (text, str(timeout_s), str(reconnect_s), str(frames))
    return [json.loads(line) for line in run_with_gstreamer(WITHOUT + FOLLOW, *words).splitlines()]


def test_what_opencv_cannot_know_is_said_and_a_dead_server_is_a_loss() -> None:
    with RtspServer() as server:
        words = (server.address, "5", "0", "10000")
        with subprocess.Popen(
            [interpreter() or "", "-c", WITHOUT + FOLLOW, *words],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            told, opened = (json.loads(process.stdout.readline()) for _ in range(2))
            server.kill()
            lost, *_, left = (json.loads(line) for line in process.stdout)
    assert "which cannot say why a camera fails" in told["event"]
    assert "squeezes frames that change their size" in told["event"]
    assert opened["size"] == [48, 64]
    assert lost["message"] == f"'{server.address}' stopped delivering"
    assert lost["code"] == 3
    assert left["threads"] == ["MainThread"]


HANGS = (
    WITHOUT
    + """
import os, threading, time
from edgeunet.media.live.live_inputs import LostInputError
from edgeunet.media.live.reconnecting import Patience
from edgeunet.media.sources import LiveOptions, open_source
def attempt():
    try:
        open_source(sys.argv[1], None, LiveOptions(Patience(0.3, 0)))
    except LostInputError as lost:
        return lost.message
def left():
    return threading.active_count(), len(os.listdir("/proc/self/fd"))
print(attempt())
before = left()
print([attempt() for _ in range(4)][-1])
print([after - earlier for after, earlier in zip(left(), before)])
os._exit(0)
"""
)


def test_of_openings_that_hang_only_one_is_left() -> None:
    """OpenCV cannot be told to give up, so it is not asked a second time while it hangs."""
    pipeline = "gst://udpsrc port=0 ! h264parse ! avdec_h264 ! appsink"
    first, second, growth = run_with_gstreamer(HANGS, pipeline).splitlines()
    assert "has delivered no frame for 0.3 s" in first
    assert "still hangs inside OpenCV from the try before" in second
    assert growth == "[0, 0]"


def test_pipelines_without_the_binding() -> None:
    nv12 = "video/x-raw,format=NV12,width=66,height=48,framerate=30/1"
    told = follow(f"gst://videotestsrc is-live=true num-buffers=90 ! {nv12} ! appsink", 5, 3)
    assert (told[1]["size"], told[2]["frames"]) == ([48, 66], 3)
    started_s = time.monotonic()
    told = follow("gst://videotestsrc ! nosuchelement ! appsink", 5, 3)
    assert told[0]["message"] == "the GStreamer pipeline does not start; gst-launch-1.0 says why"
    assert time.monotonic() - started_s < 10
