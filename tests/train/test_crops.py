"""Batches: what is in them, and what they depend on."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from edgeunet.errors import SourceError
from edgeunet.schedules import GrowthTable, TrainTable
from edgeunet.train.burst_pairs import Burst
from edgeunet.train.crops import VOID, Crops
from edgeunet.train.samples import Sample
from tests.train.toys import TABLE, labelled_samples, toy_samples


def table(**changes: object) -> TrainTable:
    return msgspec.structs.replace(TABLE, **changes)


def test_a_batch_depends_on_seed_and_step_only() -> None:
    first, second = (Crops(toy_samples(), TABLE) for _ in range(2))
    for step in (0, 1, 2):
        second.batch(step)  # what was drawn before must not matter
    for step in (7, 2):
        a, b = first.batch(step), second.batch(step)
        assert np.array_equal(a.clean, b.clean)
        assert np.array_equal(a.noisy, b.noisy)
    assert not np.array_equal(first.batch(7).noisy, first.batch(8).noisy)
    other = Crops(toy_samples(), table(seed=4))
    assert not np.array_equal(first.batch(7).noisy, other.batch(7).noisy)


def test_shape_type_and_range() -> None:
    batch = Crops(toy_samples(), TABLE).batch(0)
    assert batch.clean.shape == batch.noisy.shape == (2, 3, 16, 16)
    assert batch.clean.dtype == batch.noisy.dtype == np.float32
    assert batch.clean.min() >= 0
    assert batch.clean.max() <= 1


def test_noise_has_the_sigma_stated_and_is_not_clipped() -> None:
    white = [Sample(np.full((64, 64, 3), 255, np.uint8))]
    crops = Crops(white, table(crop=64, batch=8, sigma=(25.0, 25.0)))
    noise = np.concatenate([crops.batch(step).noisy - 1 for step in range(4)]) * 255
    # 393,216 samples: the standard error of sigma is 0.03, of the mean 0.04.
    assert float(noise.std()) == pytest.approx(25, abs=0.15)
    assert float(noise.mean()) == pytest.approx(0, abs=0.2)
    assert noise.max() > 80


def test_every_crop_draws_its_own_sigma_from_the_range() -> None:
    grey = [Sample(np.full((64, 64, 3), 128, np.uint8))]
    crops = Crops(grey, table(crop=64, batch=64, sigma=(10.0, 60.0)))
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
    crops = Crops([Sample(photograph)], table(batch=64))
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
    pictures = toy_samples([(15, 40), (40, 15), (16, 16)])
    crops = Crops(pictures, TABLE)
    assert len(crops) == 1
    assert crops.batch(0).clean.shape == (2, 3, 16, 16)


def test_only_images_smaller_than_the_crop() -> None:
    with pytest.raises(SourceError, match="no training image is at least 16 pixels") as caught:
        Crops(toy_samples([(15, 40), (8, 8)]), TABLE)
    assert "larger images" in caught.value.hint


def test_every_process_has_batches_of_its_own() -> None:
    first, second, alone = (
        Crops(toy_samples(), TABLE, process=0),
        Crops(toy_samples(), TABLE, process=1),
        Crops(toy_samples(), TABLE),
    )
    assert np.array_equal(first.batch(3).noisy, alone.batch(3).noisy)
    assert not np.array_equal(first.batch(3).noisy, second.batch(3).noisy)


def test_labels_lie_as_their_image_does() -> None:
    rows, columns = np.mgrid[0:40, 0:30].astype(np.uint8)
    image = np.stack([rows, columns, rows], axis=2)
    crops = Crops([Sample(image, labels=rows * 4, number=7)], table(batch=16))
    batch = crops.batch(0)
    assert batch.labels.dtype == batch.numbers.dtype == np.int64
    assert np.array_equal(batch.labels, np.rint(batch.clean[:, 0] * 255).astype(int) * 4)
    assert batch.numbers.tolist() == [7] * 16


def test_what_has_no_labels_is_void() -> None:
    batch = Crops(toy_samples(), TABLE).batch(0)
    assert np.unique(batch.labels).tolist() == [VOID]
    assert np.unique(batch.numbers).tolist() == [VOID]


def test_without_rotations_up_stays_up() -> None:
    rows, columns = np.mgrid[0:20, 0:17].astype(np.uint8)
    crops = Crops(
        [Sample(np.stack([rows, columns, rows], axis=2))], table(batch=32, rotations=False)
    )
    planes = np.rint(crops.batch(0).clean * 255).astype(int)
    assert (np.diff(planes[:, 0], axis=1) == 1).all()
    sideways = np.diff(planes[:, 1], axis=2)
    assert set(np.unique(sideways)) == {-1, 1}


def test_the_share_of_crops_with_labels() -> None:
    samples = [*toy_samples([(20, 20)] * 9), *labelled_samples([(20, 20)])]
    for share, expected in ((None, 0.1), (0.75, 0.75), (1.0, 1.0)):
        crops = Crops(samples, table(batch=64, labelled_share=share))
        numbers = np.concatenate([crops.batch(step).numbers for step in range(20)])
        assert float((numbers != VOID).mean()) == pytest.approx(expected, abs=0.04)


def test_crops_grow_while_the_pixels_per_step_stay_about_the_same() -> None:
    growing = table(
        steps=100,
        batch=12,
        growth=(
            GrowthTable(start=0.5, crop=24),
            GrowthTable(start=0.8, crop=32, batch=2),
        ),
    )
    crops = Crops(toy_samples([(40, 33)]), growing)
    shapes = {step: crops.batch(step).noisy.shape for step in (0, 49, 50, 79, 80, 99)}
    assert shapes[0] == shapes[49] == (12, 3, 16, 16)
    assert shapes[50] == shapes[79] == (5, 3, 24, 24)
    assert shapes[80] == shapes[99] == (2, 3, 32, 32)
    with pytest.raises(SourceError, match="no training image is at least 32 pixels"):
        Crops(toy_samples([(40, 31)]), growing)


def test_camera_noise_is_stronger_where_it_is_bright() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = 255
    crops = Crops(
        [Sample(image)],
        table(crop=64, batch=32, noise="camera", gain=(0.01, 0.01), rotations=False),
    )
    batch = crops.batch(0)
    noise = batch.noisy - batch.clean
    bright = batch.clean > 0.5
    # Read noise at this gain is e^(2.18 ln 0.01 + 1.2), spread by e^0.26.
    assert float(noise[bright].var()) == pytest.approx(0.01, rel=0.05)
    assert float(noise[~bright].var()) == pytest.approx(1.45e-4, rel=0.3)


@pytest.mark.parametrize("noise", ["gaussian", "camera"])
def test_some_crops_are_as_a_camera_hands_them_over(noise: str) -> None:
    plain = Crops(toy_samples(), table(batch=64, noise=noise)).batch(0)
    some = Crops(toy_samples(), table(batch=64, noise=noise, in_bytes=0.5)).batch(0)
    every = Crops(toy_samples(), table(batch=64, noise=noise, in_bytes=1.0)).batch(0)
    assert np.array_equal(plain.clean, some.clean)
    grey_levels = np.clip(np.rint(plain.noisy * np.float32(255)), 0, 255)
    assert np.array_equal(every.noisy, grey_levels / np.float32(255))
    assert every.noisy.dtype == np.float32
    clipped = [np.array_equal(some.noisy[i], every.noisy[i]) for i in range(64)]
    kept = [np.array_equal(some.noisy[i], plain.noisy[i]) for i in range(64)]
    assert all(a != b for a, b in zip(clipped, kept, strict=True))
    assert 16 < sum(clipped) < 48


def burst(shots: int = 3) -> Burst:
    """Every pixel says where it is, and in blue of which shot it is."""
    rows, columns = np.mgrid[0:20, 0:17].astype(np.uint8)
    images = [np.stack([rows, columns, np.full_like(rows, n)], axis=2) for n in range(shots)]
    return Burst("numbers", np.stack(images))


def test_two_shots_of_a_burst_lie_alike_and_are_never_the_same() -> None:
    crops = Crops([], table(batch=64, bursts_share=1.0), bursts=[burst()])
    batch = crops.batch(0)
    assert batch.noisy_targets.all()
    assert np.array_equal(batch.clean[:, :2], batch.noisy[:, :2])
    seen, target = (np.rint(x[:, 2] * 255).astype(int) for x in (batch.noisy, batch.clean))
    pairs = {(int(a[0, 0]), int(b[0, 0])) for a, b in zip(seen, target, strict=True)}
    assert pairs == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}
    lies = {
        (int(plane[1, 0] > plane[0, 0]), int(plane[0, 1] > plane[0, 0]))
        for plane in batch.clean[:, 0]
    }
    assert len(lies) > 2, "crops are turned"
    assert np.unique(batch.labels).tolist() == [VOID]


def test_the_share_of_crops_from_bursts() -> None:
    def share(**changes: object) -> float:
        crops = Crops(toy_samples(), table(batch=64, **changes), bursts=[burst()])
        return float(np.mean([crops.batch(step).noisy_targets.mean() for step in range(10)]))

    assert share(bursts_share=0.25) == pytest.approx(0.25, abs=0.06)
    assert share(bursts_share=1.0) == 1
    assert share() == 0


def test_without_bursts_batches_are_what_they_were() -> None:
    plain = Crops(toy_samples(), TABLE).batch(3)
    asked = Crops(toy_samples(), table(bursts_share=0.5)).batch(3)
    assert np.array_equal(plain.noisy, asked.noisy)
    assert not plain.noisy_targets.any()


def test_pairs_alone_are_all_there_is_to_draw_from() -> None:
    image = np.full((20, 20, 3), 60, np.uint8)
    batch = Crops([Sample(image, noisy=image + np.uint8(9))], table(batch=8)).batch(0)
    assert np.allclose((batch.noisy - batch.clean) * 255, 9, atol=1e-3)
