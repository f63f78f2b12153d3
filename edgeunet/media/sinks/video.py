"""Sink for video files through PyAV: every frame at its time, with the sound of its source."""

from __future__ import annotations

import errno
from pathlib import Path

from edgeunet.errors import SinkError
from edgeunet.files import replacing_file
from edgeunet.media import pyav
from edgeunet.media.frames import Frame, Sink, Source, StreamShape
from edgeunet.media.sinks.pending_file import PendingFile
from edgeunet.media.video_writer import CODINGS, VideoWriter
from edgeunet.names import path_to_write
from edgeunet.specs import Image


def open_video(path: Path, shape: StreamShape, source: Source | None = None) -> Sink:
    """Open a video file to be written, through OpenCV where PyAV is missing.

    source: where the frames come from; its sound is copied.
    Raises SinkError when it cannot be written, or not with frames of this size.
    """
    if CODINGS[path.suffix.lower()].even and (shape.height % 2 or shape.width % 2):
        raise SinkError(
            f"{path.suffix} video has even sizes only, and the frames are "
            f"{shape.height}x{shape.width}",
            hint=f"write {path.with_suffix('.mkv')}, or into a folder: {path.with_suffix('')}/",
        )
    if pyav.is_there():
        return VideoSink(path, shape, source)
    from edgeunet.media.sinks.opencv_video_sink import PlainVideoSink

    path_to_write(path)
    return PlainVideoSink(path, shape)


class VideoSink:
    """Writes a temporary file beside the target, which replaces the target once it is complete."""

    def __init__(self, path: Path, shape: StreamShape, source: Source | None) -> None:
        self.name = str(path)
        self._path = path
        self._source = source
        self._frames = 0
        self._pending = PendingFile()
        try:
            self._beside = self._pending.enter_context(replacing_file(path))
        except OSError as error:
            raise SinkError(
                f"cannot write {str(path)!r}: {error.strerror}",
                hint="choose a folder that you may write to",
            ) from error
        suffix = path.suffix.lower()
        endless = source is not None and source.live and shape.frame_count is None
        try:
            self._writer = VideoWriter(
                self._beside, suffix, shape, with_sound=source is not None, endless=endless
            )
        except pyav.failures() as error:
            failure = self._failure(error, "nothing was kept")
            self._pending.drop(failure)
            raise failure from error
        except BaseException as error:
            self._pending.drop(error)
            raise

    def write(self, image: Image, frame: Frame) -> bool:
        try:
            self._writer.write(image, frame.timestamp_s, frame.duration_s)
        except pyav.failures() as error:
            raise self._broken_off(error) from error
        self._frames += 1
        return True

    def finish(self) -> None:
        ended = self._source is not None and self._source.report().ended
        try:
            self._writer.close(whole_sound=ended)
        except pyav.failures() as error:
            raise self._broken_off(error) from error
        except BaseException as error:
            self._pending.drop(error)
            raise
        self._pending.keep(self.name)

    def discard(self) -> None:
        self._writer.abandon()
        self._pending.drop(SinkError("discarded", hint=""))

    def warnings(self) -> tuple[str, ...]:
        return self._writer.left_out

    def _broken_off(self, error: Exception) -> SinkError:
        """Keep the frames that can be read, and return what to raise for an error of PyAV."""
        self._writer.abandon()
        readable = min(pyav.frames_in(self._beside), self._frames)
        failure = self._failure(error, self._pending.keep_part(self._beside, self._path, readable))
        self._pending.drop(failure)
        return failure

    def _failure(self, error: Exception, what: str) -> SinkError:
        kept = f"after {self._frames} frames; {what}"
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return SinkError(
                f"the disk is full: {self.name!r} could not be written on {kept}",
                hint="free some space, or write to another disk",
            )
        reason = getattr(error, "strerror", None) or str(error)
        return SinkError(
            f"cannot write {self.name!r} {kept}: {reason}",
            hint="check the disk, its quota and the largest file size it allows",
        )
