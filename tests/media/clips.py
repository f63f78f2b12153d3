"""Small videos and images for tests, written with OpenCV itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np

from edgeunet.specs import Image

CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "FFV1"}


def picture(index: int, height: int = 48, width: int = 64) -> Image:
    """Return a smooth picture that differs from index to index."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [rows * 2 + index, columns + 3 * index, rows + columns]
    return np.stack(planes, axis=2).astype(np.uint8)


def write_video(
    path: Path, frames: int, height: int = 48, width: int = 64, rate: float = 12.5
) -> Path:
    return write_frames(path, [picture(index, height, width) for index in range(frames)], rate)


def write_frames(path: Path, frames: Sequence[Image], rate: float = 12.5) -> Path:
    """Write frames of one size, (H, W, 3) uint8 BGR, as a video."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(
        str(path),
        cv2.CAP_FFMPEG,
        cv2.VideoWriter.fourcc(*CODECS[path.suffix]),
        rate,
        (width, height),
    )
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def read_video(path: Path) -> tuple[list[Image], float]:
    """Return every frame, and the frame rate."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames: list[Image] = []
    while True:
        ok, image = capture.read()
        if not ok:
            break
        frames.append(image.astype(np.uint8))
    rate = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return frames, rate


def write_image(path: Path, image: Image) -> Path:
    cv2.imwrite(str(path), image)
    return path


def read_image(path: Path) -> Image:
    image = cv2.imread(str(path))
    if image is None:
        raise FileNotFoundError(path)
    return image.astype(np.uint8)


def index_to_front(path: Path) -> None:
    """Move an MP4's index (moov) before its data (mdat), as streaming servers do."""
    data = path.read_bytes()
    boxes: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        boxes.append((data[at + 4 : at + 8], data[at : at + size]))
        at += size
    index = bytearray(next(box for kind, box in boxes if kind == b"moov"))
    offsets = index.find(b"stco") + 8
    count = int.from_bytes(index[offsets : offsets + 4], "big")
    for entry in range(count):
        where = offsets + 4 + 4 * entry
        moved = int.from_bytes(index[where : where + 4], "big") + len(index)
        index[where : where + 4] = moved.to_bytes(4, "big")
    rest = [box for kind, box in boxes if kind not in (b"ftyp", b"moov")]
    start = next(box for kind, box in boxes if kind == b"ftyp")
    path.write_bytes(b"".join([start, bytes(index), *rest]))


def cut(path: Path, share: float) -> Path:
    """Keep only the beginning of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def listing(folder: Path) -> list[str]:
    """Return every file under a folder, hidden ones included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
