"""Find, read, check and write the file of a calibration set."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import msgspec

from edgeunet.errors import RecipeError, UsageError, near_match
from edgeunet.files import read_toml
from edgeunet.recipes import folder, toml_at

SCHEMA_VERSION = 1

FEWEST_MEMBERS = 5
"""Smallest number of members. One in five is held back to compare calibrators on."""

FOLDER = Path("calibration")
"""Folder of the user's own sets, below the current folder."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_FIELDS_HINT = "the fields are listed in calibration/README.md"


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table whose keys are all known."""


class Member(_Table, frozen=True, kw_only=True):
    """One frame: a crop of a photograph or of a clip's frame, with noise.

    photograph: name of a photograph in scikit-image; exactly one of it and ``file`` is set.
    file: path relative to the set's file; with ``frame``, of a video or of a folder of frames.
    frame: number in a clip, from 0; in a folder, by the order of the names.
    top, left: corner of the crop, in pixels.
    sigma: noise in 8-bit units.
    licence: where it differs from that of the set.
    sha256: of the resulting (height, width, 3) uint8 BGR frame, in hex.
    """

    photograph: str | None = None
    file: str | None = None
    frame: int | None = None
    top: int
    left: int
    sigma: float
    seed: int
    licence: str | None = None
    sha256: str

    @property
    def source(self) -> str:
        return self.photograph or self.file or ""

    @property
    def label(self) -> str:
        return self.source if self.frame is None else f"{self.source}, frame {self.frame}"


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


def is_set_name(name: str) -> bool:
    """Return whether a set may have this name, which is also used for files."""
    return _NAME.fullmatch(name) is not None


def load_calibration_set(name_or_path: str) -> CalibrationSet:
    """Return a set by path, or by the name of a shipped set or one in ``./calibration``.

    Paths inside the set become relative to the current folder.
    Raises UsageError for an unknown name, and RecipeError for a file that cannot be read.
    """
    return read_set(calibration_path(name_or_path))


def calibration_path(name_or_path: str) -> Path:
    """Return the file of a set; shipped sets come before those in ``./calibration``.

    Raises UsageError for an unknown name, and RecipeError when there is no such file.
    """
    shipped = calibration_names()
    path = toml_at(name_or_path, "calibration", shipped)
    if path is not None:
        return path
    if name_or_path in shipped:
        return folder("calibration") / f"{name_or_path}.toml"
    own = FOLDER / f"{name_or_path}.toml"
    if not own.is_file():
        known = [*shipped, *(path.stem for path in sorted(FOLDER.glob("*.toml")))]
        known = list(dict.fromkeys(known))
        raise UsageError(
            f"there is no calibration set {name_or_path!r}",
            hint=near_match(name_or_path, known)
            + f"known: {', '.join(known)}; or a path to a .toml file",
        )
    return own


def text_of(calibration: CalibrationSet, comment: str) -> str:
    """Return the TOML text of a set, one field per line."""
    lines = [f"# {comment}"]
    table = msgspec.to_builtins(calibration)
    members = table.pop("members")
    lines += [f"{key} = {_toml(value)}" for key, value in table.items()]
    for member in members:
        lines += ["", "[[members]]"]
        lines += [f"{key} = {_toml(value)}" for key, value in member.items() if value is not None]
    return "\n".join(lines) + "\n"


def _toml(value: str | float) -> str:
    # A TOML string is a JSON one, but for DEL, which it wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_set(path: Path) -> CalibrationSet:
    """Read and check one set's file."""
    try:
        calibration = read_toml(path, CalibrationSet)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path.name} is not a valid calibration set: {error}", hint=_FIELDS_HINT
        ) from error
    problem = _first_problem(calibration)
    if problem is None and calibration.name != path.stem:
        # Ranges are kept under the name, so two sets of one must not be in one folder.
        problem = f"its name is {calibration.name!r}, its file's {path.stem!r}"
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
        if member.frame is not None and (member.file is None or member.frame < 0):
            return f"frame of member {number} must be a number from 0, of a clip in file"
        if min(member.top, member.left, member.seed) < 0:
            return f"top, left and seed of member {number} must not be negative"
        if not (math.isfinite(member.sigma) and member.sigma >= 0):
            return f"sigma of member {number} must be a number from 0"
    return None
