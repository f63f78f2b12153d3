"""Does a stream overlap its stages, and does its memory stay the same?

    python -m benchmarks.streaming [--part NAME]... [--frames N] [--steady N]

**overlap**: a network that only waits 40 ms per frame, while a clip is read and written at the same
time. Stated are the times of reading, of the network and of writing alone, one after the other, and
the share of a bare loop's rate that a run reaches. The bare loop does nothing but the network. Runs
and loops alternate, and the median counts.

**processor**: the same share in processor time, which other work on the machine changes less. A
bundle with random weights, of 256x384, on one thread, from a clip into another. The bare loop
reads, runs and writes one after the other in one thread. Opening is taken off by runs of two
lengths. Loops and runs alternate, and the median of the pairs counts.

**steady**: a camera that is as fast as the network, is lost every 1000 frames and comes back; a
recording in segments of five seconds that is limited to 2 MiB; ten viewers of the preview that come
and go, with two pictures a second. The slope is that of
a straight line through the resident memory over the second half of the frames. Threads and open
files are those at the half and at the end.

The network is a mean over 3x3 pixels of frames of 48x64, so that what is measured is the stream
around it, but for **processor**. First it is checked that every frame of the clip is written once
and in order. Writes ``results/streaming.csv``; rows of parts that are not run stay. 100,000 frames
take minutes on a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.helpers.priority import priority
from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from benchmarks.helpers.waiting_network import network_that_waits
from edgeunet.bundle import Bundle, open_bundle
from edgeunet.cli import main as cli_main
from edgeunet.cli.console import note, print_table
from edgeunet.media import sources
from edgeunet.media.capture import LiveSource
from edgeunet.media.frames import Source, StreamShape
from edgeunet.media.live import reconnecting
from edgeunet.media.live.live_inputs import Loss, LostInputError, Picture
from edgeunet.media.live.reconnecting import Patience, ReconnectingSource
from edgeunet.media.sinks import open_sink
from edgeunet.media.sinks.recording_options import RecordingOptions
from edgeunet.run.executor import Executor
from edgeunet.specs import Array, Image
from edgeunet.stream import RunOptions, run_pipeline
from edgeunet.stream.preview import pictures
from edgeunet.stream.preview.preview_options import PreviewOptions
from edgeunet.stream.run_summary import RunStatus
from edgeunet.units import KIB, MIB
from tests.bundle.tiny import tiny_bundle

NAME = "streaming"
SIZE = (48, 64)
WAIT_S = 0.04
RATE = 250.0
LOST_EVERY = 1000
VIEWERS = 10
PARTS = ("overlap", "processor", "steady")
PAIRS = 5
_LENGTHS = (5, 45)
_MS_PER_S = 1e3
_MOST_SAMPLES = 20_000
# A frame that was dropped is followed by another one after so long.
_LONGEST_PAUSE_S = 0.1
_PICTURES_S = 0.5

VIEWER = """
import random, socket, sys, time
while True:
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5) as connection:
            connection.sendall(b"GET /video/denoised HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n")
            end = time.monotonic() + random.uniform(0.2, 3)
            while time.monotonic() < end and connection.recv(65536):
                pass
    except OSError:
        time.sleep(0.5)
"""


class Flaky:
    """A camera that is lost again and again.

    wanted: released by the network after each frame, so that the camera is as fast as a busy
        machine allows and no faster.
    """

    frame_rate = RATE
    damaged = 0
    wanted = threading.Semaphore(2)

    def __init__(self) -> None:
        self._given = 0
        self._image: Image = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), dtype=np.uint8)

    def read(self) -> Picture:
        self.wanted.acquire(timeout=_LONGEST_PAUSE_S)
        self._given += 1
        if self._given > LOST_EVERY:
            raise LostInputError(Loss.ERROR, "the cable is out", hint="plug it in")
        return Picture(self._image.copy(), None)

    def interrupt(self) -> None:
        return None

    def close(self) -> None:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all of them")
    parser.add_argument("--frames", type=int, default=150, help="of the clip, for overlap")
    parser.add_argument("--steady", type=int, default=100_000, help="frames of the camera")
    parser.add_argument("--minutes", type=float, default=1440, help="the longest that steady takes")
    arguments = parser.parse_args()
    path = RESULTS / f"{NAME}.csv"
    rows = {str(row["what"]): row for row in (read_csv(path) if path.exists() else [])}
    with tempfile.TemporaryDirectory() as folder:
        bundle = tiny_bundle(Path(folder), *SIZE)
        for part in arguments.part or PARTS:
            if part == "overlap":
                row = overlap(bundle, Path(folder), arguments.frames)
            elif part == "processor":
                row = processor(Path(folder))
            else:
                row = steady(bundle, Path(folder), arguments.steady, arguments.minutes)
            rows[part] = {**row, **provenance()}
            table = [(name, str(value)) for name, value in row.items() if name != "what"]
            print_table(part, ("figure", "value"), table, text_columns=2)
    keys = {key: "" for row in rows.values() for key in row}
    ordered = [{**keys, **rows[part]} for part in PARTS if part in rows]
    note(f"wrote {write_csv(NAME, ordered)}")


def overlap(bundle: Bundle, folder: Path, frames: int) -> dict[str, object]:
    """Return the times of the stages alone, and the share of the bare loop's rate."""
    clip = folder / "clip.mkv"
    source = sources.open_source(f"test://?size={SIZE[0]}x{SIZE[1]}&frames={frames}")
    read_s, write_s = _alone(source, clip, frames)
    shares = []
    with network_that_waits(WAIT_S):
        for turn in range(3):
            start_s = time.perf_counter()
            for _ in range(frames):
                time.sleep(WAIT_S)
            bare_s = time.perf_counter() - start_s
            target = folder / f"out{turn}.mkv"
            summary = run_pipeline(RunOptions(str(clip), bundle.path, (str(target),)))
            if not summary.complete or summary.sinks[0].written != frames:
                raise SystemExit(f"only {summary.sinks[0].written} of {frames} frames were written")
            shares.append(summary.frames_per_second * bare_s / frames)
    return {
        "what": "overlap",
        "frames": frames,
        "read_ms": round(1e3 * read_s, 2),
        "network_ms": 1e3 * WAIT_S,
        "write_ms": round(1e3 * write_s, 2),
        "share_of_bare_loop": round(statistics.median(shares), 3),
        "priority": priority(),
        "load": round(os.getloadavg()[0], 1),
    }


def _alone(source: Source, clip: Path, frames: int) -> tuple[float, float]:
    """Write a clip and read it again; return the seconds per frame of reading and of writing."""
    shape = StreamShape(source.height, source.width, source.frame_rate, frames)
    sink = open_sink(str(clip), shape, source)
    wrote_s = 0.0
    while (frame := source.read()) is not None:
        start_s = time.perf_counter()
        sink.write(frame.image, frame)
        wrote_s += time.perf_counter() - start_s
    sink.finish()
    again = sources.open_source(str(clip))
    start_s = time.perf_counter()
    indices = []
    while (frame := again.read()) is not None:
        indices.append(frame.index)
    read_s = time.perf_counter() - start_s
    again.close()
    if indices != list(range(frames)):
        raise SystemExit("the clip does not have its frames once and in order")
    return read_s / frames, wrote_s / frames


def processor(folder: Path) -> dict[str, object]:
    """Return the processor time of a frame in a bare loop and in a run, and their ratio."""
    height, width = 256, 384
    bundle = folder / "random.bundle"
    size = f"{height}x{width}"
    words = ["export", "--model", "unetmm", "--width", "8", "--size", size, "--random-weights"]
    if cli_main([*words, "--out", str(bundle)]):
        raise SystemExit("the bundle could not be exported")
    shape = StreamShape(height, width, 25.0, None)
    clips = {}
    for frames in _LENGTHS:
        clips[frames] = folder / f"processor{frames}.mp4"
        pattern = sources.open_source(f"test://?size={size}&frames={frames}")
        _alone(pattern, clips[frames], frames)

    def bare(frames: int, *, network: bool = True, write: bool = True) -> None:
        source = sources.open_source(str(clips[frames]))
        sink = open_sink(str(folder / "bare.mp4"), shape, source)
        executor = Executor(open_bundle(bundle), threads=1)
        frame = source.read()
        while frame is not None:
            image = executor.run(frame.image)["denoised"][0] if network else frame.image
            if write:
                sink.write(image, frame)
            frame = source.read()
        executor.close()
        source.close()
        sink.finish() if write else sink.discard()

    def run(frames: int) -> None:
        options = RunOptions(str(clips[frames]), bundle, (str(folder / "run.mp4"),), threads=1)
        if run_pipeline(options).sinks[0].written != frames:
            raise SystemExit("a run did not write every frame")

    def per_frame_ms(work: Callable[[int], None]) -> float:
        taken_s = []
        for frames in _LENGTHS:
            start_s = time.process_time()
            work(frames)
            taken_s.append(time.process_time() - start_s)
        return _MS_PER_S * (taken_s[1] - taken_s[0]) / (_LENGTHS[1] - _LENGTHS[0])

    kinds: list[Callable[[int], None]] = [
        bare,
        run,
        partial(bare, network=False),
        partial(bare, network=False, write=False),
    ]
    bare(_LENGTHS[0])
    run(_LENGTHS[0])
    taken = np.array([[per_frame_ms(work) for work in kinds] for _ in range(PAIRS)])
    bare_ms, run_ms, coding_ms, read_ms = np.median(taken, axis=0)
    return {
        "what": "processor",
        "frames": PAIRS * sum(_LENGTHS),
        "read_ms": round(float(read_ms), 2),
        "network_ms": round(float(bare_ms - coding_ms), 2),
        "write_ms": round(float(coding_ms - read_ms), 2),
        "bare_ms": round(float(bare_ms), 2),
        "run_ms": round(float(run_ms), 2),
        "share_of_bare_loop": round(float(np.median(taken[:, 0] / taken[:, 1])), 3),
        "load": round(os.getloadavg()[0], 1),
    }


def steady(bundle: Bundle, folder: Path, frames: int, minutes: float) -> dict[str, object]:
    """Return the slope of memory, and threads and open files at the half and at the end."""
    # Made once, so that what is measured is not the measuring.
    samples = np.zeros((_MOST_SAMPLES, 4))
    taken = 0
    viewers: list[subprocess.Popen[bytes]] = []
    stop = threading.Event()
    timer = threading.Timer(60 * minutes, stop.set)

    def look(status: RunStatus) -> None:
        nonlocal taken
        files = len(list(Path("/proc/self/fd").iterdir()))
        if taken % 60 == 0:
            note(f"{status.frames} frames, {status.resident_bytes // KIB} KiB")
        if taken < _MOST_SAMPLES:
            samples[taken] = status.frames, status.resident_bytes, threading.active_count(), files
            taken += 1

    def begin_viewers(line: str) -> None:
        if line.startswith("the preview is at "):
            port = line.rstrip("/").rpartition(":")[2]
            words = [sys.executable, "-c", VIEWER, port]
            viewers.extend(subprocess.Popen(words) for _ in range(VIEWERS))

    def camera(name: str, rest: str, size: object, live: object) -> Source:
        patience = Patience(5, float("inf"))
        return LiveSource(ReconnectingSource("camera", Flaky, patience), silence_s=None)

    original = Executor.run

    def counted(
        self: Executor, image: Image, into: Mapping[str, Array] | None = None
    ) -> Mapping[str, Array]:
        Flaky.wanted.release()
        return original(self, image, into)

    known = sources.SCHEMES["rtsp"]
    first_wait_s = reconnecting._FIRST_WAIT_S
    sources.SCHEMES["rtsp"] = camera
    reconnecting._FIRST_WAIT_S = 0.02
    pictures_s = pictures._LONGEST_RATE_S
    pictures._LONGEST_RATE_S = _PICTURES_S
    Executor.run = counted  # type: ignore[method-assign]
    timer.start()
    try:
        summary = run_pipeline(
            RunOptions(
                "rtsp://camera",
                bundle.path,
                (f"{folder}/recordings/",),
                frame_limit=frames,
                recording=RecordingOptions(5.0, keep_bytes=2 * MIB, least_free_bytes=0),
                preview=PreviewOptions(port=0),
            ),
            on_note=begin_viewers,
            on_status=look,
            stop=stop,
        )
    finally:
        sources.SCHEMES["rtsp"] = known
        reconnecting._FIRST_WAIT_S = first_wait_s
        timer.cancel()
        pictures._LONGEST_RATE_S = pictures_s
        Executor.run = original  # type: ignore[method-assign]
        for viewer in viewers:
            viewer.kill()
            viewer.wait()
    if taken == _MOST_SAMPLES:
        raise SystemExit("the run took so long that its end was not measured")
    half = samples[:taken][samples[:taken, 0] >= summary.frames / 2]
    numbers, resident, threads, files = half.T
    slope = np.polyfit(numbers, resident, 1)[0] * 1000 / KIB
    return {
        "what": "steady",
        "frames": summary.frames,
        "slope_kib_per_1000_frames": round(float(slope), 2),
        "resident_mib": round(resident[-1] / MIB, 1),
        "threads_half": int(threads[0]),
        "threads_end": int(threads[-1]),
        "files_half": int(files[0]),
        "files_end": int(files[-1]),
        "reconnections": summary.reconnections,
        "recorded": summary.sinks[0].written,
        "missed": summary.sinks[0].missed,
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    main()
