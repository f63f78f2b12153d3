"""The noise of one shot of a flat scene."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("PIL")

from edgeunet.errors import SourceError
from edgeunet.noise_profile.flat import flat_profile
from tests.noise_profile.scenes import (
    GAIN,
    READ,
    correlated_shots,
    flat,
    ramp,
    shots,
    textured,
)


def test_one_shot_of_a_ramp_gives_gain_and_read_noise() -> None:
    profile = flat_profile(shots(ramp(384, 512), 1)[0], "wall.png")
    assert (profile.method, profile.shots) == ("spatial", 1)
    fit = profile.curves.green.fit
    assert fit is not None
    assert fit.gain == pytest.approx(GAIN, rel=0.1)
    assert fit.read == pytest.approx(READ, rel=0.15)


def test_light_that_falls_off_is_no_noise() -> None:
    profile = flat_profile(shots(flat(), 1)[0], "wall.png")
    expected = 255 * np.sqrt(GAIN * 110 / 255 + READ)
    assert profile.sigma == pytest.approx(expected, rel=0.05)
    assert profile.white


def test_correlated_noise_is_kept() -> None:
    profile = flat_profile(correlated_shots(flat(), 1)[0], "wall.png")
    assert profile.correlation.luma.horizontal[0] == pytest.approx(6 / 9, abs=0.05)
    assert not profile.white


def test_a_scene_that_is_not_flat_is_refused() -> None:
    image = shots(textured(), 1)[0]
    with pytest.raises(SourceError) as error:
        flat_profile(image, "street.png")
    assert error.value.message.startswith(
        "'street.png' is a single shot, and its scene is not flat: "
    )
    assert error.value.hint == (
        "photograph an evenly lit wall out of focus, or give two or more shots of a static scene"
    )
