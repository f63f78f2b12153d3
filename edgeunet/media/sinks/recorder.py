"""Records a live source for weeks: segments of video that play whatever happens to the process.

A segment is fragmented MP4 with H.264, which browsers play, and is called after the time of its
first frame in UTC. While it is written its name ends in ``.partial.mp4``; what a killed process
left behind under such a name is given its place at the next start. A segment with an event has
``-event`` in its name, and goes only when the disk is full and no other segment is left.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from edgeunet.errors import SinkError
from edgeunet.media import pyav
from edgeunet.media.frames import Frame, StreamShape
from edgeunet.media.sinks.leftovers import plays
from edgeunet.media.sinks.recording_options import RecordingOptions
from edgeunet.media.video_writer import VideoWriter
from edgeunet.specs import Image
from edgeunet.units import format_bytes

_NAME = "rec-%Y%m%dT%H%M%SZ"
_EVENT = "-event"
_SEGMENT = re.compile(r"rec-(\d{8}T\d{6}Z)(?:-(\d+))?(-event)?\.mp4")
_PARTIAL = ".partial.mp4"
_CHECK_S = 2.0


class Recorder:
    """A folder of segments. Every frame has the time of its capture, so gaps stay gaps."""

    def __init__(
        self,
        folder: Path,
        shape: StreamShape,
        options: RecordingOptions,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Make the folder, and give what a killed run left behind its place.

        now_s: the seconds since 1970, for the names of segments.
        Raises SinkError when the folder cannot be written, or frames of an odd size come.
        """
        self.name = f"{folder}/"
        self._folder = folder
        self._shape = shape
        self._options = options
        self._now_s = now_s
        self._writer: VideoWriter | None = None
        self._partial: Path | None = None
        self._begin_s = 0.0
        self._next_check_s = 0.0
        self._adopted: list[str] = []
        self._lock = threading.Lock()
        # Segments of this run, the oldest first, with the time of their last frame.
        self._own: dict[Path, float] = {}
        self._last_s = 0.0
        self._wanted: list[tuple[float, Callable[[Path], None]]] = []
        self._told: list[Callable[[Path], None]] = []
        self._removed = 0
        self._removed_events = 0
        self._segments = 0
        self._cut = 0
        self._taken_away = 0
        if shape.height % 2 or shape.width % 2:
            raise SinkError(
                f"segments have even sizes only, and the frames are {shape.height}x{shape.width}",
                hint="record into a .mkv, or export a bundle of an even size",
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._check_room()
            self._adopt()
            self._make_room()
        except OSError as error:
            raise SinkError(
                f"cannot record into {self.name!r}: {error.strerror}",
                hint="choose a folder that you may write to",
            ) from error

    def write(self, image: Image, frame: Frame) -> bool:
        try:
            due_s = self._begin_s + self._options.segment_s
            if self._writer is not None and frame.timestamp_s >= due_s:
                self._end_segment()
            try:
                self._write(image, frame)
            except pyav.failures():
                # What plays of this segment is kept; then an older one makes room, and it goes on.
                self._end_segment()
                if not self._remove_oldest():
                    raise
                self._write(image, frame)
        except pyav.failures() as error:
            raise self._failure(error) from error
        return True

    def keep(self, time_s: float, on_kept: Callable[[Path], None]) -> None:
        """Keep the segment with the frame of a time, whatever the limits are. For any thread.

        time_s: of a frame that was or will be given to ``write``, in seconds.
        on_kept: called in the sink's thread with the segment's path once it is finished.
        """
        with self._lock:
            self._wanted.append((time_s, on_kept))

    def finish(self) -> None:
        self._end_segment()

    def discard(self) -> None:
        """End the segment. What was recorded is kept: it plays up to here."""
        with contextlib.suppress(OSError):
            self._end_segment()

    def warnings(self) -> tuple[str, ...]:
        warnings = []
        if self._adopted:
            warnings.append(
                f"{len(self._adopted)} recordings of a run that was killed were kept, like "
                f"{self._adopted[0]}"
            )
        if self._removed:
            warnings.append(f"{self._removed} old recordings were removed from {self.name}")
        if self._removed_events:
            warnings.append(
                f"the disk was full: {self._removed_events} of them had events, as no others were "
                "left"
            )
        if self._taken_away:
            warnings.append(
                f"{self._taken_away} recordings in {self.name} were removed by somebody else while "
                "they were written"
            )
        if self._cut:
            warnings.append(
                f"the disk was full: {self._cut} recordings in {self.name} lack their last second"
            )
        return tuple(warnings)

    def segments(self, *, with_events: bool = False) -> list[Path]:
        """Return the finished segments without events, or those with one, the oldest first.

        Those of this run are the newest, whatever their names say: a clock may have been set back.
        """
        found = []
        own = {path: number for number, path in enumerate(self._own)}
        for path in self._folder.glob("rec-*.mp4"):
            match = _SEGMENT.fullmatch(path.name)
            if match is not None and bool(match[3]) == with_events:
                found.append((own.get(path, -1), match[1], int(match[2] or 1), path))
        return [path for *_, path in sorted(found)]

    def _write(self, image: Image, frame: Frame) -> None:
        if self._writer is None:
            self._begin_segment(frame.timestamp_s)
        if self._writer is None:  # it was just begun
            return
        self._writer.write(image, frame.timestamp_s - self._begin_s)
        self._last_s = frame.timestamp_s
        self._mark_events(frame.timestamp_s)
        now_s = time.monotonic()
        if now_s > self._next_check_s:
            self._next_check_s = now_s + _CHECK_S
            if self._partial is not None and not self._partial.exists():
                # Somebody cleared the folder. The next frame begins another segment.
                self._taken_away += 1
                self._end_segment()
            self._keep_free()

    def _begin_segment(self, timestamp_s: float) -> None:
        self._folder.mkdir(exist_ok=True)
        moment = datetime.fromtimestamp(self._now_s(), timezone.utc)
        stem = moment.strftime(_NAME)
        name, again = stem, 1
        while any(
            (self._folder / f"{name}{event}{end}").exists()
            for event in ("", _EVENT)
            for end in (".mp4", _PARTIAL)
        ):
            # Two in one second, or a clock that was set back.
            again += 1
            name = f"{stem}-{again}"
        self._partial = self._folder / f"{name}{_PARTIAL}"
        self._begin_s = timestamp_s
        self._writer = VideoWriter(self._partial, ".mp4", self._shape)

    def _mark_events(self, timestamp_s: float) -> None:
        """Give the open segment its ``-event`` if one was wanted up to the frame just written."""
        with self._lock:
            due = [call for time_s, call in self._wanted if time_s <= timestamp_s]
            self._wanted = [wanted for wanted in self._wanted if wanted[0] > timestamp_s]
        if not due or self._partial is None:
            return
        if not self._told:
            stem = self._partial.name.removesuffix(_PARTIAL)
            self._partial = self._partial.rename(self._folder / f"{stem}{_EVENT}{_PARTIAL}")
        self._told += due

    def _end_segment(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None or self._partial is None:
            return
        try:
            writer.close(whole_sound=False)
        except pyav.failures():
            # The disk is full, most likely. What is there plays, but for its last second.
            writer.abandon()
            self._cut += 1
            self._remove_oldest()
        told, self._told = self._told, []
        if self._place(self._partial):
            self._own[_placed(self._partial)] = self._last_s
            for call in told:
                call(_placed(self._partial))
        self._make_room()

    def _place(self, partial: Path) -> bool:
        """Give a segment its name if anything of it plays, and remove it otherwise."""
        if not plays(partial):
            partial.unlink(missing_ok=True)
            return False
        partial.rename(_placed(partial))
        self._segments += 1
        return True

    def _is_too_old(self, path: Path, keep_s: float, limit: str) -> bool:
        """Return whether a segment ended longer ago than ``keep_s``.

        limit: the name of one that began so long ago. A clock that is set, as on a board that
        starts without the date, makes no segment of this run old.
        """
        if path in self._own:
            return self._last_s - self._own[path] > keep_s
        return path.name.removesuffix(".mp4") < limit

    def _adopt(self) -> None:
        for partial in sorted(self._folder.glob(f"rec-*{_PARTIAL}")):
            if self._place(partial):
                self._adopted.append(_placed(partial).name)

    def _make_room(self) -> None:
        """Remove the oldest segments until the folder keeps to its limits."""
        options = self._options
        if options.keep_s is not None:
            oldest = datetime.fromtimestamp(self._now_s() - options.keep_s, timezone.utc)
            limit = oldest.strftime(_NAME)
            for path in self.segments():
                if self._is_too_old(path, options.keep_s, limit):
                    self._remove(path)
        if options.keep_bytes is not None:
            sizes = [(path, _size_bytes(path)) for path in self.segments()]
            total = sum(size for _, size in sizes)
            # The newest stays, also where the limit is less than one segment.
            for path, size in sizes[:-1]:
                if total > options.keep_bytes:
                    self._remove(path)
                    total -= size
        self._keep_free()

    def _check_room(self) -> None:
        """Raise SinkError where the disk could not have so much room if it were empty."""
        whole = shutil.disk_usage(self._folder).total
        if self._options.least_free_bytes >= whole:
            raise SinkError(
                f"{format_bytes(self._options.least_free_bytes)} cannot stay free on the disk of "
                f"{self.name!r}, which has {format_bytes(whole)}",
                hint="set a smaller --least-free",
            )

    def _keep_free(self) -> None:
        """Remove the oldest segments until the disk has as much room left as it should."""
        while _free_bytes(self._folder) < self._options.least_free_bytes:
            if not self._remove_oldest():
                break

    def _remove_oldest(self) -> bool:
        """Remove the oldest segment; those with events go last. Returns whether there was one."""
        found = self.segments()
        if not found:
            found = self.segments(with_events=True)
            self._removed_events += bool(found)
        if found:
            self._remove(found[0])
        return bool(found)

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._own.pop(path, None)
        self._removed += 1

    def _failure(self, error: Exception) -> SinkError:
        reason = getattr(error, "strerror", None) or str(error)
        free = format_bytes(_free_bytes(self._folder))
        return SinkError(
            f"cannot record into {self.name!r} any more: {reason} ({free} are free); "
            f"{self._segments} segments of this run are kept",
            hint="free some space, or let --keep remove old recordings in time",
        )


def _placed(partial: Path) -> Path:
    """Return the name that a segment gets once it is finished."""
    return partial.with_name(partial.name.removesuffix(_PARTIAL) + ".mp4")


def _free_bytes(folder: Path) -> int:
    """Return the room that is left on the disk of a folder, which somebody may have removed."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _size_bytes(path: Path) -> int:
    """Return the size of a file; 0 where somebody else has removed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
