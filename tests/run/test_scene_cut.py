"""A cut between scenes is seen in noise; a moving camera, noise and a lamp are none."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

from edgeunet.run.scene_cut import SceneCut


def _noisy(image: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(image.shape) * sigma
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", [0, 30, 60])
def test_a_cut_is_seen_and_what_goes_on_is_not(sigma: float) -> None:
    one, other = data.astronaut()[:400, :512], data.chelsea()[:300, :451]
    one = one[:300, :451]
    seen = SceneCut()
    frames = [one, np.roll(one, 4, 1), np.roll(one, 8, 1), other, other, one]
    answers = [seen.is_cut(_noisy(f, sigma, i)) for i, f in enumerate(frames)]
    assert answers == [False, False, False, True, False, True]


def test_a_lamp_is_no_cut_and_a_first_frame_is_none() -> None:
    seen, image = SceneCut(), data.astronaut()
    assert not seen.is_cut(image // 2)
    assert not seen.is_cut(image // 2 + 60)
    seen.forget()
    assert not seen.is_cut(data.rocket()[:400, :512])


def test_frames_smaller_than_a_block_are_compared() -> None:
    seen = SceneCut()
    assert not seen.is_cut(np.zeros((9, 7, 3), np.uint8))
    assert not seen.is_cut(np.full((9, 7, 3), 9, np.uint8))
