"""What a run trains on: read, drawn, and held out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from skimage import io

from edgeunet.errors import SourceError
from edgeunet.recipes import Recipe
from edgeunet.train.run_images import Data, read_data
from edgeunet.train.samples import Sample
from tests.train.toys import TABLE, labelled_samples, toy_recipe, toy_samples


def write(folder: Path, samples: list[Sample]) -> Path:
    for index, sample in enumerate(samples):
        for kind, pixels in (("images", sample.image), ("labels", sample.labels)):
            if pixels is not None:
                (folder / kind).mkdir(parents=True, exist_ok=True)
                io.imsave(folder / kind / f"{index}.png", pixels, check_contrast=False)
    return folder


def given(
    recipe: Recipe, *folders: Path, notice: Callable[[str], None] = print, **changes: object
) -> Data:
    table = msgspec.structs.replace(TABLE, **changes)
    return read_data(folders, msgspec.structs.replace(recipe, train=table), table, notice=notice)


def test_labelled_images_and_photographs_mix(tmp_path: Path) -> None:
    road = write(tmp_path / "road", labelled_samples([(20, 20), (22, 22), (12, 20)]))
    more = write(tmp_path / "more", toy_samples([(24, 24)]))
    named: list[str] = []
    data = given(toy_recipe("joint"), road, more, notice=named.append)
    assert named == []
    assert (len(data.training), len(data.held_out), data.too_small) == (2, 1, 1)
    assert data.labelled == 1
    assert given(toy_recipe(), road, more).labelled is None


def test_classes_that_no_image_shows_are_named(tmp_path: Path) -> None:
    samples = [
        Sample(sample.image, np.minimum(sample.labels, 8))
        for sample in labelled_samples([(20, 20), (22, 22)])
        if sample.labels is not None
    ]
    named: list[str] = []
    given(toy_recipe("joint"), write(tmp_path / "road", samples), notice=named.append)
    assert named == ["no image to train on shows the 2 classes: pedestrian, bicyclist"]


def test_drawn_images_stand_beside_those_that_are_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "more", toy_samples([(24, 24), (26, 26)])) / "images"
    data = given(toy_recipe("addunet-joint"), folder, generated=72)
    assert len(data.training) + len(data.held_out) == 74
    # The photographs come first: one of them is held out, and every 36th from there.
    assert data.labelled == len(data.training) - 1 == 70
    assert [sample.number for sample in data.held_out] == [None, 3, 7]
    sides = {sample.side for sample in data.training if sample.labelled}
    assert sides == {TABLE.largest_crop * 3 // 2}


def test_labels_in_held_out_images_only_are_too_few(tmp_path: Path) -> None:
    road = write(tmp_path / "road", labelled_samples([(20, 20)]))
    more = write(tmp_path / "more", toy_samples([(24, 24)]))
    with pytest.raises(SourceError, match="there are no label maps for the output 'labels'"):
        given(toy_recipe("joint"), road, more)
