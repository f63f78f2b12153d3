"""The rule for label images, which training and evaluation share.

``images/`` and ``labels/`` lie side by side. The labels of ``images/a/b.jpg`` are
``labels/a/b.png``. A label image has the size of its image as a viewer shows it, which is after
the image's EXIF orientation. It holds class numbers in one channel of at most 8 bits or in a
palette, or the colours that the classes are drawn in, as ``edgeunet run --view labels`` writes
them. The first number after the classes, and 255, are void. Other numbers are void as well, and
are told of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import SourceError
from edgeunet.images.folder_walk import paths_below
from edgeunet.images.folders import files_with, has_both
from edgeunet.images.label_file import read_label_file
from edgeunet.label_colours import VOID, numbers_by_colour, numbers_of
from edgeunet.names import compared_forms, natural_order, shown
from edgeunet.photographs import LabelMap, list_images
from edgeunet.specs import ClassLabel
from edgeunet.units import format_size

IMAGES, LABELS = "images", "labels"

_NUMBERS = 256
_NAMED = 8


@dataclass(frozen=True)
class Labelled:
    """An image file and the file of its labels.

    labels: None when there is none. wanted: where it was looked for.
    """

    image: Path
    labels: Path | None
    wanted: Path

    @property
    def missing(self) -> SourceError:
        """The error for labels that are not there."""
        return SourceError(
            f"{shown(self.image.name)} has no labels: there is no {shown(self.wanted)!r}",
            hint=f"every file in {IMAGES}/ needs a .png of the same name in {LABELS}/, in the same "
            "sub-folder",
        )


def has_labels(folder: Path) -> bool:
    """Return whether a folder has ``images/`` beside ``labels/``.

    Raises SourceError for a folder that has only the latter, or both with other capitals.
    """
    return has_both(folder, LABELS, IMAGES)


def pair_labels(folder: Path, *, notice: Callable[[str], None]) -> list[Labelled]:
    """Pair the images below ``images/`` with their label images, in natural order.

    notice: is given one line about pictures of other kinds, for each of the two folders.
    Raises SourceError when there are no images.
    """
    images, root = folder / IMAGES, folder / LABELS
    maps = {
        str(path.relative_to(root).with_suffix("")): path
        for path in files_with((".png",), paths_below(root), root, notice=notice)
    }
    forms = compared_forms(maps)
    there = {forms[stem]: path for stem, path in maps.items()}
    found = sorted(list_images(images, notice=notice), key=lambda path: natural_order(str(path)))
    stems = {path: str(path.relative_to(images).with_suffix("")) for path in found}
    forms = compared_forms(set(stems.values()))
    return [
        Labelled(path, there.get(forms[stem]), root / f"{stem}.png") for path, stem in stems.items()
    ]


def read_labels(
    path: Path, classes: Sequence[ClassLabel], size: tuple[int, int], image: str
) -> LabelMap:
    """Read a label image as (H, W) uint8 class numbers.

    classes: of the network. size: (height, width) of its image, upright. image: its name.
    Raises SourceError when it cannot be read, has another size, or has colours of no class.
    """
    try:
        numbers = _numbers(path, classes)
    except SourceError as error:
        raise SourceError(
            f"the labels of {image} cannot be read: {error.message}", hint=error.hint
        ) from error
    if numbers.shape != size:
        turned = numbers.shape == size[::-1]
        raise SourceError(
            f"the labels of {image} are {format_size(*numbers.shape)}, "
            f"the image is {format_size(*size)}",
            hint="a label image has its image's size"
            + (", after the image is turned upright by its EXIF orientation" if turned else ""),
        )
    return numbers


def _numbers(path: Path, classes: Sequence[ClassLabel]) -> LabelMap:
    """Return the class numbers of a label image, (H, W) uint8."""
    stored = read_label_file(path)
    numbers, colours = stored.numbers, stored.colours
    if numbers is not None and stored.palette and _is_drawn(stored.palette, classes):
        # A program has turned a colour image into a palette: its indices name no classes.
        colours = np.array(stored.palette, np.uint8)[np.minimum(numbers, len(stored.palette) - 1)]
    elif numbers is not None:
        return numbers
    named = (0, 0, 0) if colours is None else numbers_of(colours, classes)
    if isinstance(named, tuple):
        raise SourceError(
            f"{shown(path.name)} is not a label image: its colour {named} is that of no class",
            hint="save the class number of every pixel as an 8-bit grey PNG, or draw the classes "
            "in the colours of the recipe",
        )
    return named


def _is_drawn(palette: Sequence[tuple[int, int, int]], classes: Sequence[ClassLabel]) -> bool:
    """Return whether every colour of a palette is a class's, so that it was a colour image."""
    known = numbers_by_colour(classes)
    return all(colour in known for colour in palette)


class Census:
    """Counts the numbers in label images of one folder, to tell what counts as void.

    classes: how many classes the network has.
    """

    def __init__(self, folder: str, classes: int) -> None:
        self._folder = folder
        self._classes = classes
        self._pixels: NDArray[np.int64] = np.zeros(_NUMBERS, np.int64)
        self._files: list[str] = []

    def add(self, name: str, labels: LabelMap) -> None:
        """Count one label image. name: of its file."""
        pixels = np.bincount(labels.ravel(), minlength=_NUMBERS)
        self._pixels += pixels
        if self._strange(pixels):
            self._files.append(name)

    def check(self) -> None:
        """Raise SourceError when no pixel of any label image belongs to a class."""
        if self._pixels.any() and not self._pixels[: self._classes].any():
            raise SourceError(
                f"no pixel of the labels in {self._folder!r} belongs to a class: "
                f"{self._shares(np.flatnonzero(self._pixels).tolist())}",
                hint=f"the network's classes have the numbers 0 to {self._classes - 1}; 255 is "
                "void",
            )

    def notice(self) -> str | None:
        """Return one line about numbers that are probably not meant as void, or None."""
        strange = self._strange(self._pixels)
        present = np.flatnonzero(self._pixels).tolist()
        if strange:
            first, *others = self._files
            more = f" and {len(others)} more" if others else ""
            return (
                f"{first}{more}: the network has {self._classes} classes, 0 to "
                f"{self._classes - 1}, void instead: {self._shares(strange)}"
            )
        if present == [0, VOID]:
            return (
                f"the labels in {self._folder!r} hold 0 and {VOID} only, as a mask does, and "
                f"{VOID} is void: {self._shares([VOID])}"
            )
        return None

    def _strange(self, pixels: NDArray[np.int64]) -> list[int]:
        return [n for n in np.flatnonzero(pixels).tolist() if n > self._classes and n != VOID]

    def _shares(self, numbers: Sequence[int]) -> str:
        """Return numbers with their share of all pixels."""
        total = int(self._pixels.sum())
        named = [f"{n} ({_percent(self._pixels[n] / total)})" for n in numbers[:_NAMED]]
        rest = numbers[_NAMED:]
        if rest:
            named.append(f"{len(rest)} more ({_percent(self._pixels[rest].sum() / total)})")
        return ", ".join(named)


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"
