"""Calibration sets: ``calibration/*.toml`` read into frozen types, and their frames.

A set names its frames instead of holding them, with a hash for each: it is small, can be
read, and gives the same bytes everywhere or an error that says which frame differs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import RecipeError, UsageError, near_match
from edgeunet.noise import add_gaussian_uint8
from edgeunet.photographs import Photograph, read_photograph, shipped_photographs
from edgeunet.recipes import folder
from edgeunet.units import format_size

SCHEMA_VERSION = 1

Frame = NDArray[np.uint8]

_FIELDS_HINT = "the fields are listed in calibration/README.md"


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table whose keys are all known."""


class Member(_Table, frozen=True, kw_only=True):
    """One frame: a crop of a photograph, with noise.

    photograph: a name scikit-image ships; file: a path relative to the set's file (one of
    the two). top, left: corner of the crop in pixels. sigma: noise in 8-bit units.
    sha256: of the resulting (height, width, 3) uint8 BGR frame, hex.
    """

    photograph: str | None = None
    file: str | None = None
    top: int
    left: int
    sigma: float
    seed: int
    sha256: str

    @property
    def source(self) -> str:
        return self.photograph or self.file or ""


class CalibrationSet(_Table, frozen=True, kw_only=True):
    """One ``calibration/NAME.toml``. Every frame is (height, width), in pixels."""

    schema: int
    name: str
    title: str
    licence: str
    height: int
    width: int
    members: tuple[Member, ...]


def calibration_names() -> tuple[str, ...]:
    """Return the names of the shipped sets, sorted."""
    return tuple(sorted(path.stem for path in folder("calibration").glob("*.toml")))


def load_calibration_set(name_or_path: str) -> CalibrationSet:
    """Return a shipped set by name, or any set by path; files in it are then found from here.

    Raises UsageError when there is none of that name, RecipeError when it cannot be read.
    """
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        if not path.is_file():
            raise RecipeError(
                f"there is no calibration file {name_or_path!r}",
                hint=f"give a path to a .toml file, or one of: {', '.join(calibration_names())}",
            )
        return _read(path)
    if name_or_path not in calibration_names():
        raise UsageError(
            f"there is no calibration set {name_or_path!r}",
            hint=near_match(name_or_path, calibration_names())
            + f"known: {', '.join(calibration_names())}; or a path to a .toml file",
        )
    return _read(folder("calibration") / f"{name_or_path}.toml")


def calibration_folder(name_or_path: str) -> Path:
    """Return the folder that a set's file is in, for ``load_calibration_set``'s argument."""
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        return Path(name_or_path).parent
    return folder("calibration")


def frames(calibration: CalibrationSet) -> Iterator[Frame]:
    """Yield every member's frame, (height, width, 3) uint8 BGR, in the order of the file.

    Raises RecipeError that names the member when a frame is not the one its hash promises.
    """
    return (frame for _, frame in pairs(calibration))


def pairs(calibration: CalibrationSet) -> Iterator[tuple[Frame, Frame]]:
    """Yield every member's crop without noise, and its frame. Raises as ``frames`` does."""
    photographs: dict[str, Photograph] = {}
    for number, member in enumerate(calibration.members, start=1):
        label = f"member {number} ({member.source}) of calibration set {calibration.name!r}"
        if member.source not in photographs:
            # One photograph at a time: a set of many large files must not fill the memory.
            photographs = {member.source: _photograph(member, label)}
        _check_crop(calibration, member, photographs[member.source], label)
        place = (member.top, member.left), (calibration.height, calibration.width)
        frame = _frame(photographs[member.source], *place, member.sigma, member.seed)
        if _digest(frame) != member.sha256:
            raise RecipeError(
                f"{label} is not the frame the set was made with (its SHA-256 differs)",
                hint="the photograph or the library that decodes it has changed; "
                "calibration/README.md says how to make the set anew",
            )
        yield _frame(photographs[member.source], *place, 0.0, member.seed), frame


def _read(path: Path) -> CalibrationSet:
    try:
        calibration = msgspec.toml.decode(path.read_bytes(), type=CalibrationSet)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path.name} is not a valid calibration set: {error}", hint=_FIELDS_HINT
        ) from error
    problem = _first_problem(calibration)
    if problem:
        raise RecipeError(
            f"{path.name} is not a valid calibration set: {problem}", hint=_FIELDS_HINT
        )
    members = tuple(
        member
        if member.file is None
        else msgspec.structs.replace(member, file=str(path.parent / member.file))
        for member in calibration.members
    )
    return msgspec.structs.replace(calibration, members=members)


def _first_problem(calibration: CalibrationSet) -> str | None:
    if calibration.schema != SCHEMA_VERSION:
        return f"schema is {calibration.schema}, this version reads {SCHEMA_VERSION}"
    if min(calibration.height, calibration.width) < 1:
        return "height and width must be at least 1"
    if not calibration.members:
        return "it has no [[members]]"
    for number, member in enumerate(calibration.members, start=1):
        if (member.photograph is None) == (member.file is None):
            return f"member {number} must have either photograph or file"
        if min(member.top, member.left, member.seed) < 0:
            return f"top, left and seed of member {number} must not be negative"
        if not (math.isfinite(member.sigma) and member.sigma >= 0):
            return f"sigma of member {number} must be a number from 0"
    return None


def _photograph(member: Member, label: str) -> Photograph:
    if member.file is not None:
        return read_photograph(Path(member.file))
    shipped = shipped_photographs()
    if member.source not in shipped:
        raise RecipeError(
            f"{label}: there is no photograph {member.source!r}",
            hint=near_match(member.source, shipped) + f"known: {', '.join(sorted(shipped))}",
        )
    return shipped[member.source]


def _check_crop(
    calibration: CalibrationSet, member: Member, photograph: Photograph, label: str
) -> None:
    bottom, right = member.top + calibration.height, member.left + calibration.width
    height, width = photograph.shape[:2]
    if bottom > height or right > width:
        raise RecipeError(
            f"{label}: the crop ends at row {bottom}, column {right}; "
            f"the photograph is {format_size(height, width)}",
            hint="move the crop, or use a larger photograph",
        )


def _frame(
    photograph: Photograph, corner: tuple[int, int], size: tuple[int, int], sigma: float, seed: int
) -> Frame:
    (top, left), (height, width) = corner, size
    crop = photograph[top : top + height, left : left + width, ::-1]
    return add_gaussian_uint8(crop, sigma, np.random.default_rng(seed))


def _digest(frame: Frame) -> str:
    return hashlib.sha256(np.ascontiguousarray(frame).tobytes()).hexdigest()


# How the shipped set is made. rocket is left out: it is a JPEG, which libraries decode
# differently, and a photograph that no range was measured on is needed to judge by.
_PHOTOGRAPHS = ("astronaut", "chelsea", "coffee")
_SIDE = 256
_GRID = 16
_SIGMAS = (0.0, 15.0, 25.0, 50.0)

_HEADER = f"""\
# Made by edgeunet.calibrations.generate(), see README.md; do not edit.
schema = {SCHEMA_VERSION}
name = "photographs"
title = "Dark, middling and bright crops of photographs, clean to very noisy"
licence = "Photographs that scikit-image ships: public domain (astronaut), CC0 (chelsea, coffee)"
height = {_SIDE}
width = {_SIDE}
"""


def generate() -> str:
    """Return the text of ``calibration/photographs.toml``.

    From every photograph the darkest, the median and the brightest crop on a grid, each at
    every noise level.
    """
    shipped = shipped_photographs()
    text = _HEADER
    seed = 0
    for name in _PHOTOGRAPHS:
        for top, left in _by_brightness(shipped[name]):
            for sigma in _SIGMAS:
                frame = _frame(shipped[name], (top, left), (_SIDE, _SIDE), sigma, seed)
                text += (
                    f'\n[[members]]\nphotograph = "{name}"\ntop = {top}\nleft = {left}\n'
                    f'sigma = {sigma}\nseed = {seed}\nsha256 = "{_digest(frame)}"\n'
                )
                seed += 1
    return text


def _by_brightness(photograph: Photograph) -> tuple[tuple[int, int], ...]:
    """Return the corners (top, left) of the darkest, the median and the brightest crop."""
    rows = range(0, photograph.shape[0] - _SIDE + 1, _GRID)
    columns = range(0, photograph.shape[1] - _SIDE + 1, _GRID)
    ranked = sorted(
        (int(photograph[top : top + _SIDE, left : left + _SIDE].sum(dtype=np.int64)), top, left)
        for top in rows
        for left in columns
    )
    chosen = (ranked[0], ranked[len(ranked) // 2], ranked[-1])
    return tuple((top, left) for _, top, left in chosen)
