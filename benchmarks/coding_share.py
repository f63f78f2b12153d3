"""Does a run reach the rate of its slowest stage where reading or writing is that stage?

    python -m benchmarks.coding_share [--frames N] [--turns N]

Clips of noisy frames go through a network that only waits. Stated are the milliseconds per frame of
reading alone, of the network, of writing alone, and of a run, each on the same clip; and the share
of the slowest stage's rate that the run reaches. Stages alone and runs alternate, and the median of
the turns counts. The network's time is that of a bare loop that does nothing else.

**bound** is the larger one of the slowest stage alone and the processor time of all stages divided
by the cores: coders use several cores alone, and a run has to share them between its stages.

**Processor time** is stated beside it: that of reading and writing alone, one after the other, and
that of the run. Their ratio says what a run costs beside its stages on a machine with other work,
where times of day say little.

First it is checked that a run writes every frame. Writes ``results/coding_share.csv``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.helpers.priority import priority
from benchmarks.helpers.record import provenance, write_csv
from benchmarks.helpers.waiting_network import network_that_waits
from edgeunet.bundle import Bundle
from edgeunet.cli.console import note, print_table
from edgeunet.media import sources
from edgeunet.media.frames import Frame, StreamShape
from edgeunet.media.sinks import open_sink
from edgeunet.specs import Image
from edgeunet.stream import RunOptions, run_pipeline
from tests.bundle.tiny import tiny_bundle

NAME = "coding_share"
RATE = 25.0
CASES = (
    # What, height, width, clip, result, the network's milliseconds.
    ("a small frame and a fast network", 256, 384, "clip.mp4", "out.mp4", 1.0),
    ("720p and a network of 15 ms", 720, 1280, "clip.mp4", "out.mp4", 15.0),
    ("720p and a fast network", 720, 1280, "clip.mp4", "out.mp4", 1.0),
    ("720p without loss and a fast network", 720, 1280, "clip.mkv", "out.mkv", 1.0),
)
_MS_PER_S = 1e3
_IMAGES = 8
_FEW = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=75)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measured(*case, Path(folder), arguments.frames, arguments.turns))
        print_table(
            case[0],
            ("figure", "value"),
            [(name, str(value)) for name, value in rows[-1].items() if name != "what"],
            text_columns=2,
        )
    note(f"wrote {write_csv(NAME, [{**row, **provenance()} for row in rows])}")


def measured(
    what: str,
    height: int,
    width: int,
    clip: str,
    target: str,
    wait_ms: float,
    folder: Path,
    frames: int,
    turns: int,
) -> dict[str, object]:
    """Return the times per frame of the stages alone and of a run.

    what: the case's name. clip, target: file names in ``folder``. wait_ms: of the network.
    """
    images = noisy_images(height, width)
    shape = StreamShape(height, width, RATE, frames)
    bundle = tiny_bundle(folder, height, width)
    write(folder / clip, shape, images, frames)
    kinds: list[Callable[[int], None]] = [
        partial(read, folder / clip),
        partial(write, folder / target, shape, images),
        partial(run, bundle, folder / clip, folder / target),
    ]
    with network_that_waits(wait_ms / _MS_PER_S):
        run(bundle, folder / clip, folder / target, frames)
        taken = np.array([[per_frame_ms(kind, frames) for kind in kinds] for _ in range(turns)])
    (read_ms, read_cpu), (write_ms, write_cpu), (run_ms, run_cpu) = np.median(taken, axis=0)
    start_s = time.perf_counter()
    for _ in range(frames):
        time.sleep(wait_ms / _MS_PER_S)
    network_ms = _MS_PER_S * (time.perf_counter() - start_s) / frames
    slowest_ms = np.maximum(taken[:, :2, 0].max(axis=1), network_ms)
    cores = len(os.sched_getaffinity(0))
    bound_ms = np.maximum(slowest_ms, taken[:, :2, 1].sum(axis=1) / cores)
    return {
        "what": what,
        "frames": frames,
        "read_ms": round(float(read_ms), 2),
        "network_ms": round(network_ms, 2),
        "write_ms": round(float(write_ms), 2),
        "run_ms": round(float(run_ms), 2),
        "share_of_slowest": round(float(np.median(slowest_ms / taken[:, 2, 0])), 3),
        "share_of_bound": round(float(np.median(bound_ms / taken[:, 2, 0])), 3),
        "stages_processor_ms": round(float(read_cpu + write_cpu), 2),
        "run_processor_ms": round(float(run_cpu), 2),
        "processor_share": round(float(np.median(taken[:, :2, 1].sum(axis=1) / taken[:, 2, 1])), 3),
        "priority": priority(),
        "load": round(os.getloadavg()[0], 1),
    }


def noisy_images(height: int, width: int) -> list[Image]:
    """Return frames like a camera's in the dark: a slope with noise."""
    random = np.random.default_rng(5)
    slope = np.linspace(40, 200, width)[None, :, None]
    return [
        np.clip(slope + random.normal(0, 8, (height, width, 3)), 0, 255).astype(np.uint8)
        for _ in range(_IMAGES)
    ]


def per_frame_ms(work: Callable[[int], None], frames: int) -> tuple[float, float]:
    """Return the milliseconds per frame by the clock, and of processor time.

    Opening and ending are taken off by a second, short turn.
    """
    taken = []
    for count in (_FEW, frames):
        start_s, start_cpu_s = time.perf_counter(), time.process_time()
        work(count)
        taken.append((time.perf_counter() - start_s, time.process_time() - start_cpu_s))
    clock_s, cpu_s = (long - short for short, long in zip(*taken, strict=True))
    return _MS_PER_S * clock_s / (frames - _FEW), _MS_PER_S * cpu_s / (frames - _FEW)


def read(clip: Path, frames: int) -> None:
    source = sources.open_source(str(clip))
    for _ in range(frames):
        if source.read() is None:
            raise SystemExit("the clip lacks frames")
    source.close()


def write(target: Path, shape: StreamShape, images: list[Image], frames: int) -> None:
    pattern = sources.open_source(f"test://?size={shape.height}x{shape.width}&frames=1")
    sink = open_sink(str(target), shape, pattern)
    for index in range(frames):
        image = images[index % len(images)]
        sink.write(image, Frame(index, index / RATE, image))
    sink.finish()


def run(bundle: Bundle, clip: Path, target: Path, frames: int) -> None:
    options = RunOptions(str(clip), bundle.path, (str(target),), frame_limit=frames)
    written = run_pipeline(options).sinks[0].written
    if written != frames:
        raise SystemExit(f"only {written} of {frames} frames were written")


if __name__ == "__main__":
    main()
