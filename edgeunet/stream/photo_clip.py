"""Makes a clip from photographs, with a slow pan and zoom over each as by a moving camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgeunet.errors import UsageError
from edgeunet.media import opencv
from edgeunet.specs import Image

_ZOOM = (1.0, 1.15)


def photo_frames(
    photographs: Sequence[Image], *, height: int, width: int, frames: int
) -> Iterator[Image]:
    """Return ``frames`` frames, (height, width, 3) uint8 BGR, the same number from each photograph.

    photographs: (H, W, 3) uint8 BGR, each at least as large as a frame.
    Raises UsageError when one is smaller.
    """
    for photograph in photographs:
        if photograph.shape[0] < height or photograph.shape[1] < width:
            raise UsageError(
                f"a photograph of {photograph.shape[0]}x{photograph.shape[1]} does not fill a "
                f"frame of {height}x{width}",
                hint="use larger photographs or a smaller frame",
            )
    return _images(photographs, height, width, frames)


def _images(photographs: Sequence[Image], height: int, width: int, frames: int) -> Iterator[Image]:
    per_photograph = -(-frames // len(photographs))
    for index in range(frames):
        photograph = photographs[index // per_photograph]
        share = (index % per_photograph) / max(1, per_photograph - 1)
        zoom = _ZOOM[0] + (_ZOOM[1] - _ZOOM[0]) * share
        # The window moves from the upper left to the lower right, inside the photograph.
        room_rows = photograph.shape[0] - height / zoom
        room_columns = photograph.shape[1] - width / zoom
        row = height / zoom / 2 + room_rows * share
        column = width / zoom / 2 + room_columns * share
        yield opencv.window(photograph, row - 0.5, column - 0.5, zoom, (height, width))
