"""How long segments of a recording are, and which of them are kept."""

from __future__ import annotations

from dataclasses import dataclass

from edgeunet.errors import UsageError
from edgeunet.units import MIB, parse_bytes, parse_duration

LEAST_FREE_BYTES = 256 * MIB


@dataclass(frozen=True)
class RecordingOptions:
    """How a recording is kept.

    segment_s: the length of a segment, in seconds.
    keep_bytes: the most that finished segments may take; the oldest go first, and the newest stays.
        None keeps all.
    keep_s: the age at which a segment goes. None keeps all.
    least_free_bytes: what is left free on the disk, if older segments can be removed for it.
    """

    segment_s: float
    keep_bytes: int | None = None
    keep_s: float | None = None
    least_free_bytes: int = LEAST_FREE_BYTES


def read_recording(
    segment: str | None, keep: str | None, least_free: str | None
) -> RecordingOptions | None:
    """Read ``10min``, ``20GiB`` or ``7d``, and ``1GiB``; return None without a segment.

    Raises UsageError for what is none of these, for a segment of less than a second, and for a
    limit without segments.
    """
    if segment is None:
        if keep is not None or least_free is not None:
            raise UsageError(
                "only segments of a recording are removed, and there are none",
                hint="add --segment 10min and a folder/",
            )
        return None
    segment_s = parse_duration(segment)
    if segment_s < 1:
        raise UsageError(f"{segment!r} is too short for a segment", hint="use --segment 1s or more")
    keep_bytes = keep_s = None
    if keep is not None:
        try:
            if keep[-1:] in "dhns":
                keep_s = parse_duration(keep)
            else:
                keep_bytes = parse_bytes(keep)
        except UsageError as error:
            raise UsageError(
                f"{keep!r} is neither a size nor an age of recordings",
                hint="write it like 20GiB or 7d",
            ) from error
        if keep_bytes == 0:
            raise UsageError(
                f"--keep {keep} keeps nothing", hint="write it like 20GiB or 7d, or leave it out"
            )
    free_bytes = LEAST_FREE_BYTES if least_free is None else parse_bytes(least_free)
    return RecordingOptions(segment_s, keep_bytes, keep_s, free_bytes)
