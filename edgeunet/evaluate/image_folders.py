"""Data sets in folders: plain images, ``images/`` beside ``labels/``, or one folder per class.

All files are checked before the first is evaluated, so that an error in the last one shows at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeunet.errors import SourceError, near_match
from edgeunet.evaluate.truth import Fit, Sample, SmallImageError, check_fit, cropped
from edgeunet.images.folder_walk import walk
from edgeunet.label_maps import Census, has_labels, pair_labels, read_labels
from edgeunet.names import natural_order, shown
from edgeunet.photographs import LabelMap, list_images, read_photograph
from edgeunet.specs import ClassLabel
from edgeunet.units import format_size

PLAIN, LABELLED, CLASSIFIED = "images", "labels", "classes"


@dataclass(frozen=True)
class Item:
    """An image file and its truth; the fields are those of ``Sample``."""

    index: int
    path: Path
    name: str
    labels: Path | None = None
    true_class: int | None = None


class FolderData:
    """Image files in natural order, as a ``DataSet``."""

    def __init__(
        self,
        name: str,
        kind: str,
        items: Sequence[Item],
        *,
        frame: tuple[int, int] | None,
        fit: Fit,
        segments: Sequence[ClassLabel] = (),
        limit: int | None = None,
        left_out: Sequence[str] = (),
    ) -> None:
        """Check the files, and keep the first ``limit`` images that can be evaluated.

        kind: ``PLAIN``, ``LABELLED`` or ``CLASSIFIED``.
        frame: (height, width) of the network's frame; None for any size.
        fit: what happens to images of another size.
        segments: the classes that label maps name.
        left_out: lines about files that are not among the items.
        Raises SourceError when no image can be evaluated, a label map does not fit its image, or
        no label map names a class.
        """
        self.name = name
        self.kind = kind
        self.consecutive = False
        self.cropped = 0
        self.left_out: list[str] = [*left_out]
        self.swapped: list[str] = []
        self.warnings: list[str] = []
        self._frame = frame
        self._classes = segments
        self._items: list[Item] = []
        census = Census(name, len(segments))
        for item in items:
            if len(self._items) == limit:
                break
            self._survey(item, fit, census)
        if not self._items:
            raise SourceError(
                f"no image of {name!r} can be evaluated: {self.left_out[-1]}",
                hint="give 8-bit images" + (f" of {format_size(*frame)}" if frame else ""),
            )
        census.check()
        self.label_notice = census.notice()
        self.count: int | None = len(self._items)

    def __iter__(self) -> Iterator[Sample]:
        for item in self._items:
            photograph = read_photograph(item.path)
            labels = None
            if item.labels is not None:
                labels = cropped(self._read_labels(item, photograph.shape[:2]), self._frame)
            yield Sample(
                item.name,
                item.index,
                cropped(np.ascontiguousarray(photograph.transpose(2, 0, 1)), self._frame),
                labels,
                item.true_class,
                str(item.path.parent),
            )

    def _survey(self, item: Item, fit: Fit, census: Census) -> None:
        try:
            photograph = read_photograph(item.path)
        except SourceError as error:
            self.left_out.append(error.message)
            return
        size = (photograph.shape[0], photograph.shape[1])
        try:
            takes_part = check_fit(item.name, size, self._frame, fit)
        except SmallImageError as error:
            self.left_out.append(error.message)
            return
        if not takes_part:
            wanted = format_size(*(self._frame or size))
            self.left_out.append(f"{item.name} is {format_size(*size)}, not {wanted}")
            return
        if item.labels is not None:
            census.add(item.labels.name, self._read_labels(item, size))
        self.cropped += self._frame not in (None, size)
        self._items.append(item)

    def _read_labels(self, item: Item, size: tuple[int, ...]) -> LabelMap:
        """Return the label map of an item, (H, W) uint8. size: of its image, (H, W)."""
        return read_labels(item.labels or item.path, self._classes, (size[0], size[1]), item.name)


def open_folder(
    path: Path,
    *,
    classes: Sequence[str],
    segments: Sequence[ClassLabel],
    frame: tuple[int, int] | None,
    fit: Fit,
    limit: int | None = None,
) -> FolderData:
    """Open a folder, or a single image file, as a data set.

    classes: names of the network's classes; folders with these names hold the images of a class.
    segments: classes of the network's segment head, for which ``labels/`` is read where it
        exists; none without that head.
    frame: (height, width) of the network's frame; None for any size.
    fit: what happens to images of another size.
    limit: the most images; None takes all.
    Raises SourceError for a folder without images, and for labels that are missing or broken.
    """
    kind, items = PLAIN, []
    told: list[str] = []
    if path.is_file():
        items = [Item(0, path, shown(path.name))]
    elif has_labels(path):
        kind = LABELLED if segments else PLAIN
        pairs = pair_labels(path, notice=told.append)
        for pair in pairs:
            if segments and pair.labels is None:
                raise pair.missing
        items = [
            Item(i, pair.image, shown(pair.image.name), pair.labels if segments else None)
            for i, pair in enumerate(pairs)
        ]
    elif classes and any((path / name).is_dir() for name in classes):
        kind = CLASSIFIED
        _check_classes(path, classes)
        files = [(n, p) for n, name in enumerate(classes) for p in _of_class(path / name, told)]
        items = [
            Item(i, image, shown(image.relative_to(path)), true_class=number)
            for i, (number, image) in enumerate(files)
        ]
        if not items:
            list_images(path, notice=told.append)
    else:
        items = [Item(i, p, shown(p.relative_to(path))) for i, p in enumerate(_sorted(path, told))]
    return FolderData(
        str(path), kind, items,
        frame=frame, fit=fit, segments=segments, limit=limit, left_out=told,
    )  # fmt: skip


def _sorted(folder: Path, told: list[str]) -> list[Path]:
    """Return the images below a folder in natural order: frame_2 before frame_10.

    told: gets one line about pictures of kinds that are not read.
    """
    return sorted(
        list_images(folder, notice=told.append), key=lambda path: natural_order(str(path))
    )


def _of_class(folder: Path, told: list[str]) -> list[Path]:
    holds_any = folder.is_dir() and any(path.is_file() for path in walk(folder))
    return _sorted(folder, told) if holds_any else []


def _check_classes(path: Path, classes: Sequence[str]) -> None:
    for folder in sorted(entry for entry in path.iterdir() if entry.is_dir()):
        if folder.name not in classes and not folder.name.startswith("."):
            raise SourceError(
                f"the folder {folder.name!r} in {str(path)!r} is no class of the network",
                hint=near_match(folder.name, classes) + f"classes: {', '.join(classes)}",
            )
