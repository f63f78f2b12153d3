"""Read and draw the images of a run, and hold some of them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeunet.recipes import Recipe
from edgeunet.schedules import TrainTable
from edgeunet.specs import Task
from edgeunet.train.burst_pairs import Burst, hold_out_bursts, load_bursts
from edgeunet.train.clip_folders import Clip, hold_out_clips, load_clips
from edgeunet.train.drawings import drawn_samples
from edgeunet.train.sample_folders import check_labels, load_samples
from edgeunet.train.samples import (
    Sample,
    class_frequencies,
    hold_out,
    large_enough,
    number_frequencies,
    pathway_of,
)


@dataclass(frozen=True)
class Data:
    """The images of a run.

    training: to train on. held_out: to validate on.
    too_small: number of images that are too small for a crop; they are in neither list.
    labelled: number of training images with labels; None if the recipe needs none.
    bursts: scenes to train on.
    clips, held_out_clips: to train on, and to validate on.
    """

    training: list[Sample]
    held_out: list[Sample]
    too_small: int
    labelled: int | None
    bursts: list[Burst] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)
    held_out_clips: list[Clip] = field(default_factory=list)


def read_data(
    folders: Sequence[Path],
    recipe: Recipe,
    table: TrainTable,
    *,
    bursts: Sequence[Path] = (),
    clips: Sequence[Path] = (),
    notice: Callable[[str], None],
) -> Data:
    """Read the folders, draw the images that the recipe wants drawn, and hold some images out.

    bursts: folders of scenes, see ``load_bursts``. clips: folders of clips, see ``load_clips``.
    notice: called for everything that is skipped. Raises SourceError for folders without usable
        images and for outputs without labels, RecipeError for patterns that cannot be drawn.
    """
    drawn = drawn_samples(
        pathway_of(recipe, Task.CLASSIFY), table.generated, table.largest_crop * 3 // 2, table.seed
    )
    read = load_samples(folders, recipe, notice=notice) + drawn
    scenes: list[Burst] = []
    of_scenes: list[Sample] = []
    if bursts:
        found = load_bursts(bursts, table.largest_crop, notice=notice)
        scenes, of_scenes = hold_out_bursts(found)
    usable = large_enough(read, table.largest_crop)
    training, held_out = hold_out(usable)
    labelled = None
    if any(pathway.head is not Task.DENOISE for pathway in recipe.pathways):
        # Crops raises the error if all images are too small.
        if training or scenes:
            check_labels(training, recipe)
            _name_missing_classes(training, recipe, notice)
        labelled = sum(sample.labelled for sample in training)
    pairs = sum(sample.noisy is not None for sample in training)
    if pairs and table.pairs_share is None and pairs < len(training):
        notice(f"{pairs} real pairs are not trained on: the recipe has no pairs_share")
    sequences, kept = hold_out_clips(load_clips(clips, notice=notice))
    small = len(read) - len(usable)
    return Data(training, held_out + of_scenes, small, labelled, scenes, sequences, kept)


def _name_missing_classes(
    training: Sequence[Sample], recipe: Recipe, notice: Callable[[str], None]
) -> None:
    """Name the classes that no training image shows; the network cannot learn them."""
    for task, frequencies in (
        (Task.SEGMENT, class_frequencies),
        (Task.CLASSIFY, number_frequencies),
    ):
        pathway = pathway_of(recipe, task)
        if pathway is None:
            continue
        shares = frequencies(training, len(pathway.classes))
        names = [
            entry.name for entry, share in zip(pathway.classes, shares, strict=True) if not share
        ]
        if names:
            notice(f"no image to train on shows the {_count(names)}: {', '.join(names)}")


def _count(names: Sequence[str]) -> str:
    return "class" if len(names) == 1 else f"{len(names)} classes"
