"""The whole chain: nothing in, nothing out; noise where there is gain, and in one image only."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

pytest.importorskip("colour_demosaicing", reason="edgeunet[train] has it")
pytest.importorskip("av", reason="edgeunet[train] codes H.264 with it")

from edgeunet.camera.chain import MARGIN, Shot, draw_shot, take
from edgeunet.camera.night import night_shot
from edgeunet.metrics import psnr_db
from edgeunet.photographs import fill_frame, shipped_photographs
from edgeunet.schedules import CameraTable

HEIGHT, WIDTH = 64, 96
INNER = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))


def plain_shot() -> Shot:
    """A camera that does nothing to an image but see it through a Bayer filter."""
    return replace(
        night_shot(HEIGHT, WIDTH),
        matrix=np.eye(3),
        balance=np.ones(3),
        tone=0.0,
        exposure=1.0,
        push=1.0,
        gain=0.0,
        read=0.0,
        row=0.0,
        lens=0.0,
        bits=14,
        luma_smoothing=0.0,
        chroma_smoothing=0.0,
        sharpening=0.0,
        halves_colours=False,
        quality=None,
    )


def scene(shot: Shot, name: str = "coffee") -> np.ndarray:
    return fill_frame(shipped_photographs()[name], *shot.sensor_size)


def test_a_plain_camera_returns_the_scene() -> None:
    shot = plain_shot()
    rows, columns = np.mgrid[0 : shot.size[0], 0 : shot.size[1]]
    smooth = np.stack([60 + rows, 200 - columns, 40 + columns], axis=2).astype(np.uint8)
    noisy, clean = take(smooth, shot, np.random.default_rng(0))
    for image in (noisy, clean):
        assert image.shape == (*shot.size, 3)
        assert image.dtype == np.float32
        # Demosaicing is in linear light, where a ramp of sRGB values is a little curved.
        assert np.abs(image * 255 - smooth)[INNER].max() < 1.1
    photograph = scene(shot)
    _, clean = take(photograph, shot, np.random.default_rng(0))
    found = psnr_db(clean[INNER], photograph[INNER].astype(np.float32) / 255)
    assert found > 28, "demosaicing alone"


def test_a_camera_without_noise_undoes_its_own_colours_and_tone() -> None:
    shot = replace(
        plain_shot(),
        matrix=night_shot(HEIGHT, WIDTH).matrix,
        balance=np.array([2.0, 1.0, 1.6]),
        tone=0.8,
        exposure=0.5,
        push=2.0,
    )
    grey = np.full((*shot.size, 3), (90, 120, 150), np.uint8)
    noisy, clean = take(grey, shot, np.random.default_rng(0))
    assert np.abs(clean * 255 - grey)[INNER].max() < 0.6
    assert np.abs(noisy * 255 - grey)[INNER].max() < 1.6


@pytest.mark.parametrize("coding", [{"quality": 90}, {"quality": None, "rate_factor": 23}, {}])
def test_the_clean_image_has_neither_noise_nor_coding(coding: dict[str, int | None]) -> None:
    shot = replace(night_shot(HEIGHT, WIDTH), **coding)  # type: ignore[arg-type]
    picture = scene(shot)
    _, one = take(picture, shot, np.random.default_rng(0))
    noisy, other = take(picture, replace(shot, gain=1e-9, read=1e-12), np.random.default_rng(5))
    assert np.array_equal(one, other)
    assert psnr_db(noisy[INNER], other[INNER]) > 28
    levels = noisy.astype(float) * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)


def test_noise_grows_with_gain_and_is_another_one_each_time() -> None:
    shot = plain_shot()
    grey = np.full((*shot.size, 3), 128, np.uint8)
    deviations = []
    for gain in (1e-4, 1e-3, 1e-2):
        noisy, clean = take(grey, replace(shot, gain=gain), np.random.default_rng(0))
        deviations.append(float((noisy - clean)[INNER].std()))
    assert deviations[0] > 0.003
    # In light ten times the variance is 3.2 times the deviation; the sRGB curve bends little.
    assert deviations[1] / deviations[0] == pytest.approx(10**0.5, rel=0.1)
    assert deviations[2] / deviations[1] == pytest.approx(10**0.5, rel=0.2)
    generator = np.random.default_rng(0)
    shot = replace(shot, gain=1e-3)
    first, second = (take(grey, shot, generator)[0] for _ in range(2))
    assert not np.array_equal(first, second)


def test_one_seed_gives_one_camera_and_one_image() -> None:
    table = CameraTable()
    shots = [draw_shot(table, (40, 60), np.random.default_rng([3, n])) for n in (0, 0, 1)]
    assert repr(shots[0]) == repr(shots[1]) != repr(shots[2])
    picture = scene(shots[0])
    one, two = (take(picture, shots[0], np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])


def test_drawn_cameras_keep_to_the_table() -> None:
    table = CameraTable()
    for seed in range(60):
        shot = draw_shot(table, (40, 60), np.random.default_rng(seed))
        assert shot.size == (40 + 2 * MARGIN, 60 + 2 * MARGIN)
        assert table.gain[0] <= shot.gain <= table.gain[1]
        assert 2.0 ** table.exposure[0] <= shot.exposure <= 1 <= shot.push <= 1 / shot.exposure
        assert table.tone[0] <= shot.tone <= table.tone[1]
        assert shot.bits in range(table.bits[0], table.bits[1] + 1)
        assert shot.demosaic in table.demosaic
        assert shot.quality is None or shot.rate_factor is None
        scale = shot.size[0] / shot.sensor_size[0]
        assert table.resize[0] * 0.97 < scale < table.resize[1] * 1.03
        still = draw_shot(table, (40, 60), np.random.default_rng(seed), resizes=False)
        assert still.sensor_size == still.size


@pytest.mark.parametrize("size", [(40, 60), (41, 59), (60, 16)])
def test_any_size_however_it_is_resized_and_coded(size: tuple[int, int]) -> None:
    table = msgspec.structs.replace(
        CameraTable(), resize_share=1.0, halves_colours=1.0, jpeg_share=0.5, h264_share=0.5
    )
    for seed in range(4):
        generator = np.random.default_rng(seed)
        shot = draw_shot(table, size, generator)
        noisy, clean = take(scene(shot), shot, generator)
        assert noisy.shape == clean.shape == (*shot.size, 3)
        assert all(shot.size[n] - 2 * MARGIN - size[n] in (0, 1) for n in (0, 1))
        assert np.isfinite(noisy).all()
        assert 0 <= noisy.min() <= noisy.max() <= 1
        assert 0 <= clean.min() <= clean.max() <= 1


def test_the_night_camera_is_one_of_the_tables() -> None:
    """What networks are shown with is what they may be trained for."""
    table, shot = CameraTable(), night_shot(HEIGHT, WIDTH)
    assert shot.size == shot.sensor_size == (HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)
    np.testing.assert_allclose(shot.matrix.sum(axis=1), 1)
    for value, (low, high) in (
        (shot.gain, table.gain),
        (shot.exposure, (2.0 ** table.exposure[0], 2.0 ** table.exposure[1])),
        (shot.push, (1, 1 / shot.exposure)),
        (shot.row, (0, table.row[1] * shot.read**0.5)),
        (shot.bits, table.bits),
        (shot.balance[0], table.red_gain),
        (shot.balance[2], table.blue_gain),
        (shot.tone, table.tone),
        (shot.luma_smoothing, table.luma_smoothing),
        (shot.chroma_smoothing, table.chroma_smoothing),
        (shot.wide_share, table.wide_share),
        (shot.sharpening, table.sharpening),
        (shot.quality or 0, table.jpeg),
    ):
        assert low <= value <= high
    assert shot.demosaic in table.demosaic
    noisy, clean = take(scene(shot), shot, np.random.default_rng(0))
    assert 20 < psnr_db(noisy[INNER], clean[INNER]) < 28
