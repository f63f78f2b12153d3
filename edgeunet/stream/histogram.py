"""A histogram of times whose bins grow with the value, so that its memory never grows."""

from __future__ import annotations

import math
from array import array

_SMALLEST_MS = 1e-3
_LARGEST_MS = 1e7
_GROWTH = 1.01
_BINS = math.ceil(math.log(_LARGEST_MS / _SMALLEST_MS) / math.log(_GROWTH)) + 1


class Histogram:
    """Counts of times in milliseconds, from one microsecond to two hours, in 18 KiB.

    Each bin is 1 % wider than the one before. So a percentile is right to 0.5 %, however many
    values there are. Mean, smallest and largest value are exact.
    """

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * _BINS))
        self._sum_ms = 0.0
        self.count = 0
        self.smallest_ms = math.inf
        self.largest_ms = 0.0

    def add(self, value_ms: float) -> None:
        """Count one value. Values below a microsecond, negative ones included, share a bin."""
        self._counts[_bin_of(value_ms)] += 1
        self._sum_ms += value_ms
        self.count += 1
        self.smallest_ms = min(self.smallest_ms, value_ms)
        self.largest_ms = max(self.largest_ms, value_ms)

    @property
    def mean_ms(self) -> float:
        """The mean of all values; 0 before the first."""
        return self._sum_ms / self.count if self.count else 0.0

    def percentile_ms(self, percent: float) -> float:
        """Return the value that ``percent`` of the values do not exceed; 0 before the first.

        percent: 0..100.
        """
        if not self.count:
            return 0.0
        wanted = max(1, math.ceil(self.count * percent / 100))
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if seen >= wanted:
                middle_ms: float = _SMALLEST_MS * math.pow(_GROWTH, index + 0.5)
                return min(max(middle_ms, self.smallest_ms), self.largest_ms)
        return self.largest_ms


def _bin_of(value_ms: float) -> int:
    if value_ms <= _SMALLEST_MS:
        return 0
    return min(int(math.log(value_ms / _SMALLEST_MS) / math.log(_GROWTH)), _BINS - 1)
