"""How far a memory can be trusted: the gain of a Kalman filter at each place.

What a frame differs from the memory is the innovation. If nothing has changed, it is noise. Its
power is measured in four bands of details, from two pixels to 16, and compared with the power of
the noise in that band. What is above counts as change, and lowers the count of trusted frames as
the process noise of a Kalman filter does (Kalman, J. Basic Eng. 1960).

The noise is not told: it is estimated around every place and in every band, so white noise and
the coarse grains of a camera are judged alike. The power of the innovation, of what the frame
differs from the previous output, and of the frame itself are all at least that of the noise. The
least of the three is taken, each as a harmonic mean over an area, which follows its quietest parts.

A change of brightness that is the same over an area is no motion: it is added to the memory.

Powers are in units of (16 levels)^2, which FP16 holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeunet.models.judge import Judge, within

MOST_COUNT = 31.0
"""The mean of the fused frame never counts for more frames than this."""

SHIFT_STEPS = 255.0 * 2
"""A shift of brightness is kept in steps of half a level."""

LARGEST_SHIFT = 63.5 / 255.0

NOISE_STEPS = 255.0 * 4
"""The deviation of the noise is kept in steps of a quarter of a level."""

# A weight that learns reaches full strength so many times faster than others move.
_PACE = 20.0

_LEVELS = 255.0 / 16.0

# Rounding to 8 bits leaves at least so much, a deviation of 0.6 levels; and its share in each band
# if it is white.
_LEAST = (0.6 / 16.0) ** 2
_WHITE = (3 / 4, 3 / 16, 3 / 64, 1 / 64)

# What the power in a band may be above that of the noise, as a share of it, and what counts then.
_MARGINS = (0.2, 0.6, 1.0, 3.0)
_WEIGHTS = (1.0, 0.5, 0.5, 0.3)

# The share of places with noise below which an area is taken to have none.
_FEW = 1e-6

# Sides of areas in eighths of the frame: for the noise, and for the two means of the shift.
_NOISE_AREA, _WIDE, _NEAR = 9, 15, 3
# A block that differs by so many units in brightness hardly counts in the wide mean.
_OUTLIER = 20.0 / 16.0
# A shift is taken for noise up to so many times the noise of its mean.
_WIDE_DOUBT, _NEAR_DOUBT = 1.0, 4.0
_WIDE_BLOCKS = 150.0

# Bytes cannot hold a mean of more frames than about twice the deviation of the noise in levels.
_FRAMES_PER_LEVEL = 2.0 * 16.0
_MOST_RATIO = 1000.0
_FEATURES = 8


class _Bands(NamedTuple):
    """The power of an image in bands. ``finest``, ``fine``: at half of the size; ``coarse``: at a
    quarter. mean: (N, 3, H / 8, W / 8), what is left, not squared.
    """

    finest: Tensor
    fine: Tensor
    coarse: Tensor
    mean: Tensor

    def at_eighth(self) -> list[Tensor]:
        """Return the power in all four bands at an eighth of the size."""
        pool = functional.avg_pool2d
        rest = _power(self.mean - local_mean(self.mean, 3)) * (9 / 8)
        return [pool(self.finest, 4), pool(self.fine, 4), pool(self.coarse, 2), rest]


@dataclass(frozen=True)
class Trusted:
    """What an aligned memory is worth.

    count: (N, 1, H / 2, W / 2), how many frames before this one are trusted.
    shift: (N, 3, H / 8, W / 8), what is added to the memory, -LARGEST_SHIFT..LARGEST_SHIFT.
    noise: (N, 1, H / 8, W / 8), the deviation of the noise, 0..0.25.
    """

    count: Tensor
    shift: Tensor
    noise: Tensor


class Trust(nn.Module):
    """Judges an aligned memory. A new one trusts nothing; its ``strength`` is learned first."""

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(1))
        self.margins = nn.Parameter(torch.tensor(_MARGINS))
        self.weights = nn.Parameter(torch.tensor(_WEIGHTS))
        self.doubt = Judge(_FEATURES)

    def forward(
        self,
        frame: Tensor,
        aligned: Tensor,
        mean: Tensor | None,
        told: Tensor,
        counted: Tensor,
    ) -> Trusted:
        """Judge the memory of a frame.

        frame, aligned, mean: (N, 3, H, W), 0..1: the frame, the previous output and fused frame
        where they lie now. Without a fused frame, the previous output is judged.
        told: (N, 1, H / 2, W / 2), how many frames the fused frame is the mean of; 0 for none.
        counted: for how many it counts if nothing has changed, at most as many.
        """
        # Nothing is learned through the measurements themselves.
        frame, aligned = frame.detach() * _LEVELS, aligned.detach() * _LEVELS
        away = _bands(frame - aligned)
        # A full-size constant could not be cut into windows, so that without a mean it is a number.
        expected: Tensor | float = 1.0
        if mean is None:
            innovation = away
            bounds = [away.at_eighth(), _bands(frame).at_eighth()]
        else:
            innovation = _bands(frame - mean.detach() * _LEVELS)
            expected = 1.0 + _own_noise(told.detach())
            share = 1.0 / (1.0 + _own_noise(functional.avg_pool2d(told.detach(), 4)))
            own = [power * share for power in innovation.at_eighth()]
            bounds = [own, away.at_eighth(), _bands(frame).at_eighth()]
        noise = _noise(bounds)
        shift = _shift(innovation.mean, noise[3])
        powers = (
            local_mean(innovation.finest, 5),
            local_mean(innovation.fine, 5),
            _larger(local_mean(innovation.coarse, 3), 2),
            _larger(_power(innovation.mean - shift), 4),
        )
        floors = [expected * _larger(power, 4) for power in noise]
        margins, weights = self.margins, self.weights.clamp(min=0.0)
        changes = [
            weights[band]
            * ((power / floor).clamp(max=_MOST_RATIO) - 1.0 - margins[band]).clamp(min=0.0)
            for band, (power, floor) in enumerate(zip(powers, floors, strict=True))
        ]
        change = changes[0] + changes[1] + changes[2] + changes[3]
        deviation = (noise[0] + noise[1] + noise[2] + noise[3]).sqrt()
        count = counted / (1.0 + counted * expected * change)
        count = torch.minimum(count, 1.0 + _FRAMES_PER_LEVEL * _larger(deviation, 4))
        seen = _bands(aligned)
        features = [
            *(power / (power + floor) for power, floor in zip(powers, floors, strict=True)),
            seen.finest / (seen.finest + floors[0]),
            seen.fine / (seen.fine + floors[1]),
            count / (1.0 + count),
            _larger(deviation / (1.0 + deviation), 4),
        ]
        count = count * (1.0 - self.doubt(torch.cat(features, dim=1)))
        strength = within(self.strength * _PACE, learns=self.training)
        return Trusted(
            count * strength.reshape(1, 1, 1, 1),
            _in_steps(shift / _LEVELS, SHIFT_STEPS).clamp(-LARGEST_SHIFT, LARGEST_SHIFT),
            _in_steps(deviation / _LEVELS, NOISE_STEPS).clamp(max=255.0 / NOISE_STEPS),
        )


def shifted(image: Tensor, shift: Tensor) -> Tensor:
    """Return a memory with the brightness of the frame. image: (N, 3, H, W). shift: see
    ``Trusted``; between the middles of blocks it is interpolated.
    """
    return image + functional.interpolate(
        shift, scale_factor=8.0, mode="bilinear", align_corners=False
    )


def local_mean(values: Tensor, side: int) -> Tensor:
    """Return the mean over the square around each place, as far as it lies within the border."""
    return functional.avg_pool2d(values, side, stride=1, padding=side // 2, count_include_pad=False)


def _bands(image: Tensor) -> _Bands:
    """Divide an image, (N, 3, H, W), into bands: what each halving of the size leaves out."""
    pool = functional.avg_pool2d
    half = pool(image, 2)
    quarter = pool(half, 2)
    eighth = pool(quarter, 2)
    return _Bands(
        pool(_power(image), 2) - _power(half),
        _power(half - _larger(quarter, 2)),
        _power(quarter - _larger(eighth, 2)),
        eighth,
    )


def _own_noise(count: Tensor) -> Tensor:
    """Return the noise of a mean of ``count`` frames, as a share of a frame's.

    Of a block that has moved, the count says less than its mean is worth, so it says nothing.
    """
    return (2.0 * count - 1.0).clamp(0.0, 1.0) / count.clamp(min=0.5)


def _noise(bounds: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Return the power of the noise in each band, at an eighth of the size."""
    found = []
    for band, white in enumerate(_WHITE):
        least = white * _LEAST
        found.append(_least([_quiet(powers[band], least) for powers in bounds]))
    return found


def _quiet(power: Tensor, least: float) -> Tensor:
    """Return the harmonic mean over an area of a power, plus ``least``.

    Places without any noise, such as the padding of a frame or a saturated sky, do not count.
    """
    power = local_mean(power, 3).clamp(min=0.0)
    above = power + least
    counts = power / above
    inverse = counts / above
    area = _NOISE_AREA
    return (local_mean(counts, area) + _FEW) / (local_mean(inverse, area) + _FEW / least)


def _least(values: Sequence[Tensor]) -> Tensor:
    least = values[0]
    for other in values[1:]:
        least = torch.minimum(least, other)
    return least


def _shift(difference: Tensor, noise: Tensor) -> Tensor:
    """Return how much brighter the frame is than the memory, (N, 3, H / 8, W / 8).

    difference: of each block. noise: of its power, in a frame alone.
    """
    counts = 1.0 / (1.0 + _power(difference) * (1.0 / _OUTLIER**2))
    wide = local_mean(counts * difference, _WIDE) / local_mean(counts, _WIDE)
    wide = _doubted(wide, noise * (2.0 * _WIDE_DOUBT / _WIDE_BLOCKS))
    near = local_mean(difference - wide, _NEAR)
    return wide + _doubted(near, noise * (2.0 * _NEAR_DOUBT / _NEAR**2))


def _doubted(shift: Tensor, noise: Tensor) -> Tensor:
    """Return a shift, smaller where its power is not far above that of noise."""
    power = _power(shift)
    return shift * ((power - noise).clamp(min=0.0) / (power + 1e-6))


def _power(image: Tensor) -> Tensor:
    return (image * image).mean(dim=1, keepdim=True)


def _larger(values: Tensor, factor: int) -> Tensor:
    return functional.interpolate(values, scale_factor=float(factor), mode="nearest")


def _in_steps(values: Tensor, steps: float) -> Tensor:
    return torch.round(values * steps) * (1.0 / steps)
