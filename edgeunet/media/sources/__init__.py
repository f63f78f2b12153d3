"""Sources of frames. ``open_source`` chooses one by the text that the user gave.

clip.mp4  images/  "images/*.png"  photo.jpg     files
0  v4l2:///dev/video0  csi://0                   cameras
rtsp://host/path  http://...  udp://...  srt://...  gst://PIPELINE    streams
test://?size=480x640&frames=100&fps=25&live=1    a moving pattern
"""

from __future__ import annotations

from collections.abc import Callable

from edgeunet.errors import UsageError, near_match
from edgeunet.media.frames import Source
from edgeunet.media.sources.cameras import LiveOptions

__all__ = ["SCHEMES", "LiveOptions", "check_source", "is_live", "open_source"]

Size = tuple[int, int]

_SEPARATOR = "://"
_DEVICES = "/dev/video"
_DEFAULT_OPTIONS = LiveOptions()


def open_source(
    text: str, size: Size | None = None, live: LiveOptions = _DEFAULT_OPTIONS
) -> Source:
    """Open the source that the user named, and read its first frame.

    size: wanted (height, width). Cameras and the test pattern are set to it, and a folder is
        searched for an image of it. Other files keep their size.
    live: how cameras and streams are opened and kept; files do not need it.
    Raises UsageError when the text names no source, SourceError when it cannot be opened.
    """
    check_source(text)
    scheme, separator, rest = text.partition(_SEPARATOR)
    if text.isascii() and text.isdigit():
        return _camera(text, f"/dev/video{text}", size, live)
    if text.startswith(_DEVICES):
        return _camera(text, text, size, live)
    if not separator:
        return _file(text, text, size, live)
    return SCHEMES[scheme](text, rest, size, live)


def check_source(text: str) -> None:
    """Raise UsageError when a text names no kind of source. Nothing is opened."""
    scheme, separator, _ = text.partition(_SEPARATOR)
    if not text.strip():
        raise UsageError("the source is empty", hint="name a file, a folder or a camera")
    if separator and not text.startswith(_DEVICES) and scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise UsageError(
            f"there is no source {scheme}://",
            hint=near_match(scheme, SCHEMES) + f"known: {known}, a camera number, or a path",
        )


def is_live(text: str) -> bool:
    """Return whether a text names a camera or a stream, which goes on while nobody reads it."""
    if (text.isascii() and text.isdigit()) or text.startswith(_DEVICES):
        return True
    scheme, separator, rest = text.partition(_SEPARATOR)
    if scheme == "test":
        return "live=1" in rest
    return bool(separator) and scheme != "file"


def _file(name: str, path: str, size: Size | None, live: LiveOptions) -> Source:
    from edgeunet.media.sources.media_files import open_path

    return open_path(path, size)


def _camera(name: str, device: str, size: Size | None, live: LiveOptions) -> Source:
    from edgeunet.media.sources.cameras import open_v4l2

    return open_v4l2(name, device, size, live)


def _csi(name: str, sensor: str, size: Size | None, live: LiveOptions) -> Source:
    from edgeunet.media.sources.cameras import open_csi

    return open_csi(name, sensor, size, live)


def _gstreamer(name: str, pipeline: str, size: Size | None, live: LiveOptions) -> Source:
    from edgeunet.media.sources.cameras import open_gstreamer

    return open_gstreamer(name, pipeline, live)


def _stream(name: str, address: str, size: Size | None, live: LiveOptions) -> Source:
    from edgeunet.media.sources.cameras import open_stream

    return open_stream(name, live)


def _pattern(name: str, query: str, size: Size | None, live: LiveOptions) -> Source:
    from edgeunet.media.sources.pattern import open_pattern

    return open_pattern(name, query, size)


SCHEMES: dict[str, Callable[[str, str, Size | None, LiveOptions], Source]] = {
    "file": _file,
    "v4l2": _camera,
    "csi": _csi,
    "gst": _gstreamer,
    "rtsp": _stream,
    "rtsps": _stream,
    "http": _stream,
    "https": _stream,
    "udp": _stream,
    "srt": _stream,
    "test": _pattern,
}
