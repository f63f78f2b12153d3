"""Shots that do not show one still scene are found, and named."""

from __future__ import annotations

import numpy as np
import pytest

from edgeunet.errors import SourceError
from edgeunet.train.stillness import LIMIT, check_still, deviations, shared_noise
from tests.train.burst_scenes import Known, known_scene

SIDE = 96


@pytest.fixture(scope="module")
def still() -> Known:
    return known_scene("astronaut", SIDE, 8)


@pytest.mark.parametrize("shots", [4, 8])
def test_a_still_scene_is_one(still: Known, shots: int) -> None:
    check_still("desk", still.shots[:shots], range(1, shots + 1))
    found = deviations(still.shots[:shots])
    assert found.shape == (shots, SIDE // 16, SIDE // 16)
    assert 0.5 < float(np.sqrt(np.mean(found**2))) < 1.5, "1 is what noise explains"


def test_a_moved_camera_is_named_by_the_shot(still: Known) -> None:
    shots = still.shots.copy()
    shots[2] = known_scene("astronaut", SIDE, 1, seed=5, moved=4).shots[0]
    with pytest.raises(SourceError) as caught:
        check_still("desk", shots, range(1, 9))
    message = caught.value.message
    assert message.startswith("shot 3 of 'desk' does not fit the others: at row ")
    assert f"times as much as noise explains, limit {LIMIT:g}" in message
    assert "so do" not in message
    assert "tripod" in caught.value.hint


def test_something_that_moved_through_the_picture(still: Known) -> None:
    shots = still.shots.copy()
    shots[5, 32:56, 48:72] //= 3
    with pytest.raises(SourceError, match=r"shot 12 of 'desk' .* at row (32|48), column (48|64) "):
        check_still("desk", shots, range(2, 18, 2))


def test_light_that_changed(still: Known) -> None:
    shots = still.shots.copy()
    shots[6:] = (shots[6:] * 0.7).astype(np.uint8)
    with pytest.raises(SourceError, match=r"shot (7|8) of 'desk' .*; so does shot (7|8)$"):
        check_still("desk", shots, range(1, 9))


def test_two_shots_that_are_one_picture(still: Known) -> None:
    shots = still.shots.copy()
    shots[4] = shots[3]
    with pytest.raises(SourceError) as caught:
        check_still("desk", shots, range(1, 9))
    assert caught.value.message == "shots 4 and 5 of 'desk' are the same picture"


def test_noise_that_neighbours_share(still: Known) -> None:
    assert shared_noise(still.shots) == pytest.approx(1, abs=0.05)
    # What a recursive filter over time leaves: half of every frame is the one before.
    mixed = still.shots.astype(np.float32)
    for index in range(1, len(mixed)):
        mixed[index] = (mixed[index] + mixed[index - 1]) / 2
    assert shared_noise(mixed.astype(np.uint8)) < 0.85
