"""Sinks for frames. ``open_sink`` chooses one by the text that the user gave.

out.mp4  out.avi  out.mkv     video; it replaces the target once it is complete
out/  out                     folder of PNG images, or of segments of video
out.png                       one image, for a source with one frame
window://  display            window
gst://PIPELINE  rtsp://host/path    GStreamer pipeline, server that takes recordings
none                          nothing is written
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgeunet.errors import SinkError, UsageError
from edgeunet.media.frames import Frame, Sink, Source, StreamShape
from edgeunet.media.live.addresses import without_passwords
from edgeunet.media.sinks.recording_options import RecordingOptions
from edgeunet.names import is_inside, shown
from edgeunet.specs import Image

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "WINDOWS", "is_folder", "is_path", "open_sink"]

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv")
"""Suffixes of videos that can be written. ``edgeunet.media.video_writer.CODINGS`` says how."""

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

WINDOWS = ("window://", "display")

_SERVERS = ("rtsp://", "rtsps://")
PIPELINES = ("gst://", *_SERVERS)


def is_path(text: str) -> bool:
    """Return whether a text names a file or a folder, and no window or nothing."""
    return text not in ("none", *WINDOWS) and "://" not in text


def is_folder(text: str) -> bool:
    """Return whether a sink's text names a folder: one that is there, or one without a suffix."""
    return is_path(text) and (text.endswith("/") or not Path(text).suffix or Path(text).is_dir())


def open_sink(
    text: str,
    shape: StreamShape,
    source: Source,
    recording: RecordingOptions | None = None,
    on_event: Callable[[str], None] | None = None,
) -> Sink:
    """Open the sink that the user named.

    shape: the frames that will come.
    source: where they come from; its files are never overwritten.
    recording: how segments of video are kept, which a folder then gets instead of images.
    on_event: called with a line when a server that a camera's frames are sent to is lost or back.
    Raises UsageError when the text names no sink or the source itself, SinkError when the sink
    cannot be written.
    """
    if text == "none":
        return NoSink()
    if text in WINDOWS:
        from edgeunet.media.sinks.window import WindowSink

        return WindowSink(text, source.name)
    if text.startswith(PIPELINES):
        from edgeunet.media.sinks.gstreamer_sink import GstreamerSink

        if text.startswith(_SERVERS) and source.live:
            from edgeunet.media.sinks.returning_sink import ReturningSink

            return ReturningSink(lambda: GstreamerSink(text, shape), on_event)
        return GstreamerSink(text, shape)
    if "://" in text:
        raise UsageError(
            f"there is no sink {without_passwords(text)!r}",
            hint="known: a video file, a folder/, window://, gst://PIPELINE, rtsp://..., none",
        )
    path = Path(text)
    suffix = path.suffix.lower()
    if not is_folder(text):
        if suffix not in VIDEO_SUFFIXES and suffix not in IMAGE_SUFFIXES:
            raise UsageError(
                f"{text!r} is not a sink: the suffix {suffix!r} is not one that can be written",
                hint=f"video: {' '.join(VIDEO_SUFFIXES)}; one image: {' '.join(IMAGE_SUFFIXES)}; "
                "a folder ends in /",
            )
        return _open_file(path, shape, source)
    if any(_same(path, read.parent) for read in source.paths):
        raise UsageError(
            f"the folder {text!r} is the source itself", hint="name another folder for the output"
        )
    _check_beside(path, source)
    if path.exists() and not path.is_dir():
        raise SinkError(f"{text!r} is a file, not a folder", hint="name another folder")
    if recording is not None:
        from edgeunet.media.sinks.recorder import Recorder

        return Recorder(path, shape, recording)
    from edgeunet.media.sinks.images import FolderSink

    return FolderSink(path)


def _open_file(path: Path, shape: StreamShape, source: Source) -> Sink:
    if any(_same(path, read) for read in source.paths):
        raise UsageError(
            f"{str(path)!r} is the source itself", hint="name another file for the output"
        )
    if path.suffix.lower() in VIDEO_SUFFIXES:
        from edgeunet.media.sinks.video import open_video

        return open_video(path, shape, source)
    if shape.frame_count != 1:
        raise UsageError(
            f"{path.name} is one image, but the source has more frames",
            hint=f"write them into a folder: {path.stem}/, or add --frames 1",
        )
    from edgeunet.media.sinks.images import ImageSink

    return ImageSink(path)


def _check_beside(path: Path, source: Source) -> None:
    """Raise UsageError when a folder of images lies where the source looks for images."""
    read = Path(source.name.partition("**")[0] or ".") if "**" in source.name else Path(source.name)
    if source.paths and read.is_dir() and is_inside(path, read):
        raise UsageError(
            f"the folder '{shown(path)}' lies inside the source '{shown(source.name)}'",
            hint="its images would be input the next time: name a folder beside the source",
        )


class NoSink:
    """A sink that ignores its frames."""

    name = "none"

    def write(self, image: Image, frame: Frame) -> bool:
        return True

    def finish(self) -> None:
        return None

    def discard(self) -> None:
        return None

    def warnings(self) -> tuple[str, ...]:
        return ()


def _same(first: Path, second: Path) -> bool:
    """Return whether two paths are the same file, through links as well."""
    try:
        return first.samefile(second)
    except OSError:
        return first.resolve() == second.resolve()
