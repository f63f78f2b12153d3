"""Samples and data sets: images, one at a time, with their truth."""

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
"""The kind of a data set with real noisy images, to which no noise is added."""

# In pixels: SSIM's window must fit into the image.
SMALLEST_SIDE = 11


class Fit(str, enum.Enum):
    """What happens to images that do not have the frame's size. Images are never resized.

    crop: the centre of larger images is used; a smaller image is an error.
    skip: they are left out and named.
    refuse: each is an error.
    """

    CROP = "crop"
    SKIP = "skip"
    REFUSE = "refuse"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Sample:
    """One image of a data set.

    name: for reports.
    index: its number in the data set. Broken and left out images count too, so that an image has
        the same noise whatever the other files are.
    clean: (3, H, W) uint8, RGB.
    labels: (H, W) uint8; values from the number of classes on are void.
    true_class: number of its class.
    sequence: consecutive samples of one sequence are consecutive frames.
    noisy: the real noisy image, like clean; only in data sets of the kind ``PAIRS``.
    """

    name: str
    index: int
    clean: NDArray[np.uint8]
    labels: NDArray[np.uint8] | None = None
    true_class: int | None = None
    sequence: str = ""
    noisy: NDArray[np.uint8] | None = None


class DataSet(Protocol):
    """Images that can be iterated over once.

    kind: images, labels, classes, clip or pairs.
    consecutive: the images are certainly consecutive frames of videos.
    count: number of images; None when it is unknown.
    cropped: number of cropped images.
    left_out: one line per image that was not evaluated.
    swapped: names of pairs whose clean image is noisier than the noisy one.
    warnings: lines about what was evaluated, such as frames of two fields.
    ``cropped``, ``left_out`` and ``warnings`` are complete only after the iteration.
    """

    name: str
    kind: str
    consecutive: bool
    count: int | None
    cropped: int
    left_out: list[str]
    swapped: list[str]
    warnings: list[str]

    def __iter__(self) -> Iterator[Sample]: ...


class SmallImageError(SourceError):
    """An image is too small for SSIM."""


def check_fit(name: str, size: tuple[int, int], frame: tuple[int, int] | None, fit: Fit) -> bool:
    """Return whether an image is evaluated.

    name: for messages.
    size, frame: (height, width); without a frame any size fits.
    Raises SmallImageError when a side is below SMALLEST_SIDE, and SourceError for another size
    that ``fit`` does not allow.
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


def cropped(
    pixels: NDArray[np.uint8], frame: tuple[int, int] | None, times: int = 1
) -> NDArray[np.uint8]:
    """Return the centre of (..., H, W), of the frame's size.

    times: rows and columns per row and column of the frame. The part is the one that an image of
        a row and a column per pixel of the frame is cropped to.
    """
    if frame is None:
        return pixels
    sides = tuple(times * side for side in frame)
    if pixels.shape[-2:] == sides:
        return pixels
    top, left = (
        times * ((have // times - want) // 2)
        for have, want in zip(pixels.shape[-2:], frame, strict=True)
    )
    return np.ascontiguousarray(pixels[..., top : top + sides[0], left : left + sides[1]])
