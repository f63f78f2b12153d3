"""Ranges that are made for a profile give noise that is nearer to it."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

pytest.importorskip("colour_demosaicing")
pytest.importorskip("scipy")

from edgeunet.camera.chain import draw_shot
from edgeunet.noise_profile.matching import distance_of, match_camera, measured_noise
from edgeunet.noise_profile.profile import NoiseProfile
from edgeunet.schedules import CameraTable

STRONG = CameraTable(
    gain=(8e-3, 1e-2),
    luma_smoothing=(0.9, 1.1),
    chroma_smoothing=(5.0, 6.0),
    sharpening=(0.0, 0.1),
    resize_share=0.0,
    h264_share=0.0,
)
"""Strong noise with wide colours: an unusual camera among the default ones."""


@pytest.fixture(scope="module")
def profile() -> NoiseProfile:
    generator = np.random.default_rng(11)
    return measured_noise(draw_shot(STRONG, (128, 128), generator), generator)


def test_new_ranges_are_nearer_to_the_profile_than_the_default_ones(profile: NoiseProfile) -> None:
    found = match_camera(profile, CameraTable(), draws=100)
    assert found.after < 0.75 * found.before
    # Measured again with cameras that the matching has not seen.
    default, fitted = (
        float(np.median(distance_of(profile, table, draws=20, seed=77)))
        for table in (CameraTable(), found.table)
    )
    assert fitted < 0.75 * default
    # The luma of the default cameras is weaker, and the ranges have followed.
    assert found.simulated[0] == pytest.approx(found.measured[0], rel=0.5)
    assert found.table.gain[0] > CameraTable().gain[0]


def test_ranges_are_within_the_ones_begun_with_and_keep_what_noise_does_not_show(
    profile: NoiseProfile,
) -> None:
    before = CameraTable(share=0.3, reduction=(0.6, 0.7), lens=(0.2, 0.4), bits=(12, 12))
    found = match_camera(profile, before, draws=20).table
    kept = ("share", "reduction", "lens", "bits", "smooths_scene")
    assert [getattr(found, name) for name in kept] == [getattr(before, name) for name in kept]
    for name, value in msgspec.structs.asdict(found).items():
        wide = getattr(before, name)
        if isinstance(value, float):
            assert 0 <= value <= 1, name
        elif not isinstance(value[0], str):
            assert wide[0] <= value[0] <= value[1] <= wide[1], name
    assert set(found.demosaic) <= set(before.demosaic)


def test_the_same_seed_gives_the_same_ranges(profile: NoiseProfile) -> None:
    first, again = (match_camera(profile, CameraTable(), draws=12).table for _ in range(2))
    other = match_camera(profile, CameraTable(), draws=12, seed=5).table
    assert first == again
    assert first != other
