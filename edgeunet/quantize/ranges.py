"""Measured ranges, kept beside the calibration set: ``ranges/MODEL-WIDTH-SET.json``.

With them an export needs neither the frames nor a measurement. They hold for one network, with
one set of weights, on one set of frames; what does not fit is refused with the reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgeunet.calibrations import CalibrationSet
from edgeunet.errors import RecipeError
from edgeunet.files import replacing_file
from edgeunet.quantize.calibrators import Calibrator, Interval
from edgeunet.specs import Engine

SCHEMA_VERSION = 1


class TensorRanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One tensor's interval by target engine and calibrator. name: for people."""

    name: str
    intervals: dict[Engine, dict[Calibrator, Interval]]


class Ranges(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was measured.

    members, weights, structure: digests of the set's frames, of the network's weights and of
    its operators. frames: how many ranges were measured on, and how many calibrators were
    compared on. fidelity_db: PSNR to the float graph on the latter, by target and calibrator.
    tensors: in execution order. digest: of everything else.
    """

    schema: int
    model: str
    width: int
    calibration: str
    members: str
    weights: str
    structure: str
    frames: tuple[int, int]
    fidelity_db: dict[Engine, dict[Calibrator, float]]
    tensors: tuple[TensorRanges, ...]
    digest: str = ""

    def best(self, engine: Engine) -> Calibrator:
        """Return the calibrator that kept an engine's graph nearest to the float one."""
        found = self.fidelity_db[engine]
        return max(found, key=lambda calibrator: found[calibrator])

    def intervals(self, engine: Engine, calibrator: Calibrator) -> tuple[Interval, ...]:
        """Return every tensor's interval, in execution order."""
        return tuple(tensor.intervals[engine][calibrator] for tensor in self.tensors)


@dataclass(frozen=True)
class RangesKey:
    """What ranges must have been measured for."""

    model: str
    width: int
    calibration: str
    members: str
    weights: str
    structure: str


def members_digest(calibration: CalibrationSet) -> str:
    """Return a digest of a set's frames, without reading one."""
    digest = hashlib.sha256(f"{calibration.height}x{calibration.width}".encode())
    for member in calibration.members:
        digest.update(member.sha256.encode())
    return digest.hexdigest()


def ranges_path(folder: Path, key: RangesKey) -> Path:
    """Return where ranges are kept. folder: that of the set's file."""
    return folder / "ranges" / f"{key.model}-{key.width}-{key.calibration}.json"


def read_ranges(path: Path, key: RangesKey) -> Ranges | None:
    """Return the ranges in a file, or None when there is no file.

    Raises RecipeError with the reason when they are not those that were measured for ``key``.
    """
    if not path.is_file():
        return None
    try:
        ranges = msgspec.json.decode(path.read_bytes(), type=Ranges)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refused(path, f"it cannot be read: {error}") from error
    reason = _reason(ranges, key)
    if reason is not None:
        raise _refused(path, reason)
    return ranges


def write_ranges(path: Path, ranges: Ranges) -> None:
    """Write ranges with their digest. Raises OSError when that is not possible."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sealed = msgspec.structs.replace(ranges, digest=_digest(ranges))
    with replacing_file(path) as beside:
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(sealed), indent=1) + b"\n")


def _reason(ranges: Ranges, key: RangesKey) -> str | None:
    if ranges.schema != SCHEMA_VERSION:
        return f"its schema is {ranges.schema}, this version reads {SCHEMA_VERSION}"
    if ranges.digest != _digest(ranges):
        return "it was changed after it was written (its digest differs)"
    if (ranges.model, ranges.width) != (key.model, key.width) or ranges.structure != key.structure:
        return f"it was measured for another network, {ranges.model} at width {ranges.width}"
    if ranges.weights != key.weights:
        return "it was measured with other weights"
    if (ranges.calibration, ranges.members) != (key.calibration, key.members):
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


def held_back(count: int) -> tuple[Sequence[int], Sequence[int]]:
    """Divide frames by number: to measure ranges on, and to compare calibrators on.

    Every fifth is held back: sets go through four noise levels in turn.
    """
    held = range(0, count, 5)
    return [index for index in range(count) if index not in held], held
