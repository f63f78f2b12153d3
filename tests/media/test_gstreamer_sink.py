"""Sinks that are GStreamer pipelines: frames and times as given, reasons at once, and RTSP out."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")

from tests.media.clips import picture  # noqa: E402
from tests.media.gstreamer_here import (  # noqa: E402
    free_port,
    interpreter,
    needs_gstreamer,
    run_with_gstreamer,
)

pytestmark = needs_gstreamer

# Writes frames of test pictures into a sink, at times in a list; prints a JSON line.
FEED = """
import json, sys, time
import numpy as np
from edgeunet.media.frames import Frame, StreamShape
from edgeunet.media.sinks import gstreamer_sink
text, height, width, times, pause_s, encoders = json.loads(sys.argv[1])
if encoders:
    gstreamer_sink.ENCODERS = tuple(encoders)
rows, columns = np.mgrid[0:height, 0:width]
started_s = time.monotonic()
try:
    sink = gstreamer_sink.GstreamerSink(text, StreamShape(height, width, 25.0, None))
    for index, time_s in enumerate(times):
        planes = [rows * 2 + index, columns + 3 * index, rows + columns]
        image = np.stack(planes, axis=2).astype(np.uint8)
        sink.write(image, Frame(index, time_s, image))
        time.sleep(pause_s)
    sink.finish()
    print(json.dumps({"name": sink.name}))
except Exception as error:
    print(json.dumps({"error": type(error).__name__, "message": error.message,
                      "hint": error.hint, "took_s": time.monotonic() - started_s}))
"""


def feed(
    text: str,
    times_s: list[float],
    *,
    height: int = 48,
    width: int = 64,
    pause_s: float = 0.0,
    encoders: tuple[str, ...] = (),
) -> dict[str, str]:
    words = json.dumps([text, height, width, times_s, pause_s, encoders])
    told: dict[str, str] = json.loads(run_with_gstreamer(FEED, words))
    return told


def frames_of(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        return [
            (float(frame.time), frame.to_ndarray(format="bgr24"))
            for frame in container.decode(video=0)
        ]


def test_every_pixel_goes_in_also_with_padded_rows(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    told = feed(f"gst://filesink location={path}", [0.0, 0.04], width=63)
    assert told == {"name": f"gst://filesink location={path}"}
    rows = np.frombuffer(path.read_bytes(), np.uint8).reshape(2, 48, 192)
    for index in range(2):
        assert np.array_equal(rows[index, :, :189].reshape(48, 63, 3), picture(index, 48, 63))


def test_frames_have_their_times_and_an_encoder_is_found(tmp_path: Path) -> None:
    """Of two encoders the first has an element and fails, as on a board without the hardware."""
    path = tmp_path / "out.mkv"
    times_s = [0.0, 0.04, 0.08, 1.0, 1.04]
    broken, good = "identity error-after=1", "x264enc tune=zerolatency qp-max=10"
    feed(
        f"gst://{{h264}} ! h264parse ! matroskamux ! filesink location={path}",
        times_s,
        encoders=("nosuchelement", broken, good),
    )
    found = frames_of(path)
    assert [round(time_s - found[0][0], 2) for time_s, _ in found] == times_s
    worst = max(np.abs(image.astype(int) - picture(i)).mean() for i, (_, image) in enumerate(found))
    assert worst < 6


BOARDS = """
import json
from edgeunet.media.sinks import gstreamer_sink as sink
from edgeunet.media.gstreamer_binding import Gst
looked_up, tried = [], []
def has_element(name):
    looked_up.append(name)
    return True
sink.has_element = has_element
def chosen(works):
    tried.clear()
    sink._codes = lambda encoder: tried.append(encoder) or works in encoder
    return sink.h264_encoder()
print(json.dumps([chosen("nvv4l2h264enc"), chosen("x264enc"), list(tried), looked_up]))
# The pipeline's notation, with elements of this machine in the place of those of a Jetson.
text = sink.ENCODERS[0].replace("nvvidconv", "identity")
Gst.init(None)
Gst.parse_launch(f"appsrc ! videoconvert ! {text.split(' ! nvv4l2')[0]} ! fakesink")
"""


def test_a_jetsons_encoder_is_taken_where_it_codes_and_passed_over_on_orin_nano() -> None:
    jetson, nano, tried, looked_up = json.loads(run_with_gstreamer(BOARDS))
    assert jetson.startswith("nvvidconv ! video/x-raw(memory:NVMM),format=NV12 ! nvv4l2h264enc ")
    assert nano.startswith("x264enc ")
    assert tried[0] == jetson
    assert looked_up[:2] == ["nvvidconv", "nvv4l2h264enc"]


STUCK = """
from edgeunet.media.sinks import gstreamer_sink as sink
sink._PROBE_NS = 200_000_000
sink.ENCODERS = ("identity sleep-time=500000", "x264enc")
print(sink.h264_encoder())
"""


def test_an_encoder_that_hangs_is_passed_over() -> None:
    assert run_with_gstreamer(STUCK).strip() == "x264enc"


def test_reasons_are_given_at_once_and_passwords_never(tmp_path: Path) -> None:
    told = feed("gst://nosuchelement ! fakesink", [0.0])
    assert (told["error"], told["message"]) == (
        "UsageError",
        'the GStreamer pipeline cannot be built: no element "nosuchelement"',
    )
    told = feed(f"gst://filesink location={tmp_path}/no/folder", [0.0])
    assert told["error"] == "SinkError"
    assert "failed after 0 frames: Could not open file" in told["message"]
    told = feed("gst://identity error-after=3 ! fakesink", [i / 25 for i in range(50)])
    assert told["error"] == "SinkError"
    assert "Failed after iterations as requested" in told["message"]
    told = feed(f"rtsp://me:s3cret@127.0.0.1:{free_port()}/live", [0.0] * 3, pause_s=0.1)
    assert told["error"] == "SinkError"
    assert "rtsp://me:***@127.0.0.1" in told["message"]
    assert "s3cret" not in told["message"] + told["hint"]
    assert float(told["took_s"]) < 10


def test_frames_arrive_at_a_server(tmp_path: Path) -> None:
    needs = "from edgeunet.media.gstreamer_binding import has_element as has; "
    if "True" not in run_with_gstreamer(needs + "print(has('rtspclientsink'))"):
        pytest.skip("needs Debian's gstreamer1.0-rtsp")
    port, path = free_port(), tmp_path / "kept.mkv"
    script = Path(__file__).with_name("recording_server.py")
    with subprocess.Popen(
        [interpreter() or "", str(script), str(port), str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        address = f"rtsp://127.0.0.1:{port}/live"
        told = feed(address, [index / 25 for index in range(50)], pause_s=0.04)
        server.kill()
    assert told == {"name": address}
    found = frames_of(path)
    assert len(found) >= 25
    assert found[0][1].shape == (48, 64, 3)
    steps = np.diff([time_s for time_s, _ in found])
    assert np.abs(steps - 0.04).max() < 0.02


# Sends a live pattern to a server, and prints a JSON line about everything that is said.
SEND = """
import json, sys
from edgeunet.media.frames import StreamShape
from edgeunet.media.sinks import open_sink
from edgeunet.media.sources import open_source
text, frames = sys.argv[1:3]
source = open_source("test://?size=48x64&fps=25&live=1&frames=" + frames)
sink = open_sink(text, StreamShape(48, 64, 25.0, None), source, None,
                 lambda line: print(json.dumps(line), flush=True))
while (frame := source.read()) is not None:
    sink.write(frame.image, frame)
sink.finish()
print(json.dumps(sink.lost), flush=True)
print(json.dumps(sink.warnings()), flush=True)
"""


def recording(port: int, path: Path) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("recording_server.py")
    server = subprocess.Popen(
        [interpreter() or "", str(script), str(port), str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    return server


def test_a_server_that_is_killed_gets_frames_again_when_it_is_back(tmp_path: Path) -> None:
    needs = "from edgeunet.media.gstreamer_binding import has_element as has; "
    if "True" not in run_with_gstreamer(needs + "print(has('rtspclientsink'))"):
        pytest.skip("needs Debian's gstreamer1.0-rtsp")
    port = free_port()
    first = recording(port, tmp_path / "first.mkv")

    def kill() -> None:
        first.kill()
        first.wait()

    killing = threading.Timer(4.0, kill)
    killing.start()
    address = f"rtsp://127.0.0.1:{port}/live"
    started: list[subprocess.Popen[str]] = []
    returning = threading.Timer(5.5, lambda: started.append(recording(port, tmp_path / "2.mkv")))
    returning.start()
    told = [json.loads(line) for line in run_with_gstreamer(SEND, address, "300").splitlines()]
    returning.join()
    for server in (first, *started):
        server.kill()
        server.communicate()
    lost, back, frames, warnings = told
    assert lost.startswith(f"warning: '{address}' failed after ")
    assert back.startswith(f"{address} is back after ")
    assert 10 < frames < 200
    assert warnings == [f"{address} was gone 1 times, and {frames} frames with it"]
    assert len(frames_of(tmp_path / "first.mkv")) > 25
    assert len(frames_of(tmp_path / "2.mkv")) > 25
