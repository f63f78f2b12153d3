"""What is evaluated on: one image at a time, with its truth where there is one."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import SourceError
from edgeunet.units import format_size

PAIRS = "pairs"
"""The kind of a set whose noisy images are real: no noise is added to it."""

# SSIM's window must fit.
SMALLEST_SIDE = 11


class Fit(str, enum.Enum):
    """What becomes of images that have another size than the frame. Nothing is ever resized.

    crop: of larger ones the centre; a smaller one is an error. skip: they are left out and named.
    refuse: each is an error.
    """

    CROP = "crop"
    SKIP = "skip"
    REFUSE = "refuse"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Sample:
    """One image.

    index: its place in the set, broken and left out ones counted, so that its noise is the same
    whatever lies beside it. clean: (3, H, W) uint8, RGB. labels: (H, W) uint8, void from the
    number of classes on. true_class: its number. sequence: consecutive samples of one sequence
    are consecutive frames. noisy: like clean, the same scene as a camera made it; in sets of
    the kind ``PAIRS`` alone, None where noise is to be added.
    """

    name: str
    index: int
    clean: NDArray[np.uint8]
    labels: NDArray[np.uint8] | None = None
    true_class: int | None = None
    sequence: str = ""
    noisy: NDArray[np.uint8] | None = None


class DataSet(Protocol):
    """Images to iterate over once.

    kind: images, labels, classes, clip or pairs. consecutive: they are frames of a video for
    certain.
    count: how many there will be, None when nobody knows.
    cropped, left_out: how many were cropped, and a line for each that was not evaluated; both are
    whole only after the iteration. swapped: the names of pairs whose clean image is noisier than
    the noisy one.
    """

    name: str
    kind: str
    consecutive: bool
    count: int | None
    cropped: int
    left_out: list[str]
    swapped: list[str]

    def __iter__(self) -> Iterator[Sample]: ...


class SmallImageError(SourceError):
    """An image that nothing can be measured on."""


def check_fit(name: str, size: tuple[int, int], frame: tuple[int, int] | None, fit: Fit) -> bool:
    """Say whether an image takes part; raise SourceError where it may not be left out.

    size, frame: (height, width). Raises SmallImageError for one below SMALLEST_SIDE.
    """
    if min(size) < SMALLEST_SIDE:
        raise SmallImageError(
            f"{name} is {format_size(*size)}, SSIM needs {SMALLEST_SIDE} pixels on each side",
            hint="give larger images",
        )
    if frame is None or size == frame:
        return True
    if fit is Fit.SKIP:
        return False
    smaller = size[0] < frame[0] or size[1] < frame[1]
    if fit is Fit.CROP and not smaller:
        return True
    what = "which is smaller than" if fit is Fit.CROP else "not"
    raise SourceError(
        f"{name} is {format_size(*size)}, {what} the frame of {format_size(*frame)}",
        hint="--fit skip leaves it out; or take a frame that every image has "
        "(edgeunet export --size HxW): nothing is resized",
    )


def cropped(pixels: NDArray[np.uint8], frame: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Return the centre of (..., H, W), of the frame's size."""
    if frame is None or pixels.shape[-2:] == frame:
        return pixels
    top, left = ((have - want) // 2 for have, want in zip(pixels.shape[-2:], frame, strict=True))
    return np.ascontiguousarray(pixels[..., top : top + frame[0], left : left + frame[1]])
