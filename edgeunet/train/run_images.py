"""From folders, and from drawing, to the images a run trains on and those it holds out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeunet.recipes import Recipe
from edgeunet.schedules import TrainTable
from edgeunet.specs import Task
from edgeunet.train.burst_pairs import Burst, hold_out_bursts, load_bursts
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
    """What a run trains on and what it holds out.

    too_small: how many images no crop can be cut from; they are in neither list.
    labelled: how many images to train on have labels; None when the recipe asks for none.
    """

    training: list[Sample]
    held_out: list[Sample]
    too_small: int
    labelled: int | None
    bursts: list[Burst] = field(default_factory=list)


def read_data(
    folders: Sequence[Path],
    recipe: Recipe,
    table: TrainTable,
    *,
    bursts: Sequence[Path] = (),
    notice: Callable[[str], None],
) -> Data:
    """Read the folders, draw what the recipe wants drawn, and hold some images out.

    bursts: folders of scenes, see ``load_bursts``.
    Raises SourceError for folders without usable images and for outputs without labels,
    RecipeError when what is to be drawn cannot be. What is skipped is named to ``notice``.
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
        # All too small is another complaint, which the batches make.
        if training or scenes:
            check_labels(training, recipe)
            _name_missing_classes(training, recipe, notice)
        labelled = sum(sample.labelled for sample in training)
    pairs = sum(sample.noisy is not None for sample in training)
    if pairs and table.pairs_share is None and pairs < len(training):
        notice(f"{pairs} real pairs are not trained on: the recipe has no pairs_share")
    return Data(training, held_out + of_scenes, len(read) - len(usable), labelled, scenes)


def _name_missing_classes(
    training: Sequence[Sample], recipe: Recipe, notice: Callable[[str], None]
) -> None:
    """Name the classes that nothing to train on shows: the network will never say them."""
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
