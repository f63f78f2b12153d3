from __future__ import annotations

import numpy as np
import pytest

from edgeunet.errors import UsageError
from edgeunet.evaluate.protocol import NoiseKind, add_noise, parse_sigmas
from edgeunet.noise_models import add_gaussian
from edgeunet.pixels import as_floats

CLEAN = np.random.default_rng(1).integers(0, 256, (3, 16, 20), dtype=np.uint8)


def test_float_noise_is_that_of_the_published_figures() -> None:
    # The Kodak figures in the model cards were drawn like this: (1, 3, H, W), [sigma, index].
    floats = CLEAN.astype(np.float32)[None] / np.float32(255)
    wanted = add_gaussian(floats, 25.0, np.random.default_rng([25, 3]))
    noisy = add_noise(CLEAN, NoiseKind.FLOAT, 25.0, seed=0, index=3)
    np.testing.assert_array_equal(noisy, wanted[0])
    assert noisy.min() < 0
    assert noisy.max() > 1


def test_both_kinds_share_one_draw() -> None:
    noisy = add_noise(CLEAN, NoiseKind.FLOAT, 25.0, seed=2, index=3)
    frame = add_noise(CLEAN, NoiseKind.UINT8, 25.0, seed=2, index=3)
    assert frame.dtype == np.uint8
    np.testing.assert_array_equal(frame, np.clip(np.rint(noisy * np.float32(255)), 0, 255))


@pytest.mark.parametrize(("seed", "index", "sigma"), [(1, 3, 25.0), (0, 4, 25.0), (0, 3, 26.0)])
def test_seed_image_and_level_each_change_the_draw(seed: int, index: int, sigma: float) -> None:
    one = add_noise(CLEAN, NoiseKind.FLOAT, 25.0, seed=0, index=3) - as_floats(CLEAN)
    other = add_noise(CLEAN, NoiseKind.FLOAT, sigma, seed=seed, index=index) - as_floats(CLEAN)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.2


def test_levels_are_read() -> None:
    assert parse_sigmas("15, 25,50") == (15.0, 25.0, 50.0)
    assert parse_sigmas("0") == (0.0,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strong", "'strong' is not a noise level"),
        ("15,,25", "'' is not a noise level"),
        ("-5", "-5 is not a noise level"),
        ("300", "300 is not a noise level"),
        ("nan", "nan is not a noise level"),
        ("25,25.0", "the noise level 25 is given twice"),
    ],
)
def test_impossible_levels_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_sigmas(text)
    assert caught.value.message == message
    assert "8-bit units" in caught.value.hint
