"""What is measured of shots whose noise is known, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("PIL")

from edgeunet.errors import SourceError
from edgeunet.noise_profile.profile import NoiseProfile
from edgeunet.noise_profile.shots import StaticShots
from edgeunet.photographs import jpeg_coded
from tests.noise_profile.scenes import (
    GAIN,
    READ,
    Bytes,
    camera_noise,
    correlated_shots,
    in_bytes,
    ramp,
    shots,
    textured,
)


def _measured(images: Sequence[Bytes]) -> tuple[NoiseProfile, list[str]]:
    static = StaticShots()
    for number, image in enumerate(images, 1):
        static.add(image, f"shot {number}")
    return static.profile("scene"), static.warnings()


def test_gain_and_read_noise_come_out_as_they_went_in() -> None:
    profile, warnings = _measured(shots(ramp(), 12))
    assert warnings == []
    for name in ("red", "green", "blue"):
        fit = getattr(profile.curves, name).fit
        assert fit is not None
        assert fit.gain == pytest.approx(GAIN, rel=0.1)
        assert fit.read == pytest.approx(READ, rel=0.1)
        assert fit.low < 0.15
        assert fit.high > 0.8
        assert fit.misfit < 0.05


def test_the_deviation_is_that_of_the_noise_at_every_brightness() -> None:
    curve = _measured(shots(ramp(), 12))[0].curves.green
    expected = np.sqrt(GAIN * np.array(curve.signal) + READ) * 255
    assert np.array(curve.deviation) == pytest.approx(expected, rel=0.06)
    assert sum(curve.samples) > 0.95 * 192 * 256 * 11


def test_luma_and_chroma_of_white_noise() -> None:
    profile = _measured(shots(ramp(), 6))[0]
    share = np.sqrt(0.299**2 + 0.587**2 + 0.114**2)
    luma, green = profile.curves.luma, profile.curves.green
    assert luma.mean_deviation == pytest.approx(share * green.mean_deviation, rel=0.03)


def test_white_noise_is_told_from_correlated_noise() -> None:
    white = _measured(shots(ramp(), 6))[0]
    assert white.white
    assert abs(white.correlation.largest) < 0.02
    smooth = _measured(correlated_shots(ramp(), 6))[0]
    assert not smooth.white
    # A mean over 3x3 pixels shares 6, 3 and 0 of 9 pixels with that of a neighbour.
    for found in (smooth.correlation.luma, smooth.correlation.cb, smooth.correlation.cr):
        assert found.horizontal == pytest.approx((6 / 9, 3 / 9, 0), abs=0.03)
        assert found.vertical == pytest.approx((6 / 9, 3 / 9, 0), abs=0.03)
        assert found.diagonal == pytest.approx((4 / 9, 1 / 9, 0), abs=0.03)


@pytest.mark.parametrize("axis", [0, 1])
def test_banding_is_found_where_it_is(axis: int) -> None:
    generator = np.random.default_rng(3)
    scene = ramp()
    height, width, _ = scene.shape
    shape = (height, 1, 1) if axis == 0 else (1, width, 1)
    images = [
        in_bytes(scene + camera_noise(scene, generator) + generator.normal(0, 1.0, shape))
        for _ in range(6)
    ]
    profile = _measured(images)[0]
    banded, other = profile.row_offsets, profile.column_offsets
    if axis == 1:
        banded, other = other, banded
    assert banded.found
    assert banded.deviation == pytest.approx(1.0, rel=0.15)
    assert banded.against_white > 2
    assert not other.found
    assert other.against_white == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("kind", ["white", "correlated"])
def test_neither_banding_nor_a_grid_is_found_where_there_is_none(kind: str) -> None:
    make = shots if kind == "white" else correlated_shots
    profile = _measured(make(ramp(), 6, seed=5))[0]
    assert not profile.grid.found
    assert not profile.row_offsets.found
    assert not profile.column_offsets.found


@pytest.mark.parametrize("corner", [(0, 0), (3, 5)])
def test_the_grid_of_jpeg_is_found_wherever_the_image_was_cropped(corner: tuple[int, int]) -> None:
    top, left = corner
    images = [jpeg_coded(image, 75, "4:2:0")[top:, left:] for image in shots(ramp(), 6)]
    grid = _measured(images)[0].grid
    assert grid.found
    assert min(grid.columns, grid.rows) > 1.3


def test_a_mosaic_s_period_of_two_is_no_grid() -> None:
    generator = np.random.default_rng(2)
    scene = ramp()
    images = []
    for _ in range(6):
        noise = camera_noise(scene, generator)
        # Every second pixel is made of its neighbours, as bilinear demosaicing does.
        noise[:, 1:-1:2] = (noise[:, :-2:2] + noise[:, 2::2]) / 2
        noise[1:-1:2] = (noise[:-2:2] + noise[2::2]) / 2
        images.append(in_bytes(scene + noise))
    assert not _measured(images)[0].grid.found


def test_a_camera_that_moves_is_refused_with_the_shot_and_the_measure() -> None:
    first, second, third = shots(textured(), 3)
    with pytest.raises(SourceError) as error:
        _measured([first, second, np.roll(third, 1, axis=1)])
    assert error.value.message.startswith(
        "the picture moves by about 1.1 pixels between shot 2 and shot 3: that is "
    )
    assert error.value.message.endswith("% of their difference, and not noise")
    assert error.value.hint.startswith("fix camera and scene so that nothing moves")


def test_another_scene_is_refused() -> None:
    with pytest.raises(SourceError, match="the scene is not static: 100% of the picture changes"):
        _measured([shots(textured(), 1)[0], shots(ramp()[:, ::-1], 1)[0]])


def test_a_small_object_that_moves_is_left_out_and_named() -> None:
    images = shots(ramp(), 6)
    with_object = [image.copy() for image in images]
    for number, image in enumerate(with_object):
        image[70:90, 20 + number : 40 + number] = 255
    profile, warnings = _measured(with_object)
    assert len(warnings) == 1
    assert warnings[0].startswith("something moved between shot ")
    assert warnings[0].endswith("% of the picture is left out")
    still = _measured(images)[0]
    assert profile.sigma == pytest.approx(still.sigma, rel=0.03)


def test_a_large_object_that_moves_is_refused() -> None:
    images = shots(ramp(), 2)
    images[1][:, :100] = 255
    with pytest.raises(SourceError, match="% of the picture changes between shot 1 and shot 2"):
        _measured(images)


def test_a_lamp_that_flickers_is_taken_out_and_named() -> None:
    scene = ramp()
    generator = np.random.default_rng(1)
    light = [1.0, 1.0, 1.03, 1.0, 1.0, 1.0]
    images = [in_bytes(scene * factor + camera_noise(scene, generator)) for factor in light]
    profile, warnings = _measured(images)
    assert len(warnings) == 1
    assert "the brightness changes by " in warnings[0]
    assert "shot 3" in warnings[0]
    assert profile.sigma == pytest.approx(_measured(shots(scene, 6))[0].sigma, rel=0.03)


def test_shots_that_are_the_same_are_left_out() -> None:
    first, second, third = shots(ramp(), 3)
    profile, warnings = _measured([first, second, second, third])
    assert profile.shots == 3
    assert warnings[0] == "1 shot is the same as the one before, and left out"


def test_one_shot_copied_is_no_measurement() -> None:
    image = shots(ramp(), 1)[0]
    with pytest.raises(SourceError) as error:
        _measured([image, image, image])
    assert error.value.message == "'scene' has only 3 shots, and all are the same"
    assert error.value.hint == "give two or more shots of a static scene, each exposed anew"


def test_what_a_codec_repeats_is_named() -> None:
    first, second, third = shots(ramp(), 3)
    for image in (second, third):
        image[:96] = first[:96]
    assert [line for line in _measured([first, second, third])[1] if "repeated" in line] == [
        "50% of the picture is repeated from shot to shot, as a video codec does: the noise in "
        "each shot is stronger than measured"
    ]


def test_clipped_brightnesses_are_marked_and_not_fitted() -> None:
    scene = np.linspace(0, 255, 256, dtype=np.float32)[None, :, None].repeat(192, 0).repeat(3, 2)
    curve = _measured(shots(np.ascontiguousarray(scene), 8))[0].curves.green
    assert curve.clipped[0]
    assert curve.clipped[-1]
    assert curve.fit is not None
    assert curve.fit.gain == pytest.approx(GAIN, rel=0.1)
    assert curve.fit.low > curve.signal[0]


def test_a_scene_of_one_brightness_has_no_line() -> None:
    curve = _measured(shots(np.full((128, 128, 3), 120, np.float32), 4))[0].curves.green
    assert curve.fit is None
    assert curve.no_fit.startswith("the scene's brightness reaches only from 0.4")


def test_a_variance_that_falls_has_no_line() -> None:
    generator = np.random.default_rng(0)
    scene = ramp()
    images = [
        in_bytes(scene + camera_noise(scene, generator) * (1.5 - np.abs(scene / 255 - 0.5) * 3))
        for _ in range(8)
    ]
    curve = _measured(images)[0].curves.green
    assert curve.fit is None or curve.fit.high - curve.fit.low < 0.45


def test_a_hot_pixel_does_not_count() -> None:
    images = shots(ramp(), 6)
    for number, image in enumerate(images):
        image[5:190:37, 7:250:41] = 255 * (number % 2)
    assert _measured(images)[0].sigma == pytest.approx(
        _measured(shots(ramp(), 6))[0].sigma, rel=0.02
    )
