"""Measured ranges, kept beside the calibration set: ``ranges/MODEL-WIDTH-SET.json``.

With them an export needs neither the frames nor a measurement. They hold for one network, with
one set of weights, on one set of frames; what does not fit is refused with the reason. Ranges
that ship with a shipped set are for the shipped weights: they serve those, and are no obstacle
to anybody else's, whose ranges are kept in a folder of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgeunet.calibration import CalibrationSet
from edgeunet.calibration.calibrators import Interval
from edgeunet.errors import RecipeError
from edgeunet.files import replacing_file
from edgeunet.specs import Calibrator, Engine

SCHEMA_VERSION = 3

_MOST_HELD_BACK = 32


class RangesKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What ranges were measured for.

    calibration: the set's name. members, weights, structure: digests of the set's frames, of the
    network's weights and of its operators.
    """

    model: str
    width: int
    calibration: str
    members: str
    weights: str
    structure: str


class TensorRanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One tensor's interval by target engine and calibrator. name: for people."""

    name: str
    intervals: dict[Engine, dict[Calibrator, Interval]]


class Ranges(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was measured.

    frames: how many ranges were measured on, and how many calibrators were compared on.
    fidelity_db: PSNR to the float graph on the latter, by target and calibrator. factors: of
    channels, see graph/equalize.py. tensors: in execution order, with these
    factors. digest: of everything else.
    """

    schema: int
    key: RangesKey
    frames: tuple[int, int]
    fidelity_db: dict[Engine, dict[Calibrator, float]]
    factors: tuple[float, ...]
    tensors: tuple[TensorRanges, ...]
    digest: str = ""

    def best(self, engine: Engine) -> Calibrator:
        """Return the calibrator that kept an engine's graph nearest to the float one."""
        found = self.fidelity_db[engine]
        return max(found, key=lambda calibrator: found[calibrator])

    def intervals(self, engine: Engine, calibrator: Calibrator) -> tuple[Interval, ...]:
        """Return every tensor's interval, in execution order."""
        return tuple(tensor.intervals[engine][calibrator] for tensor in self.tensors)


def members_digest(calibration: CalibrationSet) -> str:
    """Return a digest of a set's frames, without reading one."""
    digest = hashlib.sha256(f"{calibration.height}x{calibration.width}".encode())
    for member in calibration.members:
        digest.update(member.sha256.encode())
    return digest.hexdigest()


def ranges_path(folder: Path, key: RangesKey) -> Path:
    """Return where ranges are kept. folder: that of the set's file, or another one."""
    return folder / "ranges" / f"{key.model}-{key.width}-{key.calibration}.json"


def find_ranges(shipped: Path | None, own: Path | None, key: RangesKey) -> Ranges | None:
    """Return the ranges for ``key``, or None when nobody has measured them.

    shipped: of a shipped set, the file that comes with it; what it was not measured for is then
    looked for in ``own``, where new ones are kept; None keeps none. Raises RecipeError as
    ``read_ranges`` does, and for a shipped file that is not as it was shipped.
    """
    if shipped is not None and shipped.is_file() and not (own and _same(shipped, own)):
        ranges = _read(shipped)
        if _reason(ranges, key) is None:
            return ranges
    return None if own is None else read_ranges(own, key)


def read_ranges(path: Path, key: RangesKey) -> Ranges | None:
    """Return the ranges in a file, or None when there is no file.

    Raises RecipeError with the reason when they are not those that were measured for ``key``.
    """
    if not path.is_file():
        return None
    ranges = _read(path)
    reason = _reason(ranges, key)
    if reason is not None:
        raise _refused(path, reason)
    return ranges


def write_ranges(path: Path, ranges: Ranges) -> None:
    """Write ranges with their digest. Raises OSError when that is not possible."""
    sealed = msgspec.structs.replace(ranges, digest=_digest(ranges))
    with replacing_file(path) as beside:
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(sealed), indent=1) + b"\n")


class _Version(msgspec.Struct, frozen=True):
    schema: int


def _read(path: Path) -> Ranges:
    content = path.read_bytes()
    try:
        schema = msgspec.json.decode(content, type=_Version).schema
        if schema != SCHEMA_VERSION:
            raise _refused(path, f"its schema is {schema}, this version reads {SCHEMA_VERSION}")
        ranges = msgspec.json.decode(content, type=Ranges)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refused(path, f"it cannot be read: {error}") from error
    if ranges.digest != _digest(ranges):
        raise _refused(path, "it was changed after it was written (its digest differs)")
    return ranges


def _reason(ranges: Ranges, key: RangesKey) -> str | None:
    """Return why ranges are not those of ``key``; None when they are."""
    measured = ranges.key
    if (measured.model, measured.width) != (key.model, key.width):
        return f"it was measured for another network, {measured.model} at width {measured.width}"
    if measured.structure != key.structure:
        return f"it was measured for another network: the operators of {key.model} have changed"
    if measured.weights != key.weights:
        return "it was measured with other weights"
    if measured.calibration != key.calibration:
        return f"it was measured on another calibration set, {measured.calibration!r}"
    if measured.members != key.members:
        return "it was measured on other frames: the calibration set has changed"
    return None


def _refused(path: Path, reason: str) -> RecipeError:
    return RecipeError(
        f"the ranges in {str(path)!r} cannot be used: {reason}",
        hint="delete the file, and the next export measures anew",
    )


def _digest(ranges: Ranges) -> str:
    document = msgspec.structs.replace(ranges, digest="")
    return hashlib.sha256(msgspec.json.encode(document)).hexdigest()


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def held_back(calibration: CalibrationSet) -> tuple[Sequence[int], Sequence[int]]:
    """Divide members by number: to measure ranges on, and to compare calibrators on.

    One in five is held back, 32 at most, so that they can be kept in memory; of every noise level
    its share.
    """
    members = calibration.members
    by_level = sorted(range(len(members)), key=lambda number: members[number].sigma)
    step = max(5.0, len(members) / _MOST_HELD_BACK)
    count = min(-(-len(members) // 5), _MOST_HELD_BACK)
    held = sorted(by_level[int(turn * step)] for turn in range(count))
    return [number for number in range(len(members)) if number not in held], held
