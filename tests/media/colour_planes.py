"""Y, Cb and Cr of pictures, with colours at half the size, by the formulas of ITU-R BT.601."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]


def planes_of(picture: Plane) -> list[Plane]:
    """Return Y, Cb and Cr of limited range by ITU-R BT.601, in 8-bit units."""
    red, green, blue = np.moveaxis(picture, 2, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return [
        16 + 219 / 255 * luma,
        128 + 224 / 255 * (blue - luma) / 1.772,
        128 + 224 / 255 * (red - luma) / 1.402,
    ]


def halved(plane: Plane, *, left: bool = False) -> Plane:
    """Return means of 2x2 pixels; left: of pixels around every second column."""
    even = np.pad(plane, [(0, side % 2) for side in plane.shape], "edge")
    rows = (even[::2] + even[1::2]) / 2
    if not left:
        return (rows[:, ::2] + rows[:, 1::2]) / 2
    wide = np.pad(rows, [(0, 0), (1, 1)], "edge")
    return ((wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 4)[:, ::2]


def by_field(plane: Plane) -> Plane:
    """Return means of 2x2 pixels of each field, in turn."""
    fields = [halved(plane[first::2]) for first in (0, 1)]
    return np.stack(fields, axis=1).reshape(-1, fields[0].shape[1])


def write_planes(
    path: Path, planes: list[Plane], *, codec: str, options: dict[str, str], pixels: str
) -> Path:
    """Write a frame of three planes in 8-bit units, without loss, as a video."""
    height, width = planes[0].shape
    deep = pixels.endswith("10le")
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=25)
        stream.options = options
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        frame: Any = av.VideoFrame(width, height, pixels)
        for plane, numbers in zip(frame.planes, planes, strict=True):
            stored = np.rint(4 * numbers).astype("<u2") if deep else np.rint(numbers).astype("u1")
            padded = np.zeros((plane.height, plane.line_size), np.uint8)
            padded[:, : stored[0].nbytes] = stored.view(np.uint8)
            plane.update(padded.tobytes())
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path
