"""Drawn test frames with details a denoiser must keep: text, texture, colour edges, stars.

Photographs do not have these at the scale of single pixels. A chart can have any size, and is the
same in every run.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeunet.pixels import LUMA_WEIGHTS

Chart = NDArray[np.uint8]

# Glyphs 3 pixels wide and 5 high: an octal digit is a row, its bits are the pixels.
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789. "
_ROWS = (
    "25755 65656 34443 65556 74647 74644 34553 55755 72227 11152 55655 44447 57755 65555 25552 "
    "65644 25573 65655 34216 72222 55557 55552 55775 55255 55222 71247 75557 26227 61247 61216 "
    "55711 74616 34757 71122 75757 75716 00002 00000"
)
_GLYPHS = dict(zip(_LETTERS, _ROWS.split(), strict=True))
_TEXT = "SPHINX OF BLACK QUARTZ. JUDGE MY VOW 0123456789. "
_LETTER_HEIGHT, _LETTER_WIDTH = 7, 4
_INK, _PAPER = 16, 235

# Common luma of the six saturated colours.
_COMMON_LUMA = 96.0
_SATURATED = ((1, 0, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (0, 0, 1), (1, 1, 0))
_PATCH_PIXELS = 8

_STAR_SHARE = 1 / 400
_SKY_SIGMA = 2.0


CHARTS = ("text", "texture", "colours", "stars")


def charts(height: int, width: int) -> dict[str, Chart]:
    """Return name -> (height, width, 3) uint8 RGB, for every name in ``CHARTS``."""
    drawn = (draw_text, draw_texture, draw_colours, draw_stars)
    return {name: draw(height, width) for name, draw in zip(CHARTS, drawn, strict=True)}


def draw_text(height: int, width: int) -> Chart:
    """Return letters with strokes of one pixel (upper half) and of two (lower half).

    Dark on light at the left, light on dark at the right.
    """
    ink = np.zeros((height, width), bool)
    half = height // 2
    for top, bottom, scale in ((0, half, 1), (half, height, 2)):
        rows, columns = -(-(bottom - top) // scale), -(-width // scale)
        lines = np.kron(_lines_of_text(rows, columns), np.ones((scale, scale), bool))
        ink[top:bottom] = lines[: bottom - top, :width]
    ink[:, width // 2 :] ^= True
    return _grey(np.where(ink, np.uint8(_INK), np.uint8(_PAPER)))


def draw_texture(height: int, width: int) -> Chart:
    """Return black and white stripes and checks of one and of two pixels, in six fields.

    Upper row: vertical, horizontal, checks, all of one pixel. Lower row: the same of two.
    """
    chart = np.empty((height, width), np.uint8)
    middle = height // 2
    for top, bottom, pixels in ((0, middle, 1), (middle, height, 2)):
        y = np.arange(bottom - top, dtype=np.uint8)[:, None] // pixels % 2
        x = np.arange(width, dtype=np.uint8)[None, :] // pixels % 2
        for number, field in enumerate((x, y, x ^ y)):
            left, right = width * number // 3, width * (number + 1) // 3
            stripes = np.broadcast_to(field, (bottom - top, width))
            chart[top:bottom, left:right] = 255 * stripes[:, left:right]
    return _grey(chart)


def draw_colours(height: int, width: int) -> Chart:
    """Return patches of saturated colours of one luma: only their colours make the edges."""
    rows, columns = np.arange(height) // _PATCH_PIXELS, np.arange(width) // _PATCH_PIXELS
    palette = [np.rint(_at_common_luma(np.array(colour, float))) for colour in _SATURATED]
    # Steps of 1 to the right and of 2 down: no patch touches another of its colour.
    numbers = (columns[None, :] + 2 * rows[:, None]) % len(palette)
    colours: Chart = np.array(palette, np.uint8)[numbers]
    return colours


def draw_stars(height: int, width: int) -> Chart:
    """Return single bright pixels on a black sky with faint noise."""
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((height, width, 3), dtype=np.float32)
    sky: Chart = np.rint(np.abs(noise) * np.float32(_SKY_SIGMA)).astype(np.uint8)
    lit = generator.random((height, width), dtype=np.float32) < _STAR_SHARE
    count = int(lit.sum())
    brightness = generator.uniform(60, 255, (count, 1)) * generator.uniform(0.8, 1, (count, 3))
    sky[lit] = np.rint(brightness)
    return sky


def _lines_of_text(height: int, width: int) -> NDArray[np.bool_]:
    """Return lines of letters, (height, width), True where there is ink."""
    line = np.concatenate([_glyph(letter) for letter in _TEXT], axis=1)
    page = np.zeros((height, width), bool)
    for number, top in enumerate(range(1, height, _LETTER_HEIGHT)):
        # Every line is shifted, so that letters are not aligned in columns.
        shifted = np.roll(line, -5 * _LETTER_WIDTH * number, axis=1)
        repeated = np.tile(shifted, -(-width // line.shape[1]))[: height - top, :width]
        page[top : top + len(repeated)] = repeated
    return page


def _glyph(letter: str) -> NDArray[np.bool_]:
    """Return a letter and the gap to the next: (5, 4), True where there is ink."""
    rows = [[int(row, 8) >> bit & 1 for bit in (2, 1, 0)] + [0] for row in _GLYPHS[letter]]
    return np.array(rows, bool)


def _at_common_luma(colour: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a colour, 0..1, as 8-bit values of the common luma: darker, or mixed with white."""
    luma = float(colour @ LUMA_WEIGHTS) * 255
    if luma >= _COMMON_LUMA:
        return 255 * colour * _COMMON_LUMA / luma
    white = (_COMMON_LUMA - luma) / (255 - luma)
    return 255 * (colour + white * (1 - colour))


def _grey(values: NDArray[np.uint8]) -> Chart:
    return np.repeat(values[:, :, None], 3, axis=2)
