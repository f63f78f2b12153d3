"""Code and decode images: JPEG by Pillow, H.264 by PyAV. Owns PyAV."""

from __future__ import annotations

import importlib
import io
from collections.abc import Sequence
from typing import Any

from edgeunet.errors import MissingPackageError
from edgeunet.pixels import Bytes

_RATE = 25


def h264_coded(frames: Sequence[Bytes], rate_factor: int) -> list[Bytes]:
    """Return frames, (H, W, 3) uint8 RGB with even sides, after H.264 at a constant rate factor.

    rate_factor: CRF of x264, 0..51; 23 is its default, larger is coarser.
    Frames are coded as one clip, in 4:2:0, so that later frames are predicted from earlier ones.
    """
    av = _library()
    height, width = frames[0].shape[:2]
    clip = io.BytesIO()
    with av.open(clip, "w", format="matroska") as container:
        options = {"crf": str(rate_factor), "preset": "veryfast", "threads": "1"}
        stream = container.add_stream("libx264", rate=_RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    clip.seek(0)
    with av.open(clip) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def _library() -> Any:
    try:
        return importlib.import_module("av")
    except ModuleNotFoundError as error:
        raise MissingPackageError("av", purpose="coding H.264", extra="train") from error
