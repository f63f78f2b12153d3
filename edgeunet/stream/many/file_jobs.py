"""One video file as a job: what it is made of, how it is done, and what came of it."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

from edgeunet.bundle import manifest
from edgeunet.errors import EdgeUnetError, SourceError, UsageError
from edgeunet.files import sha256_of
from edgeunet.images.folder_walk import matching
from edgeunet.media import sinks
from edgeunet.media.sinks.leftovers import left_behind
from edgeunet.names import is_inside, is_utf8, natural_order, shown
from edgeunet.stream.pipeline import run_pipeline
from edgeunet.stream.run_options import RunOptions
from edgeunet.suffixes import VIDEO_SUFFIXES

_OTHERWISE = ".mp4"


@dataclass(frozen=True)
class FileJob:
    """One video to be worked on.

    source, target: absolute paths. name: the source below the folder of the pattern.
    options: of the run; ``source`` and ``sinks`` are those paths.
    """

    name: str
    source: Path
    target: Path
    options: RunOptions


@dataclass(frozen=True)
class FileResult:
    """What came of a job.

    frames: in the target. frames_per_second: of the run; 0 where it did not come to that.
    failure: why it failed, or what its source lacked; empty when nothing did.
    written: whether there is a target with all that the source has.
    interrupted: the user ended it; there is no target.
    """

    name: str
    frames: int = 0
    frames_per_second: float = 0.0
    failure: str = ""
    written: bool = False
    interrupted: bool = False


def jobs_of(options: RunOptions) -> tuple[list[FileJob], list[str]]:
    """Return a job for every video that a pattern or a folder holds, and notes for the user.

    options: ``source`` is a pattern such as ``archive/**/*.mp4`` or a folder, and the one sink is a
        folder. Targets lie in it as the sources lie below the pattern's first folder.
    Raises UsageError for what cannot be worked on in this way, SourceError without any video.
    """
    out = _output_folder(options)
    pattern = Path(options.source)
    if pattern.is_dir():
        base, text = pattern, str(Path(glob.escape(options.source)) / "**" / "*")
    elif glob.has_magic(options.source) or pattern.is_file():
        base, text = _base_of(pattern), options.source
    else:
        raise SourceError(
            f"there is no folder {shown(options.source)!r}",
            hint="name a folder or a pattern in quotes: 'archive/**/*.mp4'",
        )
    if is_inside(out, base):
        raise UsageError(
            f"the folder '{shown(out)}' lies inside the source '{shown(base)}'",
            hint="its videos would be input the next time: name a folder beside the source",
        )
    matched = matching(text)
    videos = sorted(
        {path for path in matched if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()},
        key=lambda path: natural_order(str(path)),
    )
    notes = []
    others = sum(path.is_file() for path in matched) - len(videos)
    if others:
        notes.append(f"{others} files that are no videos are left out")
    if not videos:
        raise SourceError(
            f"no video matches {shown(options.source)!r}",
            hint="keep the pattern in quotes; images need no --jobs",
        )
    jobs: dict[Path, FileJob] = {}
    for video in videos:
        name = video.relative_to(base)
        suffix = video.suffix.lower()
        target = out / name
        if suffix not in sinks.VIDEO_SUFFIXES:
            target = target.with_suffix(_OTHERWISE)
            notes.append(f"{shown(name)} becomes {shown(target.name)}")
        target = target.absolute()
        if target in jobs:
            raise UsageError(
                f"{shown(jobs[target].name)} and {shown(name)} would be written into one file",
                hint="rename one of them, or run them apart",
            )
        one = dataclasses.replace(
            options,
            source=str(video.absolute()),
            sinks=(str(target),),
            bundle=options.bundle.absolute(),
        )
        jobs[target] = FileJob(str(name), video.absolute(), target, one)
    return list(jobs.values()), notes


def orders_of(options: RunOptions) -> str:
    """Return a digest of all that changes what is written: the bundle and the options."""
    digest = hashlib.sha256(sha256_of(options.bundle / manifest.FILE_NAME).encode())
    told = dataclasses.replace(
        options, source="", sinks=(), bundle=Path(), threads=None, workers=None
    )
    digest.update(repr(told).encode())
    return digest.hexdigest()


def do_job(job: FileJob, stop: threading.Event | None = None) -> FileResult:
    """Run one job. Every failure that a user can mend is in the result and not raised."""
    if not is_utf8(job.source):
        return FileResult(job.name, failure="its name has bytes that are no UTF-8")
    try:
        summary = run_pipeline(job.options, stop=stop)
    except EdgeUnetError as error:
        stopped = stop is not None and stop.is_set()
        return FileResult(job.name, failure=error.message, interrupted=stopped)
    if summary.interrupted:
        job.target.unlink(missing_ok=True)
        return FileResult(job.name, interrupted=True)
    failure = summary.broken_off
    if not failure and summary.damaged and not summary.complete:
        failure = f"{summary.damaged} of its packets are damaged; the other frames are kept"
    return FileResult(job.name, summary.frames, summary.frames_per_second, failure, written=True)


def remove_partial_files(jobs: list[FileJob]) -> None:
    """Remove what killed processes left beside the targets of jobs. No job may be at work."""
    for job in jobs:
        for left in left_behind(job.target):
            left.unlink(missing_ok=True)


def _output_folder(options: RunOptions) -> Path:
    if len(options.sinks) != 1 or not sinks.is_path(options.sinks[0]):
        raise UsageError(
            "many files need one folder for their output", hint="name it after the source: OUT/"
        )
    text = options.sinks[0]
    out = Path(text)
    if not out.is_dir() and (out.exists() or (out.suffix and not text.endswith("/"))):
        raise UsageError(f"{shown(text)!r} is not a folder", hint=f"write {shown(text)}-videos/")
    return out


def _base_of(pattern: Path) -> Path:
    """Return the folder before the first part of a pattern that may stand for several names."""
    parts: list[str] = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)
