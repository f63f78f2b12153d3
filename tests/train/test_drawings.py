"""Drawn images: the same from a seed, and told apart by their pattern alone."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from edgeunet.errors import RecipeError
from edgeunet.recipes import ClassTable, PathwayTable, load_recipe
from edgeunet.specs import Task
from edgeunet.train.drawings import PATTERNS, draw, drawn_samples
from edgeunet.train.samples import Sample

CLASSES = tuple(ClassTable(name=name) for name in PATTERNS)
PATHWAY = PathwayTable(output="scores", head=Task.CLASSIFY, classes=CLASSES)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_drawing_is_an_image_with_contrast(pattern: str) -> None:
    for seed in range(4):
        image = draw(pattern, 48, np.random.default_rng(seed))
        assert image.shape == (48, 48, 3)
        assert image.dtype == np.uint8
        assert image.reshape(-1, 3).std(axis=0).max() > 8
        assert np.array_equal(image, draw(pattern, 48, np.random.default_rng(seed)))


def test_an_image_depends_on_seed_and_place_only() -> None:
    first, again = (drawn_samples(PATHWAY, 16, 24, seed=5) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.image, b.image)
    other = drawn_samples(PATHWAY, 16, 24, seed=6)
    same = [np.array_equal(a.image, b.image) for a, b in zip(first, other, strict=True)]
    assert not any(same)
    assert len({sample.image.tobytes() for sample in first}) == 16


def test_as_many_of_each_class_in_order() -> None:
    numbers = [sample.number for sample in drawn_samples(PATHWAY, 24, 24, seed=0)]
    assert numbers == [n for n in range(8) for _ in range(3)]
    assert drawn_samples(None, 0, 24, seed=0) == []


def mean_colour(sample: Sample) -> list[float]:
    pixels = sample.image.reshape(-1, 3) / 255
    return [*pixels.mean(axis=0), 1.0]


def test_a_mean_colour_does_not_tell_the_class() -> None:
    """The best linear rule on the mean colour is hardly better than a guess (1 in 8)."""
    samples = drawn_samples(PATHWAY, 480, 32, seed=1)
    features = np.array([mean_colour(sample) for sample in samples])
    truth = np.eye(8)[[sample.number or 0 for sample in samples]]
    half = np.arange(len(samples)) % 2 == 0
    rule = np.linalg.lstsq(features[half], truth[half], rcond=None)[0]
    right = (features[~half] @ rule).argmax(axis=1) == truth[~half].argmax(axis=1)
    assert float(right.mean()) < 0.25


def test_what_cannot_be_drawn() -> None:
    cat = msgspec.structs.replace(PATHWAY, classes=(ClassTable(name="cat"), CLASSES[0]))
    with pytest.raises(RecipeError, match="no pattern is called 'cat'") as caught:
        drawn_samples(cat, 8, 24, seed=0)
    assert "stripes, checks" in caught.value.hint
    with pytest.raises(RecipeError, match="there is no classify pathway"):
        drawn_samples(None, 8, 24, seed=0)


def test_the_shipped_recipe_can_be_drawn() -> None:
    pathway = load_recipe("addunet-joint").pathways[-1]
    assert [entry.name for entry in pathway.classes] == list(PATTERNS)
