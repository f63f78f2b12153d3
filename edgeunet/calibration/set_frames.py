"""The frames of a set, one in memory at a time, each checked against its hash."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeunet.calibration.sets import CalibrationSet, Member
from edgeunet.errors import RecipeError, near_match
from edgeunet.media.clip_reader import ClipFrames, open_clip
from edgeunet.noise_models import add_gaussian_uint8
from edgeunet.photographs import (
    Photograph,
    list_images,
    read_photograph,
    shipped_photographs,
)
from edgeunet.units import format_size

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class MemberFrames:
    """What is read of a member: frames of (height, width, 3) uint8 BGR.

    label: of the member, for messages.
    clean: the crop without noise. frame: with it.
    before: the frames before it in its clip with noise of their own, oldest first. They are fewer
        at the clip's beginning, and none for a member that is no frame of a clip.
    """

    label: str
    member: Member
    clean: Frame
    frame: Frame
    before: tuple[Frame, ...]


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
    for one in clips(calibration, numbers, 0):
        yield one.clean, one.frame


def clips(
    calibration: CalibrationSet, numbers: Collection[int] | None, earlier: int
) -> Iterator[MemberFrames]:
    """Yield the frames of members, each with up to so many of its clip that come before it.

    numbers: of the members to read, from 0; None for all.
    Raises the errors of ``frames``.
    """
    for one in _made(calibration, numbers, earlier):
        if _digest(one.frame) != one.member.sha256:
            raise RecipeError(
                f"{one.label} is not the frame the set was made with (its SHA-256 differs)",
                hint="the photograph or the library that decodes it has changed; "
                "calibration/README.md says how to make the set anew",
            )
        yield one


def sealed(calibration: CalibrationSet) -> CalibrationSet:
    """Return the set with the hash of every member's frame."""
    members = tuple(
        msgspec.structs.replace(one.member, sha256=_digest(one.frame))
        for one in _made(calibration, None, 0)
    )
    return msgspec.structs.replace(calibration, members=members)


def _made(
    calibration: CalibrationSet, numbers: Collection[int] | None, earlier: int
) -> Iterator[MemberFrames]:
    """Yield the frames of the wanted members, without checking hashes; see ``clips``."""
    size = (calibration.height, calibration.width)
    images = _Images(earlier)
    try:
        for number, member in enumerate(calibration.members):
            if numbers is not None and number not in numbers:
                continue
            label = f"member {number + 1} ({member.label}) of calibration set {calibration.name!r}"
            image = images.read(member, label)
            _check_crop(calibration, member, image, label)
            corner = member.top, member.left
            clean = _frame(image, corner, size, 0.0, member.seed)
            frame = _frame(image, corner, size, member.sigma, member.seed)
            # Noise of its own in every frame, and the same for the same frame before.
            before = tuple(
                _frame(picture, corner, size, member.sigma, (member.seed, age))
                for age, picture in images.before(member, label)
            )
            yield MemberFrames(label, member, clean, frame, before)
    finally:
        images.close()


class _Images:
    """The pictures that members are cut from.

    Only one is in memory at a time, and ``earlier`` that come before it in its clip.
    """

    def __init__(self, earlier: int) -> None:
        self._last: tuple[str, int | None] | None = None
        self._image: Photograph | None = None
        self._earlier = earlier
        # The last frames of the clip that was read, the newest of them included.
        self._newest: deque[Photograph] = deque(maxlen=earlier + 1)
        self._clip: ClipFrames | None = None
        self._clip_path, self._next = "", 0

    def read(self, member: Member, label: str) -> Photograph:
        key = member.source, member.frame
        if self._image is None or self._last != key:
            self._image = None
            self._image = self._read(member, label)
            self._last = key
        return self._image

    def before(self, member: Member, label: str) -> list[tuple[int, Photograph]]:
        """Return (age, picture) of what comes before the member that was read last, oldest first.

        Ages count from 1. A member that is no frame of a clip has nothing before it.
        """
        if member.frame is None or member.file is None:
            return []
        folder = Path(member.file)
        if folder.is_dir():
            paths = _frames_of(folder)
            first = max(member.frame - self._earlier, 0)
            found = [read_photograph(path) for path in paths[first : member.frame]]
        else:
            found = list(self._newest)[:-1]
        for image in found:
            _check_same_size(image, self._image, label)
        return [(len(found) - place, image) for place, image in enumerate(found)]

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
        if path.is_dir() and member.frame is not None:
            paths = _frames_of(path)
            if member.frame >= len(paths):
                raise RecipeError(
                    f"{label}: the folder has {len(paths)} pictures",
                    hint="put all of them back, or make the set anew: edgeunet calibrate --help",
                )
            return read_photograph(paths[member.frame])
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
            self._newest.clear()
        while True:
            image = self._clip.read()
            if image is None:
                raise RecipeError(
                    f"{label}: the clip ends after {self._next} frames",
                    hint="put the whole clip back, or make the set anew: edgeunet calibrate --help",
                )
            self._next += 1
            self._newest.append(image)
            if self._next > wanted:
                return image


def _frames_of(folder: Path) -> list[Path]:
    """Return the pictures of a folder whose pictures are the frames of a clip, in order."""
    return list_images(folder, notice=lambda text: None)


def _check_same_size(image: Photograph, last: Photograph | None, label: str) -> None:
    """Raise RecipeError unless two frames of a clip have one size."""
    if last is not None and image.shape != last.shape:
        raise RecipeError(
            f"{label}: a frame before it is {format_size(*image.shape[:2])}, it is "
            f"{format_size(*last.shape[:2])}",
            hint="the frames of a clip have one size: make the set without --consecutive",
        )


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
    photograph: Photograph,
    corner: tuple[int, int],
    size: tuple[int, int],
    sigma: float,
    seed: int | tuple[int, int],
) -> Frame:
    (top, left), (height, width) = corner, size
    crop = photograph[top : top + height, left : left + width, ::-1]
    if sigma == 0:
        return np.ascontiguousarray(crop)
    return add_gaussian_uint8(crop, sigma, np.random.default_rng(seed))


def _digest(frame: Frame) -> str:
    return hashlib.sha256(np.ascontiguousarray(frame).tobytes()).hexdigest()
