"""Are 1080p videos read and written through PyAV as fast as through OpenCV?

    python -m benchmarks.video_files [--frames N] [--turns N] [--other-python PYTHON]

A photograph that moves slowly, with grain, is written as H.264 and read again. Both ways use the
classes that ``edgeunet run`` uses: ``VideoSource`` and ``VideoSink``, and without PyAV
``PlainVideoSource`` and ``PlainVideoSink``. First the frames of both are compared with each other
and with what was written. Then they take turns in one process. ``results/video_files.csv`` has a
row per turn and kind, per frame: processor time, which other processes do not lengthen, wall time,
and of what is written KiB and PSNR.
OpenCV's wheel has no encoder for H.264, so it writes MPEG-4 Part 2; PyAV writes both. An OpenCV
that has one, such as Debian's python3-opencv in /usr/bin/python3, takes a turn in a process of its
own with ``--other-python``. It leaves x264's preset at medium.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.helpers.record import write_csv
from edgeunet.cli.console import print_table
from edgeunet.media import opencv
from edgeunet.media.frames import Frame, Sink, Source, StreamShape
from edgeunet.media.sinks.opencv_video_sink import PlainVideoSink
from edgeunet.media.sinks.video import VideoSink
from edgeunet.media.sources.opencv_video_source import PlainVideoSource
from edgeunet.media.sources.video_file import VideoSource
from edgeunet.media.video_writer import CODINGS
from edgeunet.metrics import psnr_db
from edgeunet.photographs import shipped_photographs
from edgeunet.specs import Image

NAME = "video_files"
_HEIGHT, _WIDTH, _RATE = 1080, 1920, 25.0
_ZOOM, _GRAIN = 4.5, 2.0
_LEAST_PSNR_DB = 30.0
_CHECKED_EVERY = 5

Open = Callable[[Path], Source]
Make = Callable[[Path, StreamShape], Sink]
READERS: dict[str, Open] = {
    "pyav": lambda path: VideoSource(str(path), path),
    "opencv": lambda path: PlainVideoSource(str(path), path),
}
WRITERS: dict[str, Make] = {
    "pyav": lambda path, shape: VideoSink(path, shape, None),
    "opencv": PlainVideoSink,
}
_MPEG4, _H264 = "MPEG-4 Part 2", "H.264"
# Run by another Python, which may have nothing but NumPy and OpenCV.
_OTHER = """
import sys, time, cv2, numpy
images = numpy.load(sys.argv[1])
begin = time.process_time(), time.perf_counter()
code = cv2.VideoWriter_fourcc(*"avc1")
writer = cv2.VideoWriter(sys.argv[2], cv2.CAP_FFMPEG, code, 25.0, images.shape[2:0:-1])
assert writer.isOpened(), "this OpenCV has no encoder for H.264"
for image in images:
    writer.write(image)
writer.release()
print(time.process_time() - begin[0], time.perf_counter() - begin[1], cv2.__version__)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--other-python", help="its OpenCV writes H.264")
    arguments = parser.parse_args()
    images = _scene(arguments.frames)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "scene.mp4"
        _write(WRITERS["pyav"], source, images)
        _check(source, images)
        for turn in range(arguments.turns):
            rows.append(_reading(source, turn))
            written = _writing(Path(folder), _H264, images, turn)
            if arguments.other_python:
                other = _by_other(arguments.other_python, Path(folder), images)
                rows.append({**written, "what": f"write {_H264}", **other})
            rows.append(written)
            rows.append(_writing(Path(folder), _MPEG4, images, turn))
    versions = {"av": version("av"), "opencv": version("opencv-python")}
    path = write_csv(NAME, [{"frames": len(images), **versions, **row} for row in rows])
    table = []
    for what in dict.fromkeys(str(row["what"]) for row in rows):
        of = [row for row in rows if row["what"] == what]
        for unit in ("processor_ms", "wall_ms"):
            both = [(float(str(r[f"pyav_{unit}"])), float(str(r[f"opencv_{unit}"]))) for r in of]
            ratio = median(ours / theirs for ours, theirs in both)
            shown = [f"{median(column):.2f}" for column in zip(*both, strict=True)]
            table.append((what, unit, *shown, f"{ratio:.2f}"))
    print_table(str(path), ("what", "per frame", "PyAV", "OpenCV", "ratio"), table)


def _reading(source: Path, turn: int) -> dict[str, object]:
    row: dict[str, object] = {"what": "read H.264", "turn": turn}
    for way, open_ in READERS.items():
        begin = time.process_time(), time.perf_counter()
        frames = len(_read(open_, source, keep=False))
        row.update(_times(way, begin, frames), **{f"{way}_psnr_db": "", f"{way}_kib": ""})
    return row


def _writing(folder: Path, codec: str, images: Sequence[Image], turn: int) -> dict[str, object]:
    what = f"write {codec}" if codec == _MPEG4 else f"write {codec}, OpenCV {_MPEG4}"
    row: dict[str, object] = {"what": what, "turn": turn}
    coding = CODINGS[".mp4"]
    if codec == _MPEG4:
        CODINGS[".mp4"] = replace(coding, encoders=coding.encoders[1:])
    for way, make in WRITERS.items():
        out = folder / f"{way}.mp4"
        begin = time.process_time(), time.perf_counter()
        _write(make, out, images)
        row.update(_times(way, begin, len(images)))
        row[f"{way}_psnr_db"] = _psnr_db(_read(READERS["pyav"], out), images)
        row[f"{way}_kib"] = out.stat().st_size / 1024 / len(images)
    CODINGS[".mp4"] = coding
    return row


def _by_other(python: str, folder: Path, images: Sequence[Image]) -> dict[str, object]:
    """Write through the OpenCV of another Python; return the columns of OpenCV."""
    frames, out = folder / "frames.npy", folder / "other.mp4"
    if not frames.exists():
        np.save(frames, np.stack(images))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    told = subprocess.run(
        [python, "-c", _OTHER, str(frames), str(out)],
        capture_output=True,
        check=True,
        text=True,
        env=environment,
    )
    processor_s, wall_s, opencv_version = told.stdout.split()[-3:]
    return {
        "opencv_processor_ms": 1e3 * float(processor_s) / len(images),
        "opencv_wall_ms": 1e3 * float(wall_s) / len(images),
        "opencv_psnr_db": _psnr_db(_read(READERS["pyav"], out), images),
        "opencv_kib": out.stat().st_size / 1024 / len(images),
        "opencv": opencv_version,
    }


def _times(way: str, begin: tuple[float, float], frames: int) -> dict[str, object]:
    processor_s, wall_s = time.process_time() - begin[0], time.perf_counter() - begin[1]
    return {
        f"{way}_processor_ms": 1e3 * processor_s / frames,
        f"{way}_wall_ms": 1e3 * wall_s / frames,
    }


def _scene(frames: int) -> list[Image]:
    """Return frames, (1080, 1920, 3) uint8 BGR, of a photograph that moves slowly, with grain."""
    photograph = np.ascontiguousarray(shipped_photographs()["astronaut"][:, :, ::-1])
    random = np.random.default_rng(0)
    images = []
    for index in range(frames):
        place = 200.0 + 0.2 * index
        image = opencv.window(photograph, place, place, _ZOOM, (_HEIGHT, _WIDTH))
        grain = random.normal(0, _GRAIN, (_HEIGHT, _WIDTH, 1)).astype(np.float32)
        images.append(np.clip(image + grain, 0, 255).astype(np.uint8))
    return images


def _write(make: Make, path: Path, images: Sequence[Image]) -> None:
    sink = make(path, StreamShape(_HEIGHT, _WIDTH, _RATE, len(images)))
    for index, image in enumerate(images):
        sink.write(image, Frame(index, index / _RATE, image))
    sink.finish()


def _read(open_: Open, path: Path, *, keep: bool = True) -> list[Image | None]:
    source = open_(path)
    images: list[Image | None] = []
    while (frame := source.read()) is not None:
        images.append(frame.image if keep else None)
    source.close()
    return images


def _check(path: Path, images: Sequence[Image]) -> None:
    """Stop when the two readers disagree, or one has not what was written."""
    ours, theirs = (_read(open_, path) for open_ in READERS.values())
    assert len(ours) == len(theirs) == len(images)
    assert _psnr_db(ours, images) > _LEAST_PSNR_DB
    for one, other in list(zip(ours, theirs, strict=True))[::_CHECKED_EVERY]:
        assert one is not None
        assert other is not None
        assert np.abs(one.astype(int) - other).max() <= 1


def _psnr_db(read: Sequence[Image | None], written: Sequence[Image]) -> float:
    pairs = list(zip(read, written, strict=True))[::_CHECKED_EVERY]
    return float(np.mean([psnr_db(a, b, peak=255) for a, b in pairs if a is not None]))


if __name__ == "__main__":
    main()
