"""A noise profile, the result of ``edgeunet noise``, as a TOML file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgeunet.errors import RecipeError
from edgeunet.files import read_toml, replacing_file

SCHEMA_VERSION = 1

WHITE_LIMIT = 0.1
"""Noise whose correlations are all below this counts as white."""

LAGS = (1, 2, 4)
"""Distances in pixels at which the correlation is measured."""

_HINT = "measure it again: edgeunet noise SOURCE --profile FILE.toml"


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table whose keys are all known."""


class Fit(_Table, frozen=True):
    """A straight line through a curve: ``variance = gain * signal + read``, signal 0..1.

    low, high: the signals between which the line is valid.
    misfit: relative root mean square distance of the measured variances from the line, over
        samples. The variance of rounding to 8 bits, 1/12 of a level squared, is not part of
        ``read``.
    """

    gain: float
    read: float
    low: float
    high: float
    misfit: float


class Curve(_Table, frozen=True):
    """Standard deviation against brightness, one entry per range of brightness.

    signal: mean brightness, 0..1; for chroma it is the luma.
    deviation: in 8-bit units.
    samples: pixels times pairs of shots.
    clipped: whether black or white cuts off part of the noise.
    fit: None if no straight line fits; ``no_fit`` is then the reason.
    """

    signal: tuple[float, ...]
    deviation: tuple[float, ...]
    samples: tuple[int, ...]
    clipped: tuple[bool, ...]
    fit: Fit | None = None
    no_fit: str = ""

    @property
    def mean_deviation(self) -> float:
        """The standard deviation over all pixels that are not clipped, in 8-bit units."""
        open_ = [not cut for cut in self.clipped]
        if not any(open_):
            open_ = [True] * len(self.clipped)
        rows = list(zip(self.deviation, self.samples, open_, strict=True))
        total = sum(samples for _, samples, kept in rows if kept)
        squares = sum(deviation**2 * samples for deviation, samples, kept in rows if kept)
        return math.sqrt(squares / total)


class Curves(_Table, frozen=True):
    """The curves of all channels; luma, cb and cr as in JPEG (BT.601)."""

    red: Curve
    green: Curve
    blue: Curve
    luma: Curve
    cb: Curve
    cr: Curve


class Correlation(_Table, frozen=True):
    """Correlation of a channel's noise to the neighbours at ``LAGS``, -1..1."""

    horizontal: tuple[float, float, float]
    vertical: tuple[float, float, float]
    diagonal: tuple[float, float, float]

    @property
    def largest(self) -> float:
        """The correlation with the largest magnitude."""
        return max((*self.horizontal, *self.vertical, *self.diagonal), key=abs)


class Correlations(_Table, frozen=True):
    luma: Correlation
    cb: Correlation
    cr: Correlation

    @property
    def largest(self) -> float:
        return max(self.luma.largest, self.cb.largest, self.cr.largest, key=abs)


class Grid(_Table, frozen=True):
    """The 8x8 grid of JPEG in the noise.

    columns, rows: mean squared step of the luma noise across the borders of a grid of 8 pixels,
    divided by that at other places; 1 without a grid.
    """

    columns: float
    rows: float
    found: bool


class Offsets(_Table, frozen=True):
    """Banding: offsets that all pixels of a row, or of a column, share.

    deviation: standard deviation of the offsets, in 8-bit units of luma.
    against_white: standard deviation of row means over that of white noise of the same strength.
    found: whether they are significant.
    """

    deviation: float
    against_white: float
    found: bool


class NoiseProfile(_Table, frozen=True):
    """The noise of a camera's image, after its tone curve and its coding.

    method: ``temporal`` from the differences between shots of a static scene, ``spatial`` from one
        shot of a flat scene, ``pairs`` from noisy shots with clean images.
    """

    schema: int
    source: str
    method: Literal["temporal", "spatial", "pairs"]
    shots: int
    height: int
    width: int
    curves: Curves
    correlation: Correlations
    grid: Grid
    row_offsets: Offsets
    column_offsets: Offsets

    @property
    def white(self) -> bool:
        """Whether the noise of a pixel is independent of its neighbours."""
        return abs(self.correlation.largest) < WHITE_LIMIT

    @property
    def sigma(self) -> float:
        """The standard deviation over red, green and blue, in 8-bit units."""
        colours = (self.curves.red, self.curves.green, self.curves.blue)
        return math.sqrt(sum(curve.mean_deviation**2 for curve in colours) / len(colours))


def write_profile(profile: NoiseProfile, path: Path) -> None:
    """Write a profile as TOML, whole or not at all."""
    comment = "# Written by edgeunet noise; read by edgeunet train --noise-profile."
    lines = [comment, *_lines("", msgspec.to_builtins(profile))]
    with replacing_file(path) as beside:
        beside.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_profile(path: Path) -> NoiseProfile:
    """Read and check a profile. Raises RecipeError when it is missing or not valid."""
    if not path.is_file():
        raise RecipeError(f"there is no noise profile {str(path)!r}", hint=_HINT)
    try:
        table = read_toml(path, dict[str, Any])
        # Checked first, because a later schema may have unknown fields.
        schema = table.get("schema")
        if schema != SCHEMA_VERSION:
            raise RecipeError(
                f"{path.name} is not a noise profile that can be read: its schema is {schema}, "
                f"this version reads {SCHEMA_VERSION}",
                hint=_HINT,
            )
        profile = msgspec.convert(table, type=NoiseProfile)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path.name} is not a noise profile: {error}", hint=_HINT) from error
    problem = next(_problems(profile), None)
    if problem is not None:
        raise RecipeError(f"{path.name} is not a noise profile: {problem}", hint=_HINT)
    return profile


def _problems(profile: NoiseProfile) -> Iterator[str]:
    """Yield errors in a profile's values. A NaN fails every comparison."""
    for name in Curves.__struct_fields__:
        curve: Curve = getattr(profile.curves, name)
        lengths = {len(curve.signal), len(curve.deviation), len(curve.samples), len(curve.clipped)}
        if len(lengths) != 1 or lengths == {0}:
            yield f"the lists of curve {name!r} must have one length, and not be empty"
        if not all(0 <= signal <= 1 for signal in curve.signal):
            yield f"the signals of curve {name!r} must be from 0 to 1"
        if list(curve.signal) != sorted(curve.signal):
            yield f"the signals of curve {name!r} must rise"
        if not all(0 <= deviation <= 255 for deviation in curve.deviation):
            yield f"the deviations of curve {name!r} must be from 0 to 255"
        if not all(samples >= 1 for samples in curve.samples):
            yield f"the samples of curve {name!r} must be at least 1"
    for name in Correlations.__struct_fields__:
        correlation: Correlation = getattr(profile.correlation, name)
        values = (*correlation.horizontal, *correlation.vertical, *correlation.diagonal)
        if not all(-1.5 <= value <= 1.5 for value in values):
            yield f"the correlations of {name!r} must be from -1 to 1"
    ratios = (profile.grid.columns, profile.grid.rows)
    if not all(0 <= ratio < math.inf for ratio in ratios):
        yield "the ratios of [grid] must be numbers from 0"
    for offsets in (profile.row_offsets, profile.column_offsets):
        if not (0 <= offsets.deviation <= 255 and 0 <= offsets.against_white < math.inf):
            yield "the offsets of rows and columns must be numbers from 0"


def _lines(name: str, table: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a TOML table, values before inner tables."""
    if name:
        yield from ("", f"[{name}]")
    for key, value in table.items():
        if value is not None and not isinstance(value, dict):
            # JSON and TOML write strings, numbers and lists alike, except for DEL.
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
            yield f"{key} = {text}".replace("\x7f", "\\u007f")
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _lines(f"{name}.{key}" if name else key, value)
