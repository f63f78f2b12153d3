"""The charts show what their names say, at any size."""

from __future__ import annotations

import numpy as np
import pytest

from edgeunet.charts import charts, draw_colours, draw_stars, draw_text, draw_texture

LUMA = np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize(("height", "width"), [(16, 16), (33, 50), (96, 160)])
def test_any_size_and_the_same_every_time(height: int, width: int) -> None:
    first, second = charts(height, width), charts(height, width)
    assert list(first) == ["text", "texture", "colours", "stars"]
    for name, chart in first.items():
        assert chart.shape == (height, width, 3)
        assert chart.dtype == np.uint8
        assert np.array_equal(chart, second[name])
        assert chart.std() > 0


def test_text_is_dark_on_light_and_light_on_dark() -> None:
    chart = draw_text(96, 160)[:, :, 0]
    assert set(np.unique(chart)) == {16, 235}
    left, right = chart[:, :80] == 16, chart[:, 80:] == 235
    assert 0.15 < left.mean() < 0.5
    assert 0.15 < right.mean() < 0.5
    # The first letter, an S.
    rows = ["".join("#" if value == 16 else "." for value in row) for row in chart[1:6, :4]]
    assert rows == [".##.", "#...", ".#..", "..#.", "##.."]


def test_strokes_are_one_pixel_and_two() -> None:
    chart = draw_text(96, 160)[:, :, 0]
    small, large = chart[:48], chart[48:]
    assert np.array_equal(large[::2, ::2], large[1::2, 1::2])
    assert not np.array_equal(small[::2, ::2], small[1::2, 1::2])


def test_texture_has_six_fields() -> None:
    chart = draw_texture(40, 60)[:, :, 0].astype(int)
    assert set(np.unique(chart)) == {0, 255}
    for top, pixels in ((0, 1), (20, 2)):
        upright, level, checks = (chart[top : top + 20, left : left + 20] for left in (0, 20, 40))
        assert (np.diff(upright, axis=0) == 0).all()
        assert (np.diff(level, axis=1) == 0).all()
        for field, axis in ((upright, 1), (level, 0), (checks, 0), (checks, 1)):
            # As long as the other values as its own: the period is twice the stripe.
            moved = np.roll(field, pixels, axis=axis)
            inner = np.take(field - moved, range(pixels, 20), axis=axis)
            assert (np.abs(inner) == 255).all()


def test_colours_differ_in_colour_alone() -> None:
    chart = draw_colours(64, 96)
    luma = chart @ LUMA
    assert luma.max() - luma.min() < 1.5
    patches = chart[::8, ::8].astype(int)
    assert len(np.unique(patches.reshape(-1, 3), axis=0)) == 6
    for axis in (0, 1):
        assert (np.abs(np.diff(patches, axis=axis)).max(axis=2) > 60).all()


def test_stars_are_single_pixels_on_a_dark_sky() -> None:
    chart = draw_stars(200, 200)
    bright = chart.max(axis=2) > 40
    # A share of 1/400, within four standard deviations.
    assert 60 < bright.sum() < 140
    assert float(chart[~bright].mean()) == pytest.approx(2 * np.sqrt(2 / np.pi), abs=0.1)
