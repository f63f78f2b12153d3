"""A profile in a file: there and back, and what is wrong with others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("PIL")

from edgeunet.errors import RecipeError
from edgeunet.noise_profile.profile import NoiseProfile, read_profile, write_profile
from edgeunet.noise_profile.shots import StaticShots
from tests.noise_profile.scenes import ramp, shots


@pytest.fixture(scope="module")
def profile() -> NoiseProfile:
    static = StaticShots()
    for image in shots(ramp(64, 96), 3):
        static.add(image, "shot")
    return static.profile('a "clip"\x7f, größer.mkv')


def test_there_and_back(profile: NoiseProfile, tmp_path: Path) -> None:
    path = tmp_path / "new" / "camera.toml"
    write_profile(profile, path)
    assert read_profile(path) == profile
    assert [entry.name for entry in path.parent.iterdir()] == ["camera.toml"]


def test_a_missing_profile(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no noise profile '.*none.toml'") as error:
        read_profile(tmp_path / "none.toml")
    assert error.value.hint == "measure it again: edgeunet noise SOURCE --profile FILE.toml"


@pytest.mark.parametrize(
    ("pattern", "instead", "message"),
    [
        (r"schema = 1", "schema = 2", "its schema is 2, this version reads 1"),
        (r"schema = 1\n", "", "its schema is None, this version reads 1"),
        (r"schema = 1", "schema = 1\nshutter = 3", "contains unknown field `shutter`"),
        (r"shots = 3", 'shots = "three"', "Expected `int`, got `str` - at `$.shots`"),
        (r"\[grid\]", "[grid", "is not a noise profile: "),
        (r"deviation = \[[\d.]+", "deviation = [nan", "the deviations of curve 'red' must be"),
        (r"deviation = \[[\d.]+, ", "deviation = [", "the lists of curve 'red' must have one"),
        (r"signal = \[[\d.]+", "signal = [0.99", "the signals of curve 'red' must rise"),
        (r"samples = \[\d+", "samples = [0", "the samples of curve 'red' must be at least 1"),
        (r"horizontal = \[[-\d.]+", "horizontal = [inf", "the correlations of 'luma' must be"),
        (r"columns = [\d.]+", "columns = nan", "the ratios of [grid] must be numbers from 0"),
        (r"against_white = [\d.]+", "against_white = -1.0", "the offsets of rows and columns"),
    ],
)
def test_a_broken_profile_says_what_is_wrong(
    profile: NoiseProfile, tmp_path: Path, pattern: str, instead: str, message: str
) -> None:
    path = tmp_path / "camera.toml"
    write_profile(profile, path)
    text, count = re.subn(pattern, instead, path.read_text(encoding="utf-8"), count=1)
    assert count == 1
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as error:
        read_profile(path)
    assert error.value.message.startswith("camera.toml is not a noise profile")
    assert message in error.value.message


def test_a_binary_file_is_no_profile(tmp_path: Path) -> None:
    path = tmp_path / "camera.toml"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(RecipeError, match="camera.toml is not a noise profile: "):
        read_profile(path)
