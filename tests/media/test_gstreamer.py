"""Pipelines through GStreamer's binding: ends, errors, formats, and what hangs."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.media.gstreamer_here import free_port, interpreter, needs_gstreamer, run_with_gstreamer
from tests.media.test_rtsp import follow

pytestmark = needs_gstreamer

BALL = "videotestsrc num-buffers={count} pattern=smpte ! video/x-raw,{caps},framerate=30/1"


def ball(count: int = 20, caps: str = "format=BGR,width=66,height=48") -> str:
    return BALL.format(count=count, caps=caps)


def test_a_regular_end_is_no_error_and_no_frame_is_lost() -> None:
    told = follow(f"gst://{ball()} ! appsink sync=true")
    assert told[0] == {"size": [48, 66], "rate": 30.0}
    assert told[1]["ended"] is True
    counts = told[2]
    total = sum(int(str(number)) for number in (told[1]["frames"], *list(counts.values())[1:]))
    assert total == 20
    assert counts["reconnections"] == 0
    assert told[-1]["threads"] == ["MainThread"]


MEANS = """
import json, sys
from edgeunet.media.sources import open_source
for text in sys.argv[1:]:
    source = open_source(text, None)
    image = source.read().image
    print(json.dumps([list(image.shape), float(image.mean())]))
    source.close()
"""


def test_frames_of_any_format_are_converted() -> None:
    """Odd widths have padded rows; a grey frame has the brightness of the colours."""
    forms = ["NV12", "I420", "YUY2", "BGRx", "RGB", "GRAY8"]
    texts = [
        f"gst://{ball(3)} ! videoconvert ! video/x-raw,format={form} ! appsink" for form in forms
    ]
    printed = run_with_gstreamer(MEANS, f"gst://{ball(3)} ! appsink", *texts)
    (_, wanted), *found = (json.loads(line) for line in printed.splitlines())
    assert [shape for shape, _ in found] == [[48, 66, 3]] * len(forms)
    for form, (_, mean) in zip(forms, found, strict=True):
        assert mean == pytest.approx(wanted, abs=12 if form == "GRAY8" else 3), form


def test_a_wrong_element_is_named_at_once() -> None:
    told = follow("gst://videotestsrc ! nosuchelement ! appsink")
    assert (told[0]["error"], told[0]["code"]) == ("UsageError", 2)
    assert told[0]["message"] == (
        'the GStreamer pipeline cannot be built: no element "nosuchelement"'
    )
    assert float(str(told[0]["took_s"])) < 3


def test_an_error_while_running_is_given() -> None:
    told = follow("gst://filesrc location=/nonexistent.mp4 ! decodebin ! appsink")
    assert (told[0]["error"], told[0]["code"]) == ("LostInputError", 3)
    assert "Resource not found" in str(told[0]["message"])


def test_a_pipeline_without_its_end() -> None:
    told = follow("gst://videotestsrc ! appsink ! fakesink")
    assert told[0]["message"] == "the GStreamer pipeline does not end in an appsink"


SENDS = """
import sys, gi
gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst
Gst.init(None)
pipeline = Gst.parse_launch(sys.argv[1])
pipeline.set_state(Gst.State.PLAYING)
GLib.MainLoop().run()
"""


def test_srt_is_received() -> None:
    needs = "from edgeunet.media.gstreamer_binding import has_element as has; "
    if "True" not in run_with_gstreamer(needs + "print(has('srtsink'))"):
        pytest.skip("needs SRT in Debian's gstreamer1.0-plugins-bad")
    port = free_port()
    words = (
        "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=30/1 ! "
        "x264enc tune=zerolatency key-int-max=10 ! mpegtsmux ! "
        f"srtsink uri=srt://:{port}?mode=listener wait-for-connection=false"
    )
    with subprocess.Popen(
        [interpreter() or "", "-c", SENDS, words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as sender:
        try:
            told = follow(f"srt://127.0.0.1:{port}", timeout_s=20, frames=3)
        finally:
            sender.kill()
    assert told[0]["size"] == [48, 64]
    assert told[1]["frames"] == 3


HANGS = """
import os, threading, time
from gi.repository import GLib
from edgeunet.media.live.gstreamer import GstreamerInput
from edgeunet.media.live.live_inputs import LostInputError
# Else GLib keeps up to two threads that have nothing to do, one or two by chance.
GLib.ThreadPool.set_max_unused_threads(0)
def left():
    of_process = [len(os.listdir(f"/proc/self/{what}")) for what in ("fd", "task")]
    return threading.active_count(), *of_process
def attempt():
    # A source of which nothing comes: a port that nobody sends to.
    try:
        one = GstreamerInput("x", "udpsrc port=0 ! h264parse ! decodebin ! appsink", 0.3)
        one.read()
    except LostInputError as lost:
        one.close()
        return lost.loss.value
attempt(); attempt()
before = left()
started_s = time.monotonic()
losses = {attempt() for _ in range(8)}
took_s = time.monotonic() - started_s
time.sleep(0.3)
after = left()
print(losses, took_s < 8, after[0] - before[0], after[1] - before[1], max(0, after[2] - before[2]))
"""


def test_what_hangs_is_closed_at_once_and_leaves_nothing() -> None:
    assert run_with_gstreamer(HANGS).strip() == "{'silence'} True 0 0 0"
