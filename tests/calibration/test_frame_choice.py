"""Different frames are kept, near-duplicates are not, and memory does not grow with them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeunet.calibration.frame_choice import NEAR, Candidate, Pool, choose, describe, distances

Bytes = NDArray[np.uint8]


def noise(seed: int, height: int = 40, width: int = 56) -> Bytes:
    """Return a coarse random picture, (H, W, 3) uint8 RGB."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(30, 220, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))


def candidate(number: int, picture: Bytes) -> Candidate:
    return Candidate(0, f"{number:03d}.png", None, 0, 0, describe(picture))


def test_a_descriptor_is_the_means_and_the_spread_of_cells() -> None:
    picture = np.zeros((20, 30, 3), np.uint8)
    picture[:, :15] = 10, 20, 30
    picture[:, 15:] = 200
    cells = describe(picture).reshape(8, 8, 4)
    assert cells[0, 0] == pytest.approx([10, 20, 30, 0], abs=0.02)
    assert cells[7, 7] == pytest.approx([200, 200, 200, 0], abs=0.02)
    checked = np.zeros((16, 16, 3), np.uint8)
    checked[::2] = 100
    assert describe(checked).reshape(64, 4) == pytest.approx(np.full((64, 4), 50.0), abs=0.02)


def test_distances_are_in_8_bit_steps() -> None:
    picture = noise(0)
    brighter = describe(picture + np.uint8(10))
    # The spread of brightness, a quarter of the numbers, is the same.
    assert distances(describe(picture)[None], brighter)[0] == pytest.approx(np.sqrt(75), rel=0.01)


def test_near_duplicates_are_left_out() -> None:
    pool, picture = Pool(16), noise(1)
    generator = np.random.default_rng(0)
    assert pool.offer(candidate(0, picture)) is None
    for number in range(1, 6):
        shaken = picture + generator.integers(0, 9, picture.shape, dtype=np.uint8)
        near = candidate(number, shaken)
        assert pool.offer(near) is near
    assert pool.offer(candidate(9, noise(2))) is None
    assert [one.path for one in pool.candidates] == ["000.png", "009.png"]
    assert pool.near_duplicates == 5


def test_a_full_pool_keeps_what_is_different() -> None:
    """Forty shades of one picture, and at the end three others: they find a place."""
    pool = Pool(8)
    dropped = []
    for number in range(40):
        shade = np.full((16, 16, 3), 6 * number, np.uint8)
        dropped.append(pool.offer(candidate(number, shade)))
    for number in (50, 51, 52):
        refused = pool.offer(candidate(number, noise(number)))
        assert refused is not None
        assert refused.path < "040.png"
    held = pool.candidates
    assert len(held) == 8
    assert {"050.png", "051.png", "052.png"} <= {one.path for one in held}
    assert sum(one is not None for one in dropped) == 32
    descriptors = np.stack([one.descriptor for one in held])
    for index in range(8):
        others = np.delete(descriptors, index, axis=0)
        assert distances(others, descriptors[index]).min() > 2 * NEAR


def test_the_darkest_the_brightest_and_then_the_farthest() -> None:
    shades = [100, 10, 105, 110, 240, 170]
    pictures = [np.full((16, 16, 3), shade, np.uint8) for shade in shades]
    found = choose([candidate(shade, p) for shade, p in zip(shades, pictures, strict=True)], 4)
    assert [one.path for one in found] == ["010.png", "240.png", "110.png", "170.png"]


def test_what_is_chosen_covers_the_rest() -> None:
    """Nothing is farther from the set than its own members are from each other."""
    every = [candidate(number, noise(number)) for number in range(60)]
    chosen = choose(every, 12)
    assert len({one.path for one in chosen}) == 12
    taken = np.stack([one.descriptor for one in chosen])
    radius = max(float(distances(taken, one.descriptor).min()) for one in every)
    apart = min(
        float(distances(np.delete(taken, index, axis=0), taken[index]).min()) for index in range(12)
    )
    assert radius <= apart
