"""Spatial structure of noise: correlation of neighbours, JPEG grid, row and column offsets.

Running sums are kept, so memory does not grow with the number of images.
"""

from __future__ import annotations

import math

import numpy as np

from edgeunet.noise_profile.profile import LAGS, Correlation, Correlations, Grid, Offsets
from edgeunet.pixels import Doubles, Floats

GRID = 8
"""Side of a block of JPEG, in pixels."""


# Limits below which a grid or an offset is random or too weak to matter.
_GRID_RATIO = 1.03
_GRID_CERTAINTY = 5.0
_OFFSET_SHARE = 0.02
_OFFSET_CERTAINTY = 6.0

# Number of correlated pixels that count as one independent sample.
_PIXELS_PER_SAMPLE = 8

# Row offsets are relative to the mean of this many rows; slower changes are light, not banding.
_SMOOTHED_ROWS = 33

# Largest gap between the two compared parts of a row, in pixels.
_GAP = 16


class TextureSums:
    """Sums over residuals of luma, cb and cr."""

    def __init__(self) -> None:
        self._squares = np.zeros(3)
        self._pixels = 0
        # Channel, direction, lag.
        self._products = np.zeros((3, 3, len(LAGS)))
        self._pairs = np.zeros((3, len(LAGS)))
        self._columns, self._rows = _GridSums(), _GridSums()
        self._row_offsets, self._column_offsets = _OffsetSums(), _OffsetSums()

    def add(self, planes: Floats) -> None:
        """Add one image of noise, (3, H, W): luma, cb and cr with mean 0.

        Pixels that do not count have the value 0.
        """
        _, height, width = planes.shape
        self._squares += np.einsum("chw,chw->c", planes, planes, dtype=np.float64)
        self._pixels += height * width
        for index, lag in enumerate(LAGS):
            if lag >= min(height, width):
                continue
            for direction, pairs in enumerate(_neighbours(planes, lag)):
                for first, second in pairs:
                    self._products[:, direction, index] += _dots(first, second)
                    self._pairs[direction, index] += first[0].size
        luma = planes[0]
        self._columns.add(luma)
        self._rows.add(luma.T)
        self._row_offsets.add(luma)
        self._column_offsets.add(luma.T)

    def correlations(self) -> Correlations:
        variance = np.maximum(self._squares / max(self._pixels, 1), 1e-12)
        means = self._products / np.maximum(self._pairs, 1)
        found = means / variance[:, None, None]

        def of(channel: int) -> Correlation:
            rows = [tuple(round(float(value), 4) for value in row) for row in found[channel]]
            horizontal, vertical, diagonal = ((row[0], row[1], row[2]) for row in rows)
            return Correlation(horizontal=horizontal, vertical=vertical, diagonal=diagonal)

        return Correlations(luma=of(0), cb=of(1), cr=of(2))

    def grid(self) -> Grid:
        columns, rows = self._columns.ratio(), self._rows.ratio()
        found = min(columns.ratio, rows.ratio) > _GRID_RATIO and (
            min(columns.certainty, rows.certainty) > _GRID_CERTAINTY
        )
        return Grid(columns=round(columns.ratio, 4), rows=round(rows.ratio, 4), found=found)

    def row_offsets(self) -> Offsets:
        return self._row_offsets.offsets(self._luma_variance)

    def column_offsets(self) -> Offsets:
        return self._column_offsets.offsets(self._luma_variance)

    @property
    def _luma_variance(self) -> float:
        return float(self._squares[0]) / max(self._pixels, 1)


def _neighbours(planes: Floats, lag: int) -> tuple[list[tuple[Floats, Floats]], ...]:
    """Return pairs of views ``lag`` pixels apart: horizontal, vertical and diagonal."""
    across = [(planes[:, :, :-lag], planes[:, :, lag:])]
    down = [(planes[:, :-lag], planes[:, lag:])]
    diagonal = [
        (planes[:, :-lag, :-lag], planes[:, lag:, lag:]),
        (planes[:, :-lag, lag:], planes[:, lag:, :-lag]),
    ]
    return across, down, diagonal


def _dots(first: Floats, second: Floats) -> Doubles:
    return np.array(
        [np.einsum("hw,hw->", a, b, dtype=np.float64) for a, b in zip(first, second, strict=True)]
    )


class _Ratio:
    def __init__(self, ratio: float, certainty: float) -> None:
        self.ratio, self.certainty = ratio, certainty


class _GridSums:
    """Squared steps from column to column, by position in a grid of 8 pixels."""

    def __init__(self) -> None:
        self._steps = np.zeros(GRID)
        self._counts = np.zeros(GRID)

    def add(self, plane: Floats) -> None:
        steps = np.diff(plane, axis=1)
        columns = np.einsum("hw,hw->w", steps, steps, dtype=np.float64)
        places = (np.arange(len(columns)) + 1) % GRID
        self._steps += np.bincount(places, columns, GRID)
        self._counts += np.bincount(places, minlength=GRID) * plane.shape[0]

    def ratio(self) -> _Ratio:
        """Return the ratio at the position where it is largest, because images may be cropped.

        Only positions two, four and six columns away are compared. Bayer mosaics and halved colours
        have a period of two, which is not the JPEG grid.
        """
        if not self._counts.all():
            return _Ratio(1.0, 0.0)
        means = self._steps / self._counts
        others = np.stack([np.roll(means, shift) for shift in (2, 4, 6)]).mean(axis=0)
        if not others.all():
            return _Ratio(1.0, 0.0)
        ratios = means / others
        place = int(ratios.argmax())
        chance = math.sqrt(2 * (4 / 3) * _PIXELS_PER_SAMPLE / self._counts[place])
        return _Ratio(float(ratios[place]), float(ratios[place] - 1) / chance)


class _OffsetSums:
    """Offsets that all pixels of a row share.

    They are the covariance of the left and the right part of each row. Parts that are far apart
    share nothing else, however the noise is smoothed.
    """

    def __init__(self) -> None:
        self._both = self._left = self._right = self._whole = 0.0
        self._rows = 0
        self._width = 1

    def add(self, plane: Floats) -> None:
        height, width = plane.shape
        gap = min(_GAP, width // 8)
        middle = width // 2
        if middle <= gap or height < 2:
            return
        left = _without_slow_changes(plane[:, : middle - gap].mean(axis=1, dtype=np.float64))
        right = _without_slow_changes(plane[:, middle + gap :].mean(axis=1, dtype=np.float64))
        whole = _without_slow_changes(plane.mean(axis=1, dtype=np.float64))
        self._both += float(left @ right)
        self._left += float(left @ left)
        self._right += float(right @ right)
        self._whole += float(whole @ whole)
        self._rows += height
        self._width = width

    def offsets(self, variance: float) -> Offsets:
        if not self._rows or variance <= 0:
            return Offsets(deviation=0.0, against_white=1.0, found=False)
        deviation = math.sqrt(max(self._both, 0.0) / self._rows)
        white = math.sqrt(variance / self._width)
        ratio = math.sqrt(self._whole / self._rows) / white
        alone = math.sqrt(self._left * self._right)
        certainty = self._both / alone * math.sqrt(self._rows) if alone > 0 else 0.0
        found = certainty > _OFFSET_CERTAINTY and deviation > _OFFSET_SHARE * math.sqrt(variance)
        return Offsets(deviation=round(deviation, 4), against_white=round(ratio, 3), found=found)


def _without_slow_changes(means: Doubles) -> Doubles:
    length = min(_SMOOTHED_ROWS, len(means))
    window = np.ones(length)
    smooth = np.convolve(means, window, "same") / np.convolve(np.ones(len(means)), window, "same")
    changes: Doubles = means - smooth
    return changes
