"""Read folders of images, with or without labels, as samples.

There are four kinds of folders:
- ``images/`` and ``labels/``: every image has a label image of the same stem;
- one sub-folder per class of the recipe, named after it;
- ``noisy/`` and ``clean/``: real pairs, see ``edgeunet.pairs``;
- anything else: photographs without labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgeunet.errors import SourceError
from edgeunet.pairs import find_pairs, has_pairs, look_swapped, read_pair, swapped_in_words
from edgeunet.photographs import (
    IMAGE_SUFFIXES,
    LabelMap,
    list_images,
    read_labels,
    read_photograph,
)
from edgeunet.recipes import Recipe
from edgeunet.specs import Task
from edgeunet.train.samples import Sample, pathway_of

Notice = Callable[[str], None]

# Data sets mark void by the first number after the classes, or by 255.
_USUAL_VOID = 255


def load_samples(folders: Sequence[Path], recipe: Recipe, *, notice: Notice) -> list[Sample]:
    """Read every image below the folders; ``notice`` is called for those that are skipped.

    Raises SourceError when a folder has no images, when it has no labels that the recipe's outputs
    need, and when no image can be read.
    """
    segment, classify = (pathway_of(recipe, task) for task in (Task.SEGMENT, Task.CLASSIFY))
    denoises = any(pathway.head is Task.DENOISE for pathway in recipe.pathways)
    samples: list[Sample] = []
    for folder in folders:
        has_labels = (folder / "images").is_dir() and (folder / "labels").is_dir()
        if has_labels and segment is not None:
            samples += _label_maps(folder, len(segment.classes), notice)
            continue
        names = [] if classify is None else [entry.name for entry in classify.classes]
        if any((folder / name).is_dir() for name in names):
            samples += _class_folders(folder, names, notice)
            continue
        if denoises and has_pairs(folder) and not has_labels:
            samples += _pairs(folder, notice)
            continue
        paths = list_images(folder / "images" if has_labels else folder)
        if not denoises:
            wanted = segment or classify
            raise SourceError(
                f"{str(folder)!r} has no labels for the output {wanted and wanted.output!r}",
                hint="see 'Data' in export/README.md for the folders that have",
            )
        samples += [Sample(image) for path in paths if (image := _image(path, notice)) is not None]
    if folders and not samples:
        raise SourceError("no training image can be read", hint="replace the images named above")
    return samples


def check_labels(samples: Sequence[Sample], recipe: Recipe) -> None:
    """Raise SourceError when an output of the recipe has no labels to learn from."""
    segment, classify = (pathway_of(recipe, task) for task in (Task.SEGMENT, Task.CLASSIFY))
    if segment is not None and not any(sample.labels is not None for sample in samples):
        raise SourceError(
            f"there are no label maps for the output {segment.output!r} of {recipe.name!r}",
            hint="give --data a folder with images/ and labels/: class numbers, same file stems",
        )
    if classify is not None and not any(sample.number is not None for sample in samples):
        names = ", ".join(entry.name for entry in classify.classes)
        raise SourceError(
            f"there are no classes for the output {classify.output!r} of {recipe.name!r}",
            hint=f"give --data a folder with a sub-folder of images per class: {names}",
        )


def _label_maps(folder: Path, classes: int, notice: Notice) -> list[Sample]:
    images = list_images(folder / "images")
    maps = {
        path.relative_to(folder / "labels").with_suffix(""): path
        for path in sorted((folder / "labels").rglob("*.png"))
    }
    samples: list[Sample] = []
    strange: dict[str, list[int]] = {}
    for path in images:
        label_path = maps.get(path.relative_to(folder / "images").with_suffix(""))
        if label_path is None:
            notice(f"{path.name} has no label image {path.stem}.png: skipped")
            continue
        image = _image(path, notice)
        labels = _labels(label_path, notice)
        if image is None or labels is None:
            continue
        if labels.shape != image.shape[:2]:
            notice(
                f"{label_path.name} is {_size(labels.shape)} pixels, its image "
                f"{_size(image.shape)}: skipped"
            )
            continue
        if outside := [n for n in np.unique(labels).tolist() if n > classes and n != _USUAL_VOID]:
            strange[label_path.name] = outside
        samples.append(Sample(image, labels))
    if strange:
        first, *others = strange
        numbers = ", ".join(
            str(n) for n in sorted({n for found in strange.values() for n in found})
        )
        more = f" and {len(others)} more" if others else ""
        notice(f"{first}{more}: the recipe has {classes} classes, void instead: {numbers}")
    return samples


def _pairs(folder: Path, notice: Notice) -> list[Sample]:
    pairing = find_pairs(folder, IMAGE_SUFFIXES)
    for alone in pairing.alone:
        notice(f"{alone.message}: skipped")
    samples, swapped = [], []
    for pair in pairing.pairs:
        try:
            noisy, clean = read_pair(pair)
        except SourceError as error:
            notice(f"{error.message}: skipped")
            continue
        if look_swapped(noisy, clean):
            swapped.append(pair.name)
        samples.append(Sample(clean, noisy=noisy))
    if swapped:
        notice(f"{folder}: {swapped_in_words(swapped)}")
    return samples


def _class_folders(folder: Path, names: Sequence[str], notice: Notice) -> list[Sample]:
    found = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if strangers := [name for name in found if name not in names]:
        raise SourceError(
            f"{strangers[0]!r} in {str(folder)!r} is not a class of the recipe",
            hint=f"its classes are: {', '.join(names)}",
        )
    return [
        Sample(image, number=number)
        for number, name in enumerate(names)
        if name in found
        for path in list_images(folder / name)
        if (image := _image(path, notice)) is not None
    ]


def _image(path: Path, notice: Notice) -> LabelMap | None:
    try:
        return read_photograph(path)
    except SourceError as error:
        notice(error.message)
        return None


def _labels(path: Path, notice: Notice) -> LabelMap | None:
    try:
        return read_labels(path)
    except SourceError as error:
        notice(error.message)
        return None


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
