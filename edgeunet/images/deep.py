"""Samples of more than 8 bits, brought to 8 bits by the bits that are meant.

A file of 16 bits may hold the numbers of a sensor with 10, 12 or 14 bits. Read as 16 bits they are
nearly black. What is meant is taken from the file (PNG: sBIT; TIFF: BitsPerSample and
MaxSampleValue), or from samples that only 16 bits explain, or from what a person states
(``stated_bits.py``). Otherwise the person is asked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import SourceError
from edgeunet.images.stated_bits import FILE_NAME

Stated = Callable[[], "int | None"]
"""Gives the number of bits that a person states, or None. It may raise SourceError."""

Deep = NDArray[np.uint16]

_FULL = 16
# No sensor and no program is known that gives 15 bits.
_SURELY_FULL = 1 << 14


def to_eight_bits(
    samples: Deep, name: str, meant_bits: int | None, stated: Stated
) -> NDArray[np.uint8]:
    """Return samples (uint16, any shape) as uint8, rounded.

    name: of the file, for messages.
    meant_bits: how many bits the file says are used; None when it does not say.
    stated: is asked when the file does not say.
    Raises SourceError when nothing says how many bits are meant, or samples contradict it.
    """
    bits = _bits(samples, name, meant_bits, stated)
    full = (1 << bits) - 1
    wide = samples.astype(np.uint32)
    return ((wide * 255 + full // 2) // full).astype(np.uint8)


def _bits(samples: Deep, name: str, meant_bits: int | None, stated: Stated) -> int:
    largest = int(samples.max(initial=0))
    if meant_bits is not None and not 8 <= meant_bits <= _FULL:
        meant_bits = None
    if meant_bits is None:
        # 8 bits that a program widened are no sensor's.
        return _FULL if _is_widened(samples, 8) else _stated_bits(samples, largest, name, stated())
    # PNG wants samples that are widened to all 16 bits; many programs leave them as they were.
    if largest >= 1 << meant_bits or _is_widened(samples, meant_bits):
        return _FULL
    return meant_bits


def _stated_bits(samples: Deep, largest: int, name: str, bits: int | None) -> int:
    """Return the bits of samples whose file says nothing. bits: what a person states, or None."""
    if bits is None:
        if largest >= _SURELY_FULL:
            return _FULL
        raise SourceError(
            f"{name} has 16 bits but no sample above {largest}, and does not say how many are "
            "meant",
            hint=f"say it with --image-bits 12, with a file {FILE_NAME} in its folder, or in the "
            "image (PNG: sBIT; TIFF: MaxSampleValue)",
        )
    if largest < 1 << bits:
        return bits
    if _is_widened(samples, bits):
        return _FULL
    raise SourceError(
        f"{name} has samples up to {largest}, and the {bits} bits that were stated end at "
        f"{(1 << bits) - 1}",
        hint="state the bits of this file, or state nothing where files differ",
    )


def _is_widened(samples: Deep, bits: int) -> bool:
    """Return whether all samples are numbers of ``bits`` bits that were widened to 16.

    Three ways are in use: zeros are appended, the upper bits are repeated, or the number is scaled
    and rounded. 0 alone proves nothing, and is the same in every way.
    """
    if bits >= _FULL:
        return False
    upper = samples >> (_FULL - bits)
    if np.array_equal(samples, upper << (_FULL - bits)):
        return True
    if np.array_equal(samples, (upper << (_FULL - bits)) | (upper >> (2 * bits - _FULL))):
        return True
    small, large = (1 << bits) - 1, (1 << _FULL) - 1
    wide = samples.astype(np.uint64)
    near = (wide * small + large // 2) // large
    return np.array_equal(wide, (near * large + small // 2) // small)
