"""The frames of a set, one in memory at a time, each checked against its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeunet.calibration.sets import CalibrationSet, Member
from edgeunet.errors import RecipeError, near_match
from edgeunet.media.clip_reader import ClipFrames, open_clip
from edgeunet.noise_models import add_gaussian_uint8
from edgeunet.photographs import Photograph, read_photograph, shipped_photographs
from edgeunet.units import format_size

Frame = NDArray[np.uint8]


def frames(calibration: CalibrationSet) -> Iterator[Frame]:
    """Yield every member's frame, (height, width, 3) uint8 BGR, in the order of the file.

    Raises RecipeError, with the member's name, when its file is missing or its frame does not have
    the recorded hash. Raises SourceError for a clip that cannot be read.
    """
    return (frame for _, frame in pairs(calibration))


def pairs(
    calibration: CalibrationSet, numbers: Collection[int] | None = None
) -> Iterator[tuple[Frame, Frame]]:
    """Yield (crop without noise, frame) of every member.

    numbers: of the members to read, from 0; None for all.
    Raises the errors of ``frames``.
    """
    for label, member, clean, frame in _made(calibration, numbers):
        if _digest(frame) != member.sha256:
            raise RecipeError(
                f"{label} is not the frame the set was made with (its SHA-256 differs)",
                hint="the photograph or the library that decodes it has changed; "
                "calibration/README.md says how to make the set anew",
            )
        yield clean, frame


def sealed(calibration: CalibrationSet) -> CalibrationSet:
    """Return the set with the hash of every member's frame."""
    members = tuple(
        msgspec.structs.replace(member, sha256=_digest(frame))
        for _, member, _, frame in _made(calibration, None)
    )
    return msgspec.structs.replace(calibration, members=members)


def _made(
    calibration: CalibrationSet, numbers: Collection[int] | None
) -> Iterator[tuple[str, Member, Frame, Frame]]:
    """Yield (label, member, crop, frame) of the wanted members, without checking hashes."""
    size = (calibration.height, calibration.width)
    images = _Images()
    try:
        for number, member in enumerate(calibration.members):
            if numbers is not None and number not in numbers:
                continue
            label = f"member {number + 1} ({member.label}) of calibration set {calibration.name!r}"
            image = images.read(member, label)
            _check_crop(calibration, member, image, label)
            corner = member.top, member.left
            clean = _frame(image, corner, size, 0.0, member.seed)
            yield label, member, clean, _frame(image, corner, size, member.sigma, member.seed)
    finally:
        images.close()


class _Images:
    """The pictures that members are cut from; only one is in memory at a time."""

    def __init__(self) -> None:
        self._last: tuple[str, int | None] | None = None
        self._image: Photograph | None = None
        self._clip: ClipFrames | None = None
        self._clip_path, self._next = "", 0

    def read(self, member: Member, label: str) -> Photograph:
        key = member.source, member.frame
        if self._image is None or self._last != key:
            self._image = None
            self._image = self._read(member, label)
            self._last = key
        return self._image

    def close(self) -> None:
        if self._clip is not None:
            self._clip.close()
            self._clip = None

    def _read(self, member: Member, label: str) -> Photograph:
        if member.file is None:
            shipped = shipped_photographs()
            if member.source not in shipped:
                raise RecipeError(
                    f"{label}: there is no photograph {member.source!r}",
                    hint=near_match(member.source, shipped)
                    + f"known: {', '.join(sorted(shipped))}",
                )
            return shipped[member.source]
        path = Path(member.file)
        if not path.is_file():
            raise RecipeError(
                f"{label} is gone: there is no file {str(path)!r}",
                hint="put it back, or make the set anew: edgeunet calibrate --help",
            )
        return read_photograph(path) if member.frame is None else self._of_clip(member, label)

    def _of_clip(self, member: Member, label: str) -> Photograph:
        path, wanted = member.file or "", member.frame or 0
        if self._clip is None or self._clip_path != path or wanted < self._next:
            self.close()
            self._clip, self._clip_path, self._next = open_clip(Path(path)), path, 0
        while True:
            image = self._clip.read()
            if image is None:
                raise RecipeError(
                    f"{label}: the clip ends after {self._next} frames",
                    hint="put the whole clip back, or make the set anew: edgeunet calibrate --help",
                )
            self._next += 1
            if self._next > wanted:
                return image


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
    if sigma == 0:
        return np.ascontiguousarray(crop)
    return add_gaussian_uint8(crop, sigma, np.random.default_rng(seed))


def _digest(frame: Frame) -> str:
    return hashlib.sha256(np.ascontiguousarray(frame).tobytes()).hexdigest()
