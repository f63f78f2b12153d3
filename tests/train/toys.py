"""Recipes and images so small that a step of training takes milliseconds."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from edgeunet.photographs import Photograph
from edgeunet.recipes import Recipe, load_recipe
from edgeunet.schedules import TrainTable
from edgeunet.train.samples import Sample

TABLE = TrainTable(steps=12, batch=2, crop=16, learning_rate=2e-3, sigma=(0.0, 50.0), seed=3)


def toy_recipe(name: str = "unetmm", *, table: TrainTable = TABLE) -> Recipe:
    """A recipe of two levels and width 4, with a [train] table."""
    recipe = load_recipe(name)
    network = msgspec.structs.replace(
        recipe.network, width=4, encoder_blocks=(1, 1), middle_blocks=1, decoder_blocks=(1, 1)
    )
    return msgspec.structs.replace(recipe, network=network, train=table)


def toy_photographs(
    sizes: Sequence[tuple[int, int]] = ((24, 32), (40, 20), (16, 16)),
) -> list[Photograph]:
    """Smooth colour pictures, each another."""
    pictures = []
    for index, (height, width) in enumerate(sizes):
        rows, columns = np.mgrid[0:height, 0:width]
        planes = [rows * 5 + 9 * index, columns * 4, (rows + columns) * 3 + 31 * index]
        pictures.append(np.stack(planes, axis=2).astype(np.uint8))
    return pictures


def toy_samples(
    sizes: Sequence[tuple[int, int]] = ((24, 32), (40, 20), (16, 16)),
) -> list[Sample]:
    """The photographs, without labels."""
    return [Sample(picture) for picture in toy_photographs(sizes)]


def labelled_samples(
    sizes: Sequence[tuple[int, int]] = ((24, 32), (40, 20), (16, 16)), classes: int = 11
) -> list[Sample]:
    """The photographs, their classes in bands, the last band void; each has a class of its own."""
    samples = []
    for number, picture in enumerate(toy_photographs(sizes)):
        bands = np.linspace(0, classes + 0.99, picture.shape[0]).astype(np.uint8)
        labels = np.repeat(bands[:, None], picture.shape[1], axis=1)
        samples.append(Sample(picture, labels, number))
    return samples
