"""Batches: what is in them, and what they depend on."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from skimage import io

from edgeunet.errors import SourceError
from edgeunet.recipes import TrainTable
from edgeunet.train.crops import PhotographCrops, hold_out, load_photographs
from tests.train.toys import TABLE, toy_photographs


def table(**changes: object) -> TrainTable:
    return msgspec.structs.replace(TABLE, **changes)


def test_a_batch_depends_on_seed_and_step_only() -> None:
    first, second = (PhotographCrops(toy_photographs(), TABLE) for _ in range(2))
    for step in (0, 1, 2):
        second.batch(step)  # what was drawn before must not matter
    for step in (7, 2):
        a, b = first.batch(step), second.batch(step)
        assert np.array_equal(a.clean, b.clean)
        assert np.array_equal(a.noisy, b.noisy)
    assert not np.array_equal(first.batch(7).noisy, first.batch(8).noisy)
    other = PhotographCrops(toy_photographs(), table(seed=4))
    assert not np.array_equal(first.batch(7).noisy, other.batch(7).noisy)


def test_shape_type_and_range() -> None:
    batch = PhotographCrops(toy_photographs(), TABLE).batch(0)
    assert batch.clean.shape == batch.noisy.shape == (2, 3, 16, 16)
    assert batch.clean.dtype == batch.noisy.dtype == np.float32
    assert batch.clean.min() >= 0
    assert batch.clean.max() <= 1


def test_noise_has_the_sigma_stated_and_is_not_clipped() -> None:
    white = [np.full((64, 64, 3), 255, np.uint8)]
    crops = PhotographCrops(white, table(crop=64, batch=8, sigma=(25.0, 25.0)))
    noise = np.concatenate([crops.batch(step).noisy - 1 for step in range(4)]) * 255
    # 393,216 samples: the standard error of sigma is 0.03, of the mean 0.04.
    assert float(noise.std()) == pytest.approx(25, abs=0.15)
    assert float(noise.mean()) == pytest.approx(0, abs=0.2)
    assert noise.max() > 80


def test_every_crop_draws_its_own_sigma_from_the_range() -> None:
    grey = [np.full((64, 64, 3), 128, np.uint8)]
    crops = PhotographCrops(grey, table(crop=64, batch=64, sigma=(10.0, 60.0)))
    batch = crops.batch(0)
    sigmas = (batch.noisy - batch.clean).std(axis=(1, 2, 3)) * 255
    assert 9.5 < sigmas.min() < 15
    assert 55 < sigmas.max() < 61
    assert float(sigmas.mean()) == pytest.approx(35, abs=6)


def test_crops_are_turned_and_flipped_pieces_of_the_photographs() -> None:
    height, width = 20, 17
    # Every pixel says where it is, so a crop says where it was cut and how it lies.
    rows, columns = np.mgrid[0:height, 0:width].astype(np.uint8)
    photograph = np.stack([rows, columns, rows], axis=2)
    crops = PhotographCrops([photograph], table(batch=64))
    lies: set[tuple[int, int]] = set()
    corners: set[tuple[int, int]] = set()
    for plane in np.rint(crops.batch(0).clean * 255).astype(int):
        row, column = plane[0], plane[1]
        corners.add((row.min(), column.min()))
        assert np.array_equal(np.unique(row), np.arange(row.min(), row.min() + 16))
        assert np.array_equal(np.unique(column), np.arange(column.min(), column.min() + 16))
        down, right = row[1, 0] - row[0, 0], row[0, 1] - row[0, 0]
        mirrored = np.linalg.det(
            np.array([[down, right], [column[1, 0] - column[0, 0], column[0, 1] - column[0, 0]]])
        )
        lies.add((2 * int(down) + int(right), round(float(mirrored))))
    assert len(lies) == 8
    assert len(corners) == 5 * 2


def test_images_smaller_than_the_crop_are_left_out() -> None:
    pictures = toy_photographs([(15, 40), (40, 15), (16, 16)])
    crops = PhotographCrops(pictures, TABLE)
    assert len(crops) == 1
    assert crops.batch(0).clean.shape == (2, 3, 16, 16)


def test_only_images_smaller_than_the_crop() -> None:
    with pytest.raises(SourceError, match="no training image is at least 16 pixels") as caught:
        PhotographCrops(toy_photographs([(15, 40), (8, 8)]), TABLE)
    assert "larger images" in caught.value.hint


def test_broken_images_are_named_and_skipped(tmp_path: Path) -> None:
    for index, picture in enumerate(toy_photographs()):
        io.imsave(tmp_path / f"{index}.png", picture, check_contrast=False)
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "3.jpg").write_bytes(b"no image at all")
    (tmp_path / "4.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not an image, and not named")
    named: list[str] = []
    photographs = load_photographs([tmp_path], broken=named.append)
    assert named == [f"{name} is not a readable image" for name in ("1.png", "3.jpg", "4.png")]
    wanted = toy_photographs()
    assert len(photographs) == 2
    assert np.array_equal(photographs[0], wanted[0])
    assert np.array_equal(photographs[1], wanted[2])


def test_only_broken_images(tmp_path: Path) -> None:
    io.imsave(tmp_path / "1.png", toy_photographs()[0], check_contrast=False)
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    named: list[str] = []
    with pytest.raises(SourceError, match="no training image can be read"):
        load_photographs([tmp_path], broken=named.append)
    assert named == ["1.png is not a readable image"]


def test_an_empty_folder_and_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there are no images in"):
        load_photographs([tmp_path], broken=print)
    with pytest.raises(SourceError, match="there is no folder"):
        load_photographs([tmp_path / "nowhere"], broken=print)


@pytest.mark.parametrize(("images", "held"), [(1, 0), (2, 1), (36, 1), (37, 2), (73, 3)])
def test_every_36th_image_is_held_out_but_never_the_only_one(images: int, held: int) -> None:
    pictures = [np.full((20, 20, 3), index, np.uint8) for index in range(images)]
    training, validation = hold_out(pictures)
    assert (len(training), len(validation)) == (images - held, held)
    values = sorted(int(p[0, 0, 0]) for p in (*training, *validation))
    assert values == list(range(images)), "every image is in one of the two, none in both"


def test_of_no_images_none_is_held_out() -> None:
    assert hold_out([]) == ([], [])


def test_held_out_images_are_cut_to_a_corner() -> None:
    _, validation = hold_out(toy_photographs(), side=18)
    assert validation[0].shape == (18, 18, 3)
    assert np.array_equal(validation[0], toy_photographs()[0][:18, :18])
