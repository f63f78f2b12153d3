"""Measured ranges, stored beside the calibration set as ``ranges/MODEL-WIDTH-SET.json``.

With them an export needs no frames and no measurement. They belong to one network, with one set of
weights, and to one set of frames; others are refused with the reason. Ranges that ship with a
shipped set are for the shipped weights. The ranges of other weights are stored in a separate
folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgeunet.calibration import CalibrationSet
from edgeunet.calibration.calibrators import Interval
from edgeunet.errors import RecipeError
from edgeunet.files import UNREADABLE, replacing_file
from edgeunet.specs import Calibrator, Engine

SCHEMA_VERSION = 3

_MOST_HELD_BACK = 32


class RangesKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The network and the set that ranges were measured for.

    width: 0 for a foreign network, which has only one form.
    calibration: the set's name.
    members, weights, structure: digests of the set's frames, of the weights and of the operators.
    """

    model: str
    width: int
    calibration: str
    members: str
    weights: str
    structure: str


class TensorRanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One tensor's interval by engine and calibrator. name: only for readers."""

    name: str
    intervals: dict[Engine, dict[Calibrator, Interval]]


class Ranges(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The result of a measurement.

    frames: number of frames that ranges were measured on, and that calibrators were compared on.
    fidelity_db: PSNR to the float graph on the latter, by engine and calibrator.
    factors: of channels, see graph/equalize.py.
    tensors: in execution order, measured with these factors.
    digest: SHA-256 of all other fields.
    """

    schema: int
    key: RangesKey
    frames: tuple[int, int]
    fidelity_db: dict[Engine, dict[Calibrator, float]]
    factors: tuple[float, ...]
    tensors: tuple[TensorRanges, ...]
    digest: str = ""

    def best(self, engine: Engine) -> Calibrator:
        """Return the calibrator with which an engine's graph is nearest to the float graph."""
        found = self.fidelity_db[engine]
        return max(found, key=lambda calibrator: found[calibrator])

    def intervals(self, engine: Engine, calibrator: Calibrator) -> tuple[Interval, ...]:
        """Return every tensor's interval, in execution order."""
        return tuple(tensor.intervals[engine][calibrator] for tensor in self.tensors)


def members_digest(calibration: CalibrationSet) -> str:
    """Return a digest of a set's frames, computed from their hashes."""
    digest = hashlib.sha256(f"{calibration.height}x{calibration.width}".encode())
    for member in calibration.members:
        digest.update(member.sha256.encode())
    return digest.hexdigest()


def ranges_path(folder: Path, key: RangesKey) -> Path:
    """Return the file of the ranges in a folder."""
    width = f"-{key.width}" if key.width else ""
    return folder / "ranges" / f"{key.model}{width}-{key.calibration}.json"


def find_ranges(shipped: Path | None, own: Path | None, key: RangesKey) -> Ranges | None:
    """Return the ranges for ``key``, or None if they were not measured yet.

    shipped: folder of a shipped set. Its file is only used for the network that it was measured
        for.
    own: folder of ranges that were measured here; None for none.
    Raises RecipeError as ``read_ranges`` does, and for a shipped file that was changed.
    """
    if shipped is not None and shipped.is_file() and not (own and _same(shipped, own)):
        ranges = _read(shipped)
        if _reason(ranges, key) is None:
            return ranges
    return None if own is None else read_ranges(own, key)


def read_ranges(path: Path, key: RangesKey) -> Ranges | None:
    """Return the ranges in a file, or None when there is no file.

    Raises RecipeError, with the reason, when they were not measured for ``key``.
    """
    if not path.is_file():
        return None
    ranges = _read(path)
    reason = _reason(ranges, key)
    if reason is not None:
        raise _refused(path, reason)
    return ranges


def write_ranges(path: Path, ranges: Ranges) -> None:
    """Write ranges with their digest. Raises OSError when the file cannot be written."""
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
    except UNREADABLE as error:
        raise _refused(path, f"it cannot be read: {error}") from error
    if ranges.digest != _digest(ranges):
        raise _refused(path, "it was changed after it was written (its digest differs)")
    return ranges


def _reason(ranges: Ranges, key: RangesKey) -> str | None:
    """Return why ranges do not belong to ``key``, or None if they do."""
    measured = ranges.key
    if (measured.model, measured.width) != (key.model, key.width):
        width = f" at width {measured.width}" if measured.width else ""
        return f"it was measured for another network, {measured.model}{width}"
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
    """Divide a set into members to measure ranges on, and members to compare calibrators on.

    Returns two lists of numbers. One in five is held back for comparing, at most 32 so that they
    fit in memory, with the same share of every noise level.
    """
    members = calibration.members
    by_level = sorted(range(len(members)), key=lambda number: members[number].sigma)
    step = max(5.0, len(members) / _MOST_HELD_BACK)
    count = min(-(-len(members) // 5), _MOST_HELD_BACK)
    held = sorted(by_level[int(turn * step)] for turn in range(count))
    return [number for number in range(len(members)) if number not in held], held
