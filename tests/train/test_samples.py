"""Samples: what is held out, what is large enough, how often classes occur."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from edgeunet.errors import RecipeError
from edgeunet.recipes import load_recipe
from edgeunet.specs import Task
from edgeunet.train.samples import (
    Sample,
    class_frequencies,
    hold_out,
    large_enough,
    number_frequencies,
    pathway_of,
)
from tests.train.toys import labelled_samples, toy_samples


@pytest.mark.parametrize(("images", "held"), [(1, 0), (2, 1), (36, 1), (37, 2), (73, 3)])
def test_every_36th_image_is_held_out_but_never_the_only_one(images: int, held: int) -> None:
    samples = [Sample(np.full((20, 20, 3), index, np.uint8)) for index in range(images)]
    training, validation = hold_out(samples)
    assert (len(training), len(validation)) == (images - held, held)
    values = sorted(int(sample.image[0, 0, 0]) for sample in (*training, *validation))
    assert values == list(range(images)), "every image is in one of the two, none in both"


def test_of_no_images_none_is_held_out() -> None:
    assert hold_out([]) == ([], [])


def test_held_out_images_are_cut_to_a_corner_with_their_labels() -> None:
    (plain, _), (labelled, _) = toy_samples()[:2], labelled_samples()[:2]
    _, (given,) = hold_out([plain, plain], side=18)
    assert np.array_equal(given.image, plain.image[:18, :18])
    _, (given,) = hold_out([labelled, labelled], side=18, labelled_side=20)
    assert given.labels is not None
    assert labelled.labels is not None
    assert given.image.shape == (20, 20, 3)
    assert np.array_equal(given.labels, labelled.labels[:20, :20])
    assert given.number == labelled.number


def test_only_what_a_crop_can_be_cut_from() -> None:
    samples = toy_samples([(15, 40), (40, 15), (16, 16)])
    assert large_enough(samples, 16) == samples[2:]


def test_frequencies_are_over_the_images_that_show_a_class() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    one = np.array([[0, 0, 0, 0], [0, 0, 1, 1]], np.uint8)
    other = np.array([[0, 0, 9, 9], [9, 9, 9, 9]], np.uint8)
    samples = [Sample(image, one), Sample(image, other), Sample(image)]
    # Class 0: 6 of 8 and 2 of 2 labelled pixels; class 1: 2 of 8; class 2 nowhere; 9 is void.
    assert class_frequencies(samples, 3).tolist() == pytest.approx([8 / 10, 2 / 8, 0])


def test_frequencies_of_whole_images() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    samples = [Sample(image, number=n) for n in (0, 0, 0, 2)] + [Sample(image)]
    assert number_frequencies(samples, 3).tolist() == pytest.approx([3 / 4, 0, 1 / 4])
    assert number_frequencies([], 2).tolist() == [0, 0]


def test_two_pathways_of_one_kind_of_labels() -> None:
    recipe = load_recipe("joint")
    assert pathway_of(recipe, Task.CLASSIFY) is None
    labels = pathway_of(recipe, Task.SEGMENT)
    assert labels is not None
    twice = msgspec.structs.replace(
        recipe, pathways=(labels, msgspec.structs.replace(labels, output="more"))
    )
    with pytest.raises(RecipeError, match="cannot be trained: it has 2 segment pathways") as caught:
        pathway_of(twice, Task.SEGMENT)
    assert "one such pathway at a time" in caught.value.hint
