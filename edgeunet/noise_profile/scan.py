"""Measure the noise of a source: a camera, a clip, or images of a static scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeunet.errors import SourceError, UsageError
from edgeunet.media.frames import Frame, Source
from edgeunet.media.sources import open_source
from edgeunet.noise_profile.flat import flat_profile
from edgeunet.noise_profile.profile import NoiseProfile
from edgeunet.noise_profile.shots import SMALLEST_SIDE, StaticShots
from edgeunet.units import format_size

CAMERA_FRAMES = 32
"""Default number of shots of a source without an end."""

SETTLING_FRAMES = 8
"""Number of first frames of a camera that are skipped while its exposure settles."""


@dataclass(frozen=True)
class Scan:
    """A profile, the files that it was measured on, and messages for the user."""

    profile: NoiseProfile
    paths: tuple[Path, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def scan(
    text: str,
    *,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    report: Callable[[int, int | None], None] = lambda done, total: None,
) -> Scan:
    """Measure the noise of a source that ``edgeunet run`` can read.

    frames: largest number of shots; None for all, and for ``CAMERA_FRAMES`` of a source without an
        end.
    size: (height, width) that cameras are set to.
    report: called with (shots done, shots in all or None).
    Raises SourceError when the scene moves, when a single shot is not flat, or when reading fails.
    """
    source = open_source(text, size)
    try:
        return _scan(source, frames, report)
    finally:
        source.close()


def _scan(source: Source, frames: int | None, report: Callable[[int, int | None], None]) -> Scan:
    if min(source.height, source.width) < SMALLEST_SIDE:
        raise SourceError(
            f"{source.name!r} is {format_size(source.height, source.width)} pixels, too small to "
            "measure its noise",
            hint=f"use frames of at least {format_size(SMALLEST_SIDE, SMALLEST_SIDE)}",
        )
    endless = source.live or source.endless
    if endless and frames is None:
        frames = CAMERA_FRAMES
    if endless and frames == 1:
        raise UsageError(
            "a camera's noise is measured from the differences between shots, and --frames 1 "
            "asks for one",
            hint="use --frames 2 or more; better leave it out",
        )
    notes = []
    if source.live:
        for _ in range(SETTLING_FRAMES):
            source.read()
        notes.append(f"the first {SETTLING_FRAMES} frames are left out: exposure settles in them")
    counts = [count for count in (frames, source.frame_count) if count is not None]
    total = min(counts) if counts else None
    shots = StaticShots()
    first: Frame | None = None
    taken = 0
    while taken != frames and (frame := source.read()) is not None:
        first = first or frame
        shots.add(np.ascontiguousarray(frame.image[:, :, ::-1]), _name_of(source, frame))
        taken += 1
        report(taken, total)
    delivered = source.report()
    warnings = [*delivered.warnings, *delivered.left_out()]
    if first is None:
        raise SourceError(f"{source.name!r} delivers no frame", hint="check it with edgeunet run")
    if taken > 1:
        profile = shots.profile(source.name)
        warnings += shots.warnings()
    else:
        profile = flat_profile(np.ascontiguousarray(first.image[:, :, ::-1]), source.name)
        notes.append(
            "measured in one shot, so a pixel's own offset counts as noise; two or more shots of "
            "a static scene tell more"
        )
    if frames is not None and endless and taken < frames and not delivered.broken_off:
        warnings.append(f"{source.name} ended after {taken} frames")
    return Scan(profile, source.paths, tuple(warnings), tuple(notes))


def _name_of(source: Source, frame: Frame) -> str:
    """Return a shot's name for messages: the file's, or its number from 1."""
    if frame.name is not None and len(source.paths) > 1:
        return source.paths[frame.index].name
    return f"frame {frame.index + 1}"
