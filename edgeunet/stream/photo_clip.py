"""A clip made of photographs: a slow pan and zoom over each, as a camera might move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeunet.errors import UsageError
from edgeunet.stream import opencv
from edgeunet.stream.frames import Frame, Image, StreamShape
from edgeunet.stream.sinks import VIDEO_CODECS
from edgeunet.stream.sinks.video import VideoSink

_ZOOM = (1.0, 1.15)


def write_photo_clip(
    path: Path,
    photographs: Sequence[Image],
    *,
    height: int,
    width: int,
    frames: int,
    frame_rate: float,
) -> None:
    """Write a video of ``frames`` frames, an equal share of each photograph.

    photographs: (H, W, 3) uint8 BGR, each at least as large as the frame.
    Raises UsageError when one is smaller, SinkError when the file cannot be written.
    """
    for photograph in photographs:
        if photograph.shape[0] < height or photograph.shape[1] < width:
            raise UsageError(
                f"a photograph of {photograph.shape[0]}x{photograph.shape[1]} does not fill a "
                f"frame of {height}x{width}",
                hint="use larger photographs or a smaller frame",
            )
    shape = StreamShape(height, width, frame_rate, frames)
    sink = VideoSink(path, VIDEO_CODECS[path.suffix.lower()], shape)
    try:
        for index, image in enumerate(_images(photographs, height, width, frames)):
            sink.write(image, Frame(index, index / frame_rate, image))
    except BaseException:
        sink.discard()
        raise
    sink.finish()


def _images(photographs: Sequence[Image], height: int, width: int, frames: int) -> Iterator[Image]:
    per_photograph = -(-frames // len(photographs))
    for index in range(frames):
        photograph = photographs[index // per_photograph]
        share = (index % per_photograph) / max(1, per_photograph - 1)
        zoom = _ZOOM[0] + (_ZOOM[1] - _ZOOM[0]) * share
        # From the upper left to the lower right, never past the photograph's border.
        room_rows = photograph.shape[0] - height / zoom
        room_columns = photograph.shape[1] - width / zoom
        row = height / zoom / 2 + room_rows * share
        column = width / zoom / 2 + room_columns * share
        yield opencv.window(photograph, row - 0.5, column - 0.5, zoom, (height, width))
