"""Clips from a simulated camera: each frame with the camera's noise, and without it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from edgeunet.camera.chain import MARGIN, Shot, take
from edgeunet.media.frames import Frame, Sink, StreamShape
from edgeunet.media.sinks.video import open_video
from edgeunet.pixels import Floats, as_bytes
from edgeunet.specs import Image


def camera_frames(
    scenes: Iterable[Image], shot: Shot, *, seed: int = 0
) -> Iterator[tuple[Image, Image]]:
    """Yield (noisy, clean) for each scene, (H, W, 3) uint8 BGR, without the shot's margins.

    scenes: uint8 BGR, of the shot's ``sensor_size``.
    shot: the camera's settings, the same for all frames.
    seed: of the one generator that draws the noise of every frame.
    """
    generator = np.random.default_rng(seed)
    inner = slice(MARGIN, -MARGIN)
    for scene in scenes:
        noisy, clean = take(np.ascontiguousarray(scene[:, :, ::-1]), shot, generator)
        yield _frame(noisy[inner, inner]), _frame(clean[inner, inner])


def write_clips(
    clips: dict[Path, int], frames: Iterable[tuple[Image, ...]], frame_rate: float
) -> None:
    """Write several videos at once.

    clips: video file -> index of its image in each tuple of ``frames``.
    frame_rate: frames per second.
    Raises SinkError when a file cannot be written; then no file is left.
    """
    sinks: dict[Path, Sink] = {}
    try:
        for index, images in enumerate(frames):
            if not sinks:
                for path, place in clips.items():
                    height, width = images[place].shape[:2]
                    shape = StreamShape(height, width, frame_rate, None)
                    sinks[path] = open_video(path, shape)
            for path, place in clips.items():
                sinks[path].write(images[place], Frame(index, index / frame_rate, images[place]))
    except BaseException:
        for sink in sinks.values():
            sink.discard()
        raise
    with contextlib.ExitStack() as stack:
        for sink in sinks.values():
            stack.callback(sink.finish)


def _frame(image: Floats) -> Image:
    """Convert float RGB, 0..1, to a uint8 frame in BGR."""
    return np.ascontiguousarray(as_bytes(image[:, :, ::-1]))
