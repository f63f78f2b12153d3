"""Sources of frames. ``open_source`` chooses one by the text that the user gave.

clip.mp4  images/  "images/*.png"  photo.jpg     files
0  v4l2:///dev/video0  csi://0                   cameras
rtsp://host/path  gst://PIPELINE                 streams
test://?size=480x640&frames=100&fps=25&live=1    a moving pattern
"""

from __future__ import annotations

from collections.abc import Callable

from edgeunet.errors import UsageError, near_match
from edgeunet.media.frames import Source

__all__ = ["SCHEMES", "open_source"]

Size = tuple[int, int]

_SEPARATOR = "://"


def open_source(text: str, size: Size | None = None) -> Source:
    """Open the source that the user named, and read its first frame.

    size: wanted (height, width). Cameras and the test pattern are set to it, and a folder is
        searched for an image of it. Other files keep their size.
    Raises UsageError when the text names no source, SourceError when it cannot be opened.
    """
    scheme, separator, rest = text.partition(_SEPARATOR)
    if not text.strip():
        raise UsageError("the source is empty", hint="name a file, a folder or a camera")
    if text.isascii() and text.isdigit():
        return _camera(text, f"/dev/video{text}", size)
    if text.startswith("/dev/video"):
        return _camera(text, text, size)
    if not separator:
        return _file(text, text, size)
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise UsageError(
            f"there is no source {scheme}://",
            hint=near_match(scheme, SCHEMES) + f"known: {known}, a camera number, or a path",
        )
    return SCHEMES[scheme](text, rest, size)


def _file(name: str, path: str, size: Size | None) -> Source:
    from edgeunet.media.sources.media_files import open_path

    return open_path(path, size)


def _camera(name: str, device: str, size: Size | None) -> Source:
    from edgeunet.media.sources.cameras import open_v4l2

    return open_v4l2(name, device, size)


def _csi(name: str, sensor: str, size: Size | None) -> Source:
    from edgeunet.media.sources.cameras import open_csi

    return open_csi(name, sensor, size)


def _gstreamer(name: str, pipeline: str, size: Size | None) -> Source:
    from edgeunet.media.sources.cameras import open_gstreamer

    return open_gstreamer(name, pipeline)


def _rtsp(name: str, address: str, size: Size | None) -> Source:
    from edgeunet.media.sources.cameras import open_rtsp

    return open_rtsp(name)


def _pattern(name: str, query: str, size: Size | None) -> Source:
    from edgeunet.media.sources.pattern import open_pattern

    return open_pattern(name, query, size)


SCHEMES: dict[str, Callable[[str, str, Size | None], Source]] = {
    "file": _file,
    "v4l2": _camera,
    "csi": _csi,
    "gst": _gstreamer,
    "rtsp": _rtsp,
    "rtsps": _rtsp,
    "test": _pattern,
}
