"""All that is asked of PyAV itself: whether it is there, and opening files to read and to write."""

from __future__ import annotations

import contextlib
import importlib
import io
from pathlib import Path
from typing import Any, BinaryIO, cast

from edgeunet.errors import MissingPackageError
from edgeunet.names import path_to_read

OLDEST = "17.1"
"""First version of PyAV that is used. 17.0 crashes on a cut FLV file, and those before convert
colours in another way."""

_FIRST_WITH_BT2020 = 18

# libavformat of FFmpeg 8.1. Before, an MP4 of this kind with a single fragment is not readable.
_HYBRID = (62, 12)

# Demuxers of video files. Others read playlists, or text as a video of a terminal.
_FORMATS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "ogg", "asf", "gif", "apng"),
    *("mjpeg", "h264", "hevc", "m4v", "ivf", "nut", "mxf", "yuv4mpegpipe", "dv"),
)


class _Target(io.FileIO):
    """A file by whose name PyAV can choose the container: it has the suffix, and is UTF-8."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "wb")
        self.name = f"out{path.suffix}"


def is_there() -> bool:
    """Return whether PyAV can be imported, and is not too old."""
    try:
        _library()
    except MissingPackageError:
        return False
    return True


def failures() -> tuple[type[Exception], ...]:
    """Return the types of errors that PyAV raises for a file that is broken or cannot be written.

    Those of the system, such as a full disk, are OSErrors as well.
    """
    return (_library().error.FFmpegError, OSError, ValueError)


def open_to_read(path: Path) -> Any:
    """Open a video file. Returns PyAV's InputContainer.

    Raises one of ``failures`` for a file that cannot be read, and SourceError for a name that is no
    UTF-8 outside Linux.
    """
    with path_to_read(path) as name:
        return _library().open(
            name,
            "r",
            options={"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "file"},
            metadata_errors="replace",
        )


def frames_in(path: Path) -> int:
    """Return how many packets of the first video of a file can be read whole; 0 for no video."""
    count = 0
    with contextlib.suppress(*failures()), open_to_read(path) as container:
        for packet in container.demux(container.streams.video[:1]):
            count += bool(packet.size) and not packet.is_corrupt
    return count


def open_to_write(file: BinaryIO, options: dict[str, str]) -> Any:
    """Begin a video in a file that is open. Returns PyAV's OutputContainer.

    file: the caller closes it. PyAV would leave a file of its own open whose end it cannot write.
    options: of the container's format, which the suffix of the file's name chooses.
    Raises one of ``failures`` for a format that is unknown.
    """
    return _library().open(file, "w", options=options)


def file_to_write(path: Path) -> BinaryIO:
    """Open a file for ``open_to_write``. Its name may have bytes that are no UTF-8."""
    return cast("BinaryIO", _Target(path))


def has_hybrid_mp4() -> bool:
    """Return whether an MP4 can be written in fragments and get one index over all at its end."""
    return tuple(_library().library_versions["libavformat"]) >= _HYBRID


def knows_bt2020() -> bool:
    """Return whether colours by BT.2020's matrix are converted rightly. PyAV 17 takes BT.601's."""
    return _version(_library().__version__) >= (_FIRST_WITH_BT2020,)


def can_encode(name: str) -> bool:
    """Return whether this PyAV has an encoder."""
    av = _library()
    try:
        av.Codec(name, "w")
    except ValueError:
        return False
    return True


def frame_of(image: Any) -> Any:
    """Return PyAV's VideoFrame of an image, (H, W, 3) uint8 BGR, whose memory is shared."""
    return _library().VideoFrame.from_numpy_buffer(image, format="bgr24")


def converter() -> Any:
    """Return PyAV's VideoReformatter, which keeps what it computes for frames of one kind."""
    return _library().video.reformatter.VideoReformatter()


def aac_filter(source: Any, copy: Any) -> Any:
    """Return PyAV's filter of packets that takes the description of the sound out of them.

    source, copy: the streams that packets are read from and written to.
    """
    return _library().bitstream.BitStreamFilterContext("aac_adtstoasc", source, copy)


def _library() -> Any:
    package, purpose = f"av>={OLDEST}", "reading and writing videos"
    try:
        av = importlib.import_module("av")
    except ImportError as error:
        raise MissingPackageError(package, purpose=purpose, extra="video", error=error) from error
    if _version(av.__version__) < _version(OLDEST):
        raise MissingPackageError(package, purpose=purpose, extra="video")
    return av


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())
