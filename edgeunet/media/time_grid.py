"""The grid that the times of a file lie on, for AVI, which has a frame rate in place of times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from edgeunet.media import pyav

_COMMON = tuple(Fraction(rate) for rate in (25, 30, 50, 60, 120, 240, 1000))
_TOLERANCE = 0.25
"""Of the shortest time between two frames."""


def grid_rate(path: Path, declared: Fraction) -> Fraction:
    """Return a frame rate on whose grid every frame of a file has a place of its own.

    declared: frames per second that the file says, which is taken where it is true.
    Reads all packets without decoding them. Of a file without times, ``declared`` is returned.
    """
    times_s = _packet_times(path)
    if len(times_s) < 2:
        return declared
    since_first = np.sort(times_s) - np.min(times_s)
    shortest = float(np.min(np.diff(since_first)))
    for rate in (*(declared * factor for factor in (1, 2, 4)), *_COMMON):
        places = np.round(since_first * float(rate))
        apart = np.all(np.diff(places) >= 1)
        if apart and np.max(np.abs(places / float(rate) - since_first)) <= _TOLERANCE * shortest:
            return rate
    return _COMMON[-1]


def _packet_times(path: Path) -> list[float]:
    try:
        container = pyav.open_to_read(path)
    except pyav.failures():
        return []
    times: list[float] = []
    try:
        packets = container.demux(container.streams.best("video"))
        times.extend(float(one.pts * one.time_base) for one in packets if one.pts is not None)
    except pyav.failures():
        return times
    finally:
        container.close()
    return times
