"""Find ranges of the simulated camera that give noise like a measured profile.

This is approximate Bayesian computation by rejection (Pritchard et al., Mol. Biol. Evol. 16, 1999).
Cameras are drawn from the default ranges, and their noise is measured by the code that measured the
profile. The nearest tenth gives new ranges. A second round draws from these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeunet.camera.chain import MARGIN, Shot, draw_shot, take
from edgeunet.noise_profile.profile import Curve, NoiseProfile
from edgeunet.noise_profile.sums import NoiseSums
from edgeunet.pixels import Doubles, Floats
from edgeunet.schedules import CameraTable

SEED = 0


DRAWS = 400
"""Number of cameras that are drawn and measured, which takes some seconds."""

_FIRST_SHARE = 0.6
_CHECKED_SHARE = 0.1
_KEPT_SHARE = 0.1
_PERCENTILES = (10.0, 90.0)
_SIDE = 80
_PATCHES = 4
_BRIGHTNESSES = 5
_FEWEST_VALUES = 4
_DIGITS = 3
_SMALLEST_DEVIATION = 0.05


@dataclass(frozen=True)
class Figures:
    """The compared figures, one array per kind so that all kinds have the same weight.

    luma, cb, cr: logarithms of the standard deviations at some brightnesses.
    neighbours, chroma_neighbours: correlations at ``LAGS``.
    texture: logarithms of the strength of the JPEG grid and of row offsets.
    """

    luma: Doubles
    cb: Doubles
    cr: Doubles
    neighbours: Doubles
    chroma_neighbours: Doubles
    texture: Doubles


@dataclass(frozen=True)
class Matching:
    """New ranges, and the distance of their cameras from the profile.

    before, after: median distance of cameras drawn from the default and from the new ranges, in
        units of the default spread.
    measured, simulated: standard deviation of luma, and correlation of luma and of chroma at one
        pixel, of the profile and as median of the nearest cameras.
    """

    table: CameraTable
    before: float
    after: float
    measured: tuple[float, float, float]
    simulated: tuple[float, float, float]


def match_camera(
    profile: NoiseProfile, table: CameraTable, *, draws: int | None = None, seed: int = SEED
) -> Matching:
    """Return ranges of ``[train.camera]`` that give noise like a profile's.

    table: the initial ranges. Fields that noise does not show (share, reduction, lens,
        smooths_scene, bits) are kept.
    draws: number of cameras to measure in all rounds; default: ``DRAWS``.
    The same seed gives the same ranges.
    """
    draws = DRAWS if draws is None else draws
    brightnesses = _brightnesses(profile.curves.luma)
    wanted = figures_of(profile, brightnesses)
    first = _draw(table, round(draws * _FIRST_SHARE), brightnesses, seed)
    scales = _scales([drawn.figures for drawn in first])
    distances = _distances(first, wanted, scales)
    narrowed = _narrowed(table, _nearest(first, distances, _KEPT_SHARE))
    second = _draw(narrowed, draws - len(first), brightnesses, seed + 1)
    # Both rounds count, because the second may miss near cameras of the first.
    both = [*first, *second]
    found = _narrowed(table, _nearest(both, _distances(both, wanted, scales), _KEPT_SHARE))
    last = _draw(found, max(round(draws * _CHECKED_SHARE), 10), brightnesses, seed + 2)
    return Matching(
        table=found,
        before=float(np.median(distances)),
        after=float(np.median(_distances(last, wanted, scales))),
        measured=_summary(wanted),
        simulated=_median_summary([drawn.figures for drawn in last]),
    )


def distance_of(
    profile: NoiseProfile, table: CameraTable, *, draws: int, seed: int
) -> NDArray[np.float64]:
    """Return the distances of cameras drawn from a table, in units of the default spread."""
    brightnesses = _brightnesses(profile.curves.luma)
    scales = _scales([drawn.figures for drawn in _draw(CameraTable(), draws, brightnesses, seed)])
    wanted = figures_of(profile, brightnesses)
    return _distances(_draw(table, draws, brightnesses, seed + 1), wanted, scales)


def measured_noise(shot: Shot, generator: np.random.Generator) -> NoiseProfile:
    """Return the noise of a simulated camera, measured on two shots of 16 grey patches."""
    scene = _patches(*shot.sensor_size)
    height, width = (side - 2 * MARGIN for side in shot.size)
    inner = (slice(MARGIN, MARGIN + height), slice(MARGIN, MARGIN + width))
    shots: list[Floats] = []
    for _ in range(2):
        noisy, _clean = take(scene, shot, generator)
        shots.append(noisy[inner] * np.float32(255))
    sums = NoiseSums()
    sums.add_pair(*shots)
    return sums.profile("simulated", "temporal", 2, (height, width))


def figures_of(profile: NoiseProfile, brightnesses: Doubles) -> Figures:
    """Return the compared figures of a profile. brightnesses: where curves are read, 0..1."""
    curves, found = profile.curves, profile.correlation
    chroma = [line for c in (found.cb, found.cr) for line in (c.horizontal, c.vertical)]
    luma = np.array([found.luma.horizontal, found.luma.vertical])
    grid = math.sqrt(max(profile.grid.columns * profile.grid.rows, 1e-3))
    return Figures(
        luma=_logarithms(curves.luma, brightnesses),
        cb=_logarithms(curves.cb, brightnesses),
        cr=_logarithms(curves.cr, brightnesses),
        neighbours=luma.mean(axis=0),
        chroma_neighbours=np.array(chroma).mean(axis=0),
        texture=np.log([grid, max(profile.row_offsets.against_white, 0.1)]),
    )


@dataclass(frozen=True)
class _Drawn:
    shot: Shot
    figures: Figures


def _draw(table: CameraTable, count: int, brightnesses: Doubles, seed: int) -> list[_Drawn]:
    drawn = []
    for number in range(count):
        generator = np.random.default_rng([seed, number])
        shot = draw_shot(table, (_SIDE, _SIDE), generator)
        drawn.append(_Drawn(shot, figures_of(measured_noise(shot, generator), brightnesses)))
    return drawn


def _patches(height: int, width: int) -> NDArray[np.uint8]:
    """Return 4x4 grey patches, (height, width, 3), with very different neighbours."""
    greys = np.linspace(8, 247, _PATCHES**2).astype(np.uint8)
    order = np.arange(_PATCHES**2) * 7 % _PATCHES**2
    table = greys[order].reshape(_PATCHES, _PATCHES)
    rows, columns = (np.arange(side) * _PATCHES // side for side in (height, width))
    return np.repeat(table[rows][:, columns, None], 3, axis=2)


def _brightnesses(curve: Curve) -> Doubles:
    """Return the brightnesses at which curves are compared: measured and not clipped."""
    there = [
        signal for signal, cut in zip(curve.signal, curve.clipped, strict=True) if not cut
    ] or list(curve.signal)
    return np.linspace(there[0], there[-1], _BRIGHTNESSES)


def _logarithms(curve: Curve, brightnesses: Doubles) -> Doubles:
    deviation = np.interp(brightnesses, curve.signal, curve.deviation)
    logarithms: Doubles = np.log(np.maximum(deviation, _SMALLEST_DEVIATION))
    return logarithms


def _kinds(figures: Figures) -> tuple[Doubles, ...]:
    return (
        *(figures.luma, figures.cb, figures.cr),
        *(figures.neighbours, figures.chroma_neighbours, figures.texture),
    )


def _scales(drawn: Sequence[Figures]) -> tuple[Doubles, ...]:
    """Return the median absolute deviation of every figure."""
    scales = []
    for values in zip(*(_kinds(figures) for figures in drawn), strict=True):
        stack = np.stack(values)
        away = np.abs(stack - np.median(stack, axis=0))
        scales.append(np.maximum(np.median(away, axis=0), 0.02))
    return tuple(scales)


def _distances(
    drawn: Sequence[_Drawn], wanted: Figures, scales: Sequence[Doubles]
) -> NDArray[np.float64]:
    def distance(figures: Figures) -> float:
        kinds = zip(_kinds(figures), _kinds(wanted), scales, strict=True)
        means = [float(np.mean(((here - there) / scale) ** 2)) for here, there, scale in kinds]
        return math.sqrt(sum(means) / len(means))

    return np.array([distance(entry.figures) for entry in drawn])


def _nearest(drawn: Sequence[_Drawn], distances: Doubles, share: float) -> list[Shot]:
    count = max(round(share * len(drawn)), _FEWEST_VALUES)
    return [drawn[index].shot for index in np.argsort(distances, kind="stable")[:count]]


def _narrowed(table: CameraTable, shots: Sequence[Shot]) -> CameraTable:
    """Return a table with the ranges of some shots, never wider than before."""
    scales = [shot.size[0] / shot.sensor_size[0] for shot in shots]
    resized = [scale for scale in scales if scale != 1]
    jpeg = [float(shot.quality) for shot in shots if shot.quality is not None]
    h264 = [float(shot.rate_factor) for shot in shots if shot.rate_factor is not None]
    kinds = {shot.demosaic for shot in shots}
    return msgspec.structs.replace(
        table,
        gain=_range([shot.gain for shot in shots], table.gain),
        exposure=_range([math.log2(shot.exposure) for shot in shots], table.exposure),
        row=_range([shot.row / math.sqrt(shot.read) for shot in shots], table.row),
        red_gain=_range([float(shot.balance[0]) for shot in shots], table.red_gain),
        blue_gain=_range([float(shot.balance[2]) for shot in shots], table.blue_gain),
        tone=_range([shot.tone for shot in shots], table.tone),
        demosaic=tuple(kind for kind in table.demosaic if kind in kinds),
        resize=_range(resized, table.resize),
        resize_share=round(len(resized) / len(shots), 2),
        luma_smoothing=_range([s.luma_smoothing for s in shots], table.luma_smoothing),
        chroma_smoothing=_range([s.chroma_smoothing for s in shots], table.chroma_smoothing),
        wide_share=_range([shot.wide_share for shot in shots], table.wide_share),
        sharpening=_range([shot.sharpening for shot in shots], table.sharpening),
        halves_colours=round(sum(shot.halves_colours for shot in shots) / len(shots), 2),
        jpeg=_whole_range(jpeg, table.jpeg),
        jpeg_share=round(len(jpeg) / len(shots), 2),
        h264=_whole_range(h264, table.h264),
        h264_share=round(len(h264) / len(shots), 2),
    )


def _range(values: Sequence[float], before: tuple[float, float]) -> tuple[float, float]:
    """Return the 10th and the 90th percentile, rounded; of too few values, the old range.

    Rounding gives the same recipe on machines that differ in the last bit.
    """
    if len(values) < _FEWEST_VALUES:
        return before
    low, high = (
        float(f"{value:.{_DIGITS}g}") for value in np.percentile(np.asarray(values), _PERCENTILES)
    )
    return max(min(low, before[1]), before[0]), min(max(high, before[0]), before[1])


def _whole_range(values: Sequence[float], before: tuple[int, int]) -> tuple[int, int]:
    low, high = _range(values, before)
    return round(low), round(high)


def _summary(figures: Figures) -> tuple[float, float, float]:
    return (
        float(np.exp(figures.luma.mean())),
        float(figures.neighbours[0]),
        float(figures.chroma_neighbours[0]),
    )


def _median_summary(drawn: Sequence[Figures]) -> tuple[float, float, float]:
    middle = np.median(np.array([_summary(figures) for figures in drawn]), axis=0)
    return float(middle[0]), float(middle[1]), float(middle[2])
