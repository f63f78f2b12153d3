from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeunet.evaluate.protocol import Planes
from edgeunet.evaluate.temporal import STATIC_THRESHOLD, Moment, TemporalMeter

Bytes = NDArray[np.uint8]


def _grey(value: int, height: int = 2, width: int = 4) -> Bytes:
    return np.full((3, height, width), value, np.uint8)


def _moment(
    clean: Bytes, out: Planes | None = None, labels: Bytes | None = None, sequence: str = ""
) -> Moment:
    return Moment(sequence, clean, clean, out, labels)


def test_only_static_pixels_count() -> None:
    first, second = _grey(100), _grey(100 + STATIC_THRESHOLD)
    second[1, :, 2:] = 100 + STATIC_THRESHOLD + 1  # one channel moves in half of the frame
    out, then = _grey(100), _grey(100)
    then[:, :, :2] = 106
    then[:, :, 2:] = 255
    labels = np.zeros((2, 4), np.uint8)
    changed = labels.copy()
    changed[0, 0] = changed[0, 3] = 1  # one where nothing moves, one where something does
    meter = TemporalMeter()
    meter.add(_moment(first, out, labels))
    meter.add(_moment(second, then, changed))
    figures = meter.figures()
    assert figures is not None
    assert figures.pairs == 1
    assert figures.static_share == 0.5
    assert figures.label_change_share == 0.25
    assert figures.clean_flicker == STATIC_THRESHOLD
    assert figures.noisy_flicker == STATIC_THRESHOLD
    assert figures.denoised_flicker == 6.0


def test_float_outputs_are_measured_in_8_bit_units() -> None:
    meter = TemporalMeter()
    for value in (0.5, 0.5 + 10 / 255):
        meter.add(_moment(_grey(100), np.full((3, 2, 4), value, np.float32)))
    figures = meter.figures()
    assert figures is not None
    assert figures.denoised_flicker == pytest.approx(10.0, abs=1e-4)
    assert figures.label_change_share is None


def test_pairs_are_weighted_by_their_static_pixels() -> None:
    meter = TemporalMeter()
    for clean, out in ((_grey(0), _grey(0)), (_grey(0), _grey(8)), (_grey(90), _grey(0))):
        meter.add(_moment(clean, out))
    figures = meter.figures()
    assert figures is not None
    assert (figures.pairs, figures.static_share) == (2, 0.5)
    assert figures.denoised_flicker == 8.0


def test_another_sequence_or_size_makes_no_pair() -> None:
    meter = TemporalMeter()
    meter.add(_moment(_grey(0), sequence="a"))
    meter.add(_moment(_grey(0), sequence="b"))
    meter.add(_moment(_grey(0, 4, 4), sequence="b"))
    assert meter.figures() is None


def test_a_scene_without_static_pixels_has_no_flicker() -> None:
    meter = TemporalMeter()
    for value in (0, 100):
        meter.add(_moment(_grey(value), _grey(value), np.zeros((2, 4), np.uint8)))
    figures = meter.figures()
    assert figures is not None
    assert figures.static_share == 0.0
    assert figures.denoised_flicker is None
    assert figures.label_change_share is None


def test_settled_frames_are_told_apart_by_what_moves() -> None:
    meter = TemporalMeter()
    for number in range(8):
        clean = _grey(100)
        # A pixel that flashes in the fifth frame: moving in two pairs, uncovered in the last two.
        clean[:, 0, 0] = 200 if number == 4 else 100
        out = clean.copy()
        out[:, 0, 0] -= 10
        out[:, 1, 1] += 1
        meter.add(Moment("a", clean, clean, out, None, alone=clean))
    figures = meter.figures()
    assert figures is not None
    settled, alone = figures.settled, figures.alone
    assert settled is not None
    assert alone is not None
    assert settled.frames == alone.frames == 4
    assert settled.moving_psnr_db == pytest.approx(20 * np.log10(255 / 10))
    assert settled.uncovered_psnr_db == settled.moving_psnr_db
    mean = (2 * 100 + 4 * 1) / (4 * 8 - 2)
    assert settled.still_psnr_db == pytest.approx(20 * np.log10(255) - 10 * np.log10(mean))
    assert settled.psnr_db == pytest.approx(20 * np.log10(255) - 10 * np.log10(101 / 8))
    assert alone.psnr_db == alone.still_psnr_db == 100.0


def test_a_short_clip_has_not_settled() -> None:
    meter = TemporalMeter()
    for name in ("a", "b"):
        for _ in range(4):
            meter.add(_moment(_grey(100), _grey(101), sequence=name))
    figures = meter.figures()
    assert figures is not None
    assert (figures.pairs, figures.settled, figures.alone) == (6, None, None)
