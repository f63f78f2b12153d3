"""Blocks are found where they lay, in steps of half a pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgeunet.models.alignment import BLOCK, REACH, fetch, fetch_between, motion


def picture(height: int = 96, width: int = 128, seed: int = 0) -> torch.Tensor:
    """A picture of soft blobs, (1, 3, height, width), whole numbers 0..255."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 16, width // 16, generator=generator)
    soft = functional.interpolate(coarse, scale_factor=16, mode="bilinear")
    fine = torch.rand(1, 3, height, width, generator=generator)
    return (200 * soft + 55 * fine).floor()


@pytest.mark.parametrize(
    ("down", "right", "share"),
    [
        *((0, 0, 1.0), (8, 8, 1.0), (-12, 11, 1.0), (1, 0, 0.9), (3, -5, 0.8), (13, 14, 0.8)),
        (-32, 34, 0.8),
    ],
)
def test_a_shift_is_found(down: int, right: int, share: float) -> None:
    before = picture(160, 192)
    now = torch.roll(before, (down, right), (2, 3))
    found = motion(now, before)
    inner = found[0, :, 5:-5, 5:-5]
    assert found.shape == (1, 2, 20, 24)
    right_ones = (inner[0] == -down) & (inner[1] == -right)
    assert right_ones.float().mean() >= share
    aligned = fetch_between(before, found)[..., 40:-40, 40:-40]
    same = (aligned == now[..., 40:-40, 40:-40]).all(dim=1)
    assert same.float().mean() >= share


def test_half_a_pixel_is_found_and_interpolated() -> None:
    twice = picture(192, 256)
    before = functional.avg_pool2d(twice, 2).floor()
    now = functional.avg_pool2d(torch.roll(twice, (3, -1), (2, 3)), 2).floor()
    found = motion(now, before)
    right_ones = (found[0, 0] == -1.5) & (found[0, 1] == 0.5)
    assert right_ones[2:-2, 2:-2].float().mean() > 0.9
    inner = (slice(None), slice(None), slice(16, -16), slice(16, -16))
    away = (fetch_between(before, found) - now)[inner].abs().mean()
    assert away < 0.7 * (fetch_between(before, found.round()) - now)[inner].abs().mean()


def test_what_stays_stays_in_noise() -> None:
    before = picture()
    noise = 30 * torch.randn(before.shape, generator=torch.Generator().manual_seed(1))
    still = (motion(before + noise, before) == 0).all(dim=1)
    assert still.float().mean() > 0.95


def test_a_black_frame_does_not_move() -> None:
    black = torch.zeros(1, 3, 32, 32)
    assert (motion(black, black) == 0).all()


def test_no_motion_is_beyond_the_reach() -> None:
    assert motion(picture(seed=1), picture(seed=2)).abs().max() <= REACH


def test_fetching_takes_each_block_from_its_place_and_the_border_beyond_the_frame() -> None:
    image = picture(32, 48)
    generator = np.random.default_rng(0)
    moved = generator.integers(-REACH, REACH + 1, (1, 2, 4, 6))
    fetched = fetch(image, torch.from_numpy(moved).float())
    assert torch.equal(fetch_between(image, torch.from_numpy(moved).float()), fetched)
    for row in range(32):
        for column in range(48):
            down, right = moved[0, :, row // BLOCK, column // BLOCK]
            source = image[0, :, np.clip(row + down, 0, 31), np.clip(column + right, 0, 47)]
            assert torch.equal(fetched[0, :, row, column], source)


def test_sums_are_whole_so_that_every_engine_finds_the_same() -> None:
    now, before = picture(seed=3), picture(seed=4)
    found = motion(now, before)
    assert torch.equal(2 * found, (2 * found).round())
    assert torch.equal(motion(now.double(), before.double()).float(), found)
