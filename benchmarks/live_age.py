"""How old are the frames of a live stream when their answers are there, beside a plain loop?

    python -m benchmarks.live_age [--seconds N]

A real RTSP server on loopback (gst-rtsp-server, Debian's packages) sends 30 frames of 48x64 a
second. The network only waits, 1/15 s per frame, so the camera has twice its rate. Beside it, in a
process of its own, a plain loop reads the same stream with OpenCV and waits as long per frame.

**age** is the time from a frame's arrival in the process to the network's answer. Its 99th
percentile is held against two of the network's and one frame interval. A plain loop cannot know it,
because frames that it has not read yet wait in the system.

**lag** is how much later an answer comes, after the first one, than its frame was taken after the
first one, by the times that the stream itself has. It is 0 for a loop that keeps up, and both
have it. The figure has the largest age of a run, and the largest lag of the plain loop, in every
second.

First it is checked that frames of both come in the order of their times. Writes
``results/live_age.csv`` and ``docs/findings/live-age.svg``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TextIO
from unittest import mock

import numpy as np
from matplotlib.figure import Figure

from benchmarks.helpers.record import provenance, write_csv
from benchmarks.helpers.waiting_network import network_that_waits
from edgeunet.cli.console import note, print_table
from edgeunet.media.frames import Frame
from edgeunet.media.sinks import NoSink
from edgeunet.specs import Array, Image
from edgeunet.stream import RunOptions, RunSummary, opening, run_pipeline
from tests.bundle.tiny import tiny_bundle
from tests.media.gstreamer_here import RtspServer

NAME = "live_age"
PICTURE = Path(__file__).parent.parent / "docs" / "findings" / "live-age.svg"
RATE = 30.0
WAIT_S = 2 / RATE
_MS_PER_S = 1e3
_CONNECTING_S = 60.0
_SETTLED_S = 15.0
# Shorter ones are drawn as this: a logarithm has no zero.
_SHORTEST_S = 0.01

# Prints "time since its first frame, time of the frame after the first one" in seconds.
PLAIN_LOOP = """
import os, sys, time
os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
import cv2
capture = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG)
wait_s, seconds = (float(word) for word in sys.argv[2:4])
first = None
while True:
    ok, image = capture.read()
    if not ok:
        sys.exit("the stream ended")
    taken_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
    time.sleep(wait_s)
    now_s = time.monotonic()
    first = now_s if first is None else first
    print(now_s - first, taken_s, flush=True)
    if now_s - first > seconds:
        break
"""


class Watched(NoSink):
    """Keeps when each frame's answer came, when the frame was taken, and its age, in seconds."""

    def __init__(self) -> None:
        self.name = "watched"
        self.points: list[tuple[float, float, float]] = []
        self._first: tuple[float, float] | None = None

    def write(self, image: Image, frame: Frame) -> bool:
        now_s = time.monotonic()
        if self._first is None:
            self._first = now_s, frame.timestamp_s
        age_s = now_s - (now_s if frame.arrived_s is None else frame.arrived_s)
        self.points.append((now_s - self._first[0], frame.timestamp_s - self._first[1], age_s))
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long both read")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder, RtspServer() as server:
        log = Path(folder) / "plain.txt"
        words = (server.address, str(WAIT_S), str(seconds))
        load_before = os.getloadavg()[0]
        with log.open("w") as out, _plain(out, *words) as plain:
            # A server may refuse two that connect at the same moment.
            deadline_s = time.monotonic() + _CONNECTING_S
            while not log.stat().st_size and time.monotonic() < deadline_s:
                time.sleep(0.1)
            watched = Watched()
            summary = edgeunet(server.address, Path(folder), seconds, watched)
            plain.wait(60)
        points = np.array(watched.points)
        others = np.loadtxt(log)
    for reader, found in (("the run", points), ("the plain loop", others)):
        # OpenCV knows the stream's clock only after its first frames.
        settled = found[found[:, 0] > _SETTLED_S]
        for index in np.flatnonzero(np.diff(settled[:, 1]) < 0):
            raise SystemExit(
                f"{reader}: frames do not come in the order of their times after second "
                f"{settled[index, 0]:.1f}: {settled[index : index + 2, 1].tolist()}"
            )
    row = figures(summary, points, others)
    row["load"] = f"{load_before:.1f} to {os.getloadavg()[0]:.1f}"
    draw(points, others)
    table = [(name.replace("_", " "), str(value)) for name, value in row.items()]
    print_table("live age", ("figure", "value"), table, text_columns=2)
    note(f"wrote {write_csv(NAME, [{**row, **provenance()}])} and {PICTURE}")


def _plain(out: TextIO, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PLAIN_LOOP, *words], stdout=out)


def edgeunet(address: str, folder: Path, seconds: float, sink: Watched) -> RunSummary:
    """Run the stream for so long through a network that only waits."""
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set)
    bundle = tiny_bundle(folder, 48, 64)
    with (
        network_that_waits(WAIT_S),
        mock.patch.object(opening, "open_sink", return_value=sink),
    ):
        timer.start()
        try:
            return run_pipeline(RunOptions(address, bundle.path, ("watched",)), stop=stop)
        finally:
            timer.cancel()


def figures(summary: RunSummary, points: Array, others: Array) -> dict[str, object]:
    """Return what the page states.

    points, others: (N, 3) and (N, 2), seconds of answers and of frames; points have the age, too.
    """
    if summary.latency_ms is None or summary.age_ms is None:
        raise SystemExit("no frame came")
    limit_ms = 2 * summary.latency_ms.p99 + _MS_PER_S / RATE
    return {
        "seconds": round(float(points[-1, 0]), 1),
        "frames": summary.frames,
        "dropped": summary.dropped,
        "network_p99_ms": round(summary.latency_ms.p99, 1),
        "age_p50_ms": round(summary.age_ms.p50, 1),
        "age_p99_ms": round(summary.age_ms.p99, 1),
        "limit_ms": round(limit_ms, 1),
        "largest_lag_s": round(float((points[:, 0] - points[:, 1]).max()), 3),
        "plain_frames": len(others),
        "plain_lag_at_the_end_s": round(float(others[-1, 0] - others[-1, 1]), 1),
    }


def draw(points: Array, others: Array) -> None:
    """Draw the largest age of a run, and the largest lag of the plain loop, in every second."""
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for found, late_s, name in (
        (others, others[:, 0] - others[:, 1], "a plain OpenCV loop: lag"),
        (points, points[:, 2], "edgeunet run: age from arrival"),
    ):
        second = found[:, 0].astype(int)
        numbers = np.unique(second)
        worst = [max(late_s[second == number].max(), _SHORTEST_S) for number in numbers]
        axes.plot(numbers / 60, worst, label=name, linewidth=1)
    axes.set_yscale("log")
    axes.set_xlabel("time (min)")
    axes.set_ylabel("seconds")
    axes.set_title("RTSP at 30 frames/s, a network that takes 15 frames/s", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="center right")
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
