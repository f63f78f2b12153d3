"""Folders: what kind each is, and what is wrong in it, by name."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import io

from edgeunet.errors import SourceError
from edgeunet.recipes import Recipe
from edgeunet.specs import Task
from edgeunet.train.sample_folders import check_labels, load_samples
from tests.train.toys import toy_photographs, toy_recipe

DENOISE = toy_recipe()
JOINT = toy_recipe("joint")
CLASSIFY = toy_recipe("addunet-joint")


def without_denoising(recipe: Recipe) -> Recipe:
    pathways = tuple(p for p in recipe.pathways if p.head is not Task.DENOISE)
    return msgspec.structs.replace(recipe, pathways=pathways)


def write(path: Path, pixels: NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    io.imsave(path, pixels, check_contrast=False)
    return path


@pytest.fixture
def road(tmp_path: Path) -> Path:
    for index, picture in enumerate(toy_photographs()):
        write(tmp_path / "road" / "images" / f"{index}.png", picture)
        labels = np.full(picture.shape[:2], index, np.uint8)
        labels[0] = 11
        write(tmp_path / "road" / "labels" / f"{index}.png", labels)
    return tmp_path / "road"


def test_images_and_labels(road: Path) -> None:
    named: list[str] = []
    samples = load_samples([road], JOINT, notice=named.append)
    assert named == []
    assert len(samples) == 3
    for index, (sample, picture) in enumerate(zip(samples, toy_photographs(), strict=True)):
        assert np.array_equal(sample.image, picture)
        assert sample.labels is not None
        assert sample.labels.shape == picture.shape[:2]
        assert np.unique(sample.labels).tolist() == [index, 11]
    check_labels(samples, JOINT)


def test_label_images_are_no_photographs(road: Path) -> None:
    samples = load_samples([road], DENOISE, notice=print)
    assert len(samples) == 3
    assert not any(sample.labelled for sample in samples)


def test_photographs_beside_labelled_ones(road: Path, tmp_path: Path) -> None:
    write(tmp_path / "more" / "a.png", toy_photographs()[0])
    samples = load_samples([road, tmp_path / "more"], JOINT, notice=print)
    assert [sample.labelled for sample in samples] == [True, True, True, False]


def test_what_is_wrong_with_a_label_image_is_named(road: Path) -> None:
    pictures = toy_photographs([(20, 24)] * 6)
    for name, picture in zip("abcdef", pictures, strict=True):
        write(road / "images" / f"{name}.png", picture)
    write(road / "labels" / "b.png", np.zeros((20, 23), np.uint8))
    write(road / "labels" / "c.png", np.zeros((20, 24, 3), np.uint8))
    write(road / "labels" / "d.png", np.zeros((20, 24), np.uint16))
    (road / "labels" / "e.png").write_bytes(b"no image at all")
    strange = np.zeros((20, 24), np.uint8)
    strange[0, :4] = (11, 255, 12, 40)
    write(road / "labels" / "f.png", strange)
    named: list[str] = []
    samples = load_samples([road], JOINT, notice=named.append)
    assert len(samples) == 4
    missing = road / "labels" / "a.png"
    unread = "cannot be read:"
    assert named[:3] == [
        f"a.png has no labels: there is no {str(missing)!r}: skipped",
        "the labels of b.png are 20x23, the image is 20x24: skipped",
        f"the labels of c.png {unread} c.png is not a label image: its colour (0, 0, 0) is that of "
        "no class: skipped",
    ]
    assert named[3].startswith(f"the labels of d.png {unread} d.png is not a label image: it has")
    assert named[4:] == [
        f"the labels of e.png {unread} e.png is not a readable image: skipped",
        "f.png: the network has 11 classes, 0 to 10, void instead: 12 (0.043 %), 40 (0.043 %)",
    ]


def test_a_broken_image_is_named_and_skipped(road: Path, tmp_path: Path) -> None:
    whole = (road / "images" / "1.png").read_bytes()
    (road / "images" / "1.png").write_bytes(whole[: len(whole) // 2])
    write(tmp_path / "plain" / "0.png", toy_photographs()[0])
    (tmp_path / "plain" / "1.jpg").write_bytes(b"no image at all")
    (tmp_path / "plain" / "2.png").write_bytes(b"")
    (tmp_path / "plain" / "notes.txt").write_text("not an image, and not named")
    named: list[str] = []
    samples = load_samples([road, tmp_path / "plain"], JOINT, notice=named.append)
    assert named == [f"{name} is not a readable image" for name in ("1.png", "1.jpg", "2.png")]
    assert [sample.labelled for sample in samples] == [True, True, False]


def test_only_broken_images(tmp_path: Path) -> None:
    write(tmp_path / "1.png", toy_photographs()[0])
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    named: list[str] = []
    with pytest.raises(SourceError, match="no training image can be read"):
        load_samples([tmp_path], DENOISE, notice=named.append)
    assert named == ["1.png is not a readable image"]


def test_an_empty_folder_and_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there are no images in"):
        load_samples([tmp_path], DENOISE, notice=print)
    with pytest.raises(SourceError, match="there is no folder"):
        load_samples([tmp_path / "nowhere"], DENOISE, notice=print)


def test_a_folder_per_class(tmp_path: Path) -> None:
    for name, pictures in (("dots", 2), ("stripes", 1)):
        for index, picture in enumerate(toy_photographs()[:pictures]):
            write(tmp_path / name / f"{index}.png", picture)
    named: list[str] = []
    samples = load_samples([tmp_path], CLASSIFY, notice=named.append)
    classes = [entry.name for entry in CLASSIFY.pathways[-1].classes]
    assert [classes[sample.number or 0] for sample in samples] == ["stripes", "dots", "dots"]
    assert named == []
    check_labels(samples, CLASSIFY)
    plain = load_samples([tmp_path], DENOISE, notice=named.append)
    assert [sample.number for sample in plain] == [None] * 3


def test_a_folder_that_is_no_class(tmp_path: Path) -> None:
    for name in ("dots", "dotz"):
        write(tmp_path / name / "0.png", toy_photographs()[0])
    with pytest.raises(SourceError, match="'dotz' in '.*' is not a class of the recipe") as caught:
        load_samples([tmp_path], CLASSIFY, notice=print)
    assert "stripes, checks, dots" in caught.value.hint


def test_labels_that_are_not_there(tmp_path: Path) -> None:
    write(tmp_path / "0.png", toy_photographs()[0])
    for recipe, message, hint in (
        (JOINT, "there are no label maps for the output 'labels' of 'joint'", "images/ and labels"),
        (CLASSIFY, "there are no classes for the output 'scores'", "a sub-folder of images per"),
    ):
        samples = load_samples([tmp_path], recipe, notice=print)
        with pytest.raises(SourceError, match=message) as caught:
            check_labels(samples, recipe)
        assert hint in caught.value.hint
        with pytest.raises(SourceError, match="has no labels for the output"):
            load_samples([tmp_path], without_denoising(recipe), notice=print)
