"""The rule for label images: what is read, what is void, and what is told of."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgeunet.errors import SourceError
from edgeunet.label_colours import VOID, colour_table, numbers_by_colour
from edgeunet.label_maps import Census, has_labels, pair_labels, read_labels
from edgeunet.specs import ClassLabel
from tests.images.image_writers import EXIF_ORIENTATION, oriented, picture, png, stored_for

Bytes = NDArray[np.uint8]

CLASSES = (
    ClassLabel("sky", (128, 128, 128)),
    ClassLabel("road", (128, 64, 128)),
    ClassLabel("car", (64, 0, 128)),
)
PLAIN = tuple(ClassLabel(name, (0, 0, 0)) for name in ("sky", "road", "car"))
NUMBERS = (np.arange(12 * 16).reshape(12, 16) % 3).astype(np.uint8)


def read(path: Path, classes: tuple[ClassLabel, ...] = CLASSES) -> Bytes:
    return read_labels(path, classes, (12, 16), "a.jpg")


def save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def colours_of(numbers: Bytes, classes: tuple[ClassLabel, ...]) -> Bytes:
    """Return what ``edgeunet run --view labels`` writes, as RGB."""
    return np.ascontiguousarray(colour_table(classes)[numbers][:, :, ::-1])


@pytest.mark.parametrize("depth", [2, 4, 8])
def test_grey_of_any_depth_holds_numbers(depth: int, tmp_path: Path) -> None:
    assert np.array_equal(read(save(tmp_path / "a.png", png(NUMBERS, depth, 0))), NUMBERS)


def test_one_bit_holds_0_and_1(tmp_path: Path) -> None:
    mask = NUMBERS % 2
    assert np.array_equal(read(save(tmp_path / "a.png", png(mask, 1, 0))), mask)


@pytest.mark.parametrize("depth", [2, 4, 8])
def test_a_palettes_numbers_count_where_its_colours_name_no_classes(
    depth: int, tmp_path: Path
) -> None:
    palette = (b"PLTE", bytes([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]))
    assert np.array_equal(read(save(tmp_path / "a.png", png(NUMBERS, depth, 3, palette))), NUMBERS)


def test_a_palettes_colours_count_where_all_name_classes(tmp_path: Path) -> None:
    # An optimizer numbers the colours of a drawn label image as it likes.
    order = (2, 0, 1)
    palette = (b"PLTE", b"".join(bytes(CLASSES[number].colour) for number in order))
    shuffled = np.array([1, 2, 0], np.uint8)[NUMBERS]
    assert np.array_equal(read(save(tmp_path / "a.png", png(shuffled, 8, 3, palette))), NUMBERS)


@pytest.mark.parametrize("classes", [CLASSES, PLAIN], ids=["own colours", "no colours"])
def test_what_the_view_of_labels_draws_is_read_back(
    classes: tuple[ClassLabel, ...], tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), colour_table(classes)[NUMBERS])
    assert np.array_equal(read(path, classes), NUMBERS)


def test_white_and_black_are_void_where_no_class_has_them(tmp_path: Path) -> None:
    drawn = colours_of(NUMBERS, CLASSES)
    drawn[0], drawn[1] = 255, 0
    path = tmp_path / "a.png"
    Image.fromarray(drawn).save(path)
    found = read(path)
    assert (found[:2] == VOID).all()
    assert np.array_equal(found[2:], NUMBERS[2:])


def test_another_colour_is_refused_and_named(tmp_path: Path) -> None:
    drawn = colours_of(NUMBERS, CLASSES)
    drawn[3, 4] = (1, 2, 3)
    path = tmp_path / "a.png"
    Image.fromarray(drawn).save(path)
    with pytest.raises(SourceError) as caught:
        read(path)
    assert caught.value.message == (
        "the labels of a.jpg cannot be read: a.png is not a label image: its colour (1, 2, 3) is "
        "that of no class"
    )
    assert "8-bit grey PNG" in caught.value.hint


def test_a_colour_of_two_classes_names_neither() -> None:
    twice = (*CLASSES, ClassLabel("bus", (64, 0, 128)))
    assert (64, 0, 128) not in numbers_by_colour(twice)
    assert numbers_by_colour(twice)[(128, 64, 128)] == 1


def test_deep_and_float_labels_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", png(NUMBERS.astype(np.uint16), 16, 0))
    with pytest.raises(SourceError, match="it has the mode I;16, not one channel of 8 bits"):
        read(path)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_labels_are_turned_by_their_own_orientation(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(stored_for(orientation, NUMBERS)).save(path, exif=exif)
    assert np.array_equal(read(path), NUMBERS)


def test_labels_of_the_stored_pixels_are_named_as_such(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", png(NUMBERS.T.copy(), 8, 0))
    with pytest.raises(SourceError) as caught:
        read(path)
    assert caught.value.message == "the labels of a.jpg are 16x12, the image is 12x16"
    assert caught.value.hint.endswith("after the image is turned upright by its EXIF orientation")


@pytest.mark.parametrize("names", [["labels"], ["Images", "labels"]])
def test_labels_without_images_are_no_images(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(SourceError, match="has labels/, and no images/|has labels/ and Images/"):
        has_labels(tmp_path)


def test_labels_from_a_mac_pair_with_images_from_elsewhere(tmp_path: Path) -> None:
    labels = tmp_path / "labels" / "e\u0301.png"
    image = tmp_path / "images" / "\u00e9.jpg"
    for path in (labels, image):
        path.parent.mkdir()
        path.write_bytes(b"")
    (pair,) = pair_labels(tmp_path, notice=print)
    assert (pair.image, pair.labels) == (image, labels)


def test_images_and_labels_pair_by_relative_name(tmp_path: Path) -> None:
    for name in ("images/a/1.jpg", "images/b/1.png", "images/b/10.png", "images/b/2.x.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(oriented(1, "PNG", picture()))
    for name in ("a/1.png", "b/1.png", "b/2.x.png", "b/._10.png", "._a/1.png"):
        path = tmp_path / "labels" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(NUMBERS, 8, 0))
    (tmp_path / "images" / "b" / "._1.png").write_bytes(b"Mac OS X")
    pairs = pair_labels(tmp_path, notice=print)
    found = [
        (
            pair.image.relative_to(tmp_path / "images").as_posix(),
            pair.labels and pair.labels.relative_to(tmp_path / "labels").as_posix(),
        )
        for pair in pairs
    ]
    assert found == [
        ("a/1.jpg", "a/1.png"),
        ("b/1.png", "b/1.png"),
        ("b/2.x.png", "b/2.x.png"),
        ("b/10.png", None),
    ]
    assert pairs[-1].missing.message == (
        f"10.png has no labels: there is no {str(tmp_path / 'labels/b/10.png')!r}"
    )


def counted(*maps: Bytes, classes: int = 11) -> Census:
    census = Census("road", classes)
    for number, labels in enumerate(maps):
        census.add(f"{number}.png", labels)
    return census


def test_usual_numbers_are_not_told_of() -> None:
    census = counted(np.array([[0, 5, 10, 11, 255]], np.uint8))
    census.check()
    assert census.notice() is None


def test_numbers_of_no_class_are_told_with_their_share() -> None:
    census = counted(
        np.array([[0, 1, 2, 3]], np.uint8),
        np.array([[0, 12, 12, 33]], np.uint8),
        np.array([[0, 0, 0, 33]], np.uint8),
    )
    census.check()
    assert census.notice() == (
        "1.png and 1 more: the network has 11 classes, 0 to 10, void instead: 12 (17 %), 33 (17 %)"
    )


def test_many_numbers_are_summed_up() -> None:
    line = counted(np.arange(100, dtype=np.uint8)[None]).notice()
    assert line is not None
    assert line.endswith("19 (1 %), 80 more (80 %)")


def test_masks_of_0_and_255_are_told_of() -> None:
    assert counted(np.array([[0, 0, 255, 0]], np.uint8)).notice() == (
        "the labels in 'road' hold 0 and 255 only, as a mask does, and 255 is void: 255 (25 %)"
    )


def test_nothing_but_void_is_refused() -> None:
    with pytest.raises(SourceError) as caught:
        counted(np.array([[255, 255, 33, 11]], np.uint8)).check()
    assert caught.value.message == (
        "no pixel of the labels in 'road' belongs to a class: 11 (25 %), 33 (25 %), 255 (50 %)"
    )
    assert caught.value.hint == "the network's classes have the numbers 0 to 10; 255 is void"
