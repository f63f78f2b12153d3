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

from edgeunet.errors import SourceError
from edgeunet.label_maps import Census, has_labels, pair_labels, read_labels
from edgeunet.names import shown
from edgeunet.pairs import find_pairs, has_pairs, look_swapped, read_pair, swapped_in_words
from edgeunet.photographs import Photograph, list_images, read_photograph
from edgeunet.recipes import Recipe
from edgeunet.specs import ClassLabel, Task
from edgeunet.suffixes import IMAGE_SUFFIXES
from edgeunet.train.samples import Sample, pathway_of

Notice = Callable[[str], None]


def load_samples(folders: Sequence[Path], recipe: Recipe, *, notice: Notice) -> list[Sample]:
    """Read every image below the folders; ``notice`` is called for those that are skipped.

    Raises SourceError when a folder has no images, when it has no labels that the recipe's outputs
    need, and when no image can be read.
    """
    segment, classify = (pathway_of(recipe, task) for task in (Task.SEGMENT, Task.CLASSIFY))
    denoises = any(pathway.head is Task.DENOISE for pathway in recipe.pathways)
    samples: list[Sample] = []
    for folder in folders:
        labelled = has_labels(folder)
        if labelled and segment is not None:
            samples += _label_maps(folder, segment.labels, notice)
            continue
        names = [] if classify is None else [entry.name for entry in classify.classes]
        if any((folder / name).is_dir() for name in names):
            samples += _class_folders(folder, names, notice)
            continue
        if denoises and has_pairs(folder) and not labelled:
            samples += _pairs(folder, notice)
            continue
        paths = list_images(folder / "images" if labelled else folder, notice=notice)
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


def _label_maps(folder: Path, classes: Sequence[ClassLabel], notice: Notice) -> list[Sample]:
    samples: list[Sample] = []
    census = Census(shown(folder), len(classes))
    for pair in pair_labels(folder, notice=notice):
        if pair.labels is None:
            notice(f"{pair.missing.message}: skipped")
            continue
        image = _image(pair.image, notice)
        if image is None:
            continue
        size = image.shape[0], image.shape[1]
        try:
            labels = read_labels(pair.labels, classes, size, shown(pair.image.name))
        except SourceError as error:
            notice(f"{error.message}: skipped")
            continue
        census.add(shown(pair.labels.name), labels)
        samples.append(Sample(image, labels))
    census.check()
    if line := census.notice():
        notice(line)
    return samples


def _pairs(folder: Path, notice: Notice) -> list[Sample]:
    pairing = find_pairs(folder, IMAGE_SUFFIXES, notice=notice)
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
    if strangers := [name for name in found if name not in names and name[0] != "."]:
        raise SourceError(
            f"{strangers[0]!r} in {str(folder)!r} is not a class of the recipe",
            hint=f"its classes are: {', '.join(names)}",
        )
    return [
        Sample(image, number=number)
        for number, name in enumerate(names)
        if name in found
        for path in list_images(folder / name, notice=notice)
        if (image := _image(path, notice)) is not None
    ]


def _image(path: Path, notice: Notice) -> Photograph | None:
    try:
        return read_photograph(path)
    except SourceError as error:
        notice(error.message)
        return None
