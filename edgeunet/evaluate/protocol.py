"""Noise protocols. Figures of different protocols are never mixed.

float: additive white Gaussian noise, not clipped; the output is clipped to 0..1. Papers report it.
uint8: the same draw, rounded and clipped to 8 bits as from a camera; the output is 8 bits too.
camera: a real noisy image in 8 bits, without added noise; the output is 8 bits too.
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import UsageError
from edgeunet.noise_models import MAX_SIGMA, add_gaussian, add_gaussian_uint8, check_noise
from edgeunet.pixels import as_floats
from edgeunet.units import shorten

Planes = NDArray[Any]
"""(3, H, W), RGB: uint8, 0..255, or float32, 0..1."""

SIGMAS = (0.0, 15.0, 25.0, 50.0)
"""Default noise levels in 8-bit units. 0 shows what the network does to a clean image."""

CLEAN = (0.0,)

_HINT = f"write numbers from 0 to {MAX_SIGMA:g}, in 8-bit units, like 0,15,25,50"


class NoiseKind(str, enum.Enum):
    """The noise protocols, see the module."""

    FLOAT = "float"
    UINT8 = "uint8"
    CAMERA = "camera"

    def __str__(self) -> str:
        return self.value

    @property
    def words(self) -> str:
        """The protocol in words, for the user."""
        return _WORDS[self]


ADDED = (NoiseKind.FLOAT, NoiseKind.UINT8)
"""The kinds of noise that ``add_noise`` makes. Each needs a sigma; a camera's noise has none."""

_WORDS = {
    NoiseKind.FLOAT: "float, not clipped",
    NoiseKind.UINT8: "clipped to uint8",
    NoiseKind.CAMERA: "as the camera made it",
}


def level_in_words(noise: str, sigma: float | None) -> str:
    """Return a noise level in words, for example ``sigma 25``. noise: a ``NoiseKind``."""
    return NoiseKind(noise).words if sigma is None else f"sigma {sigma:g}"


def given_in_words(scale: int) -> str:
    """Return what the answer is compared with, beside the truth: ``noisy`` or ``bicubic``."""
    return "noisy" if scale == 1 else "bicubic"


def parse_sigmas(text: str) -> tuple[float, ...]:
    """Read noise levels such as ``0,15,25,50``.

    Raises UsageError for a text that is not a level, and for a level that is given twice.
    """
    sigmas = []
    for word in text.split(","):
        try:
            sigma = float(word)
        except ValueError:
            raise UsageError(
                f"{shorten(word.strip())!r} is not a noise level", hint=_HINT
            ) from None
        check_noise(sigma, 0)
        if sigma in sigmas:
            raise UsageError(f"the noise level {sigma:g} is given twice", hint=_HINT)
        sigmas.append(sigma)
    return tuple(sigmas)


def add_noise(
    clean: NDArray[np.uint8], kind: NoiseKind, sigma: float, *, seed: int, index: int
) -> Planes:
    """Return the noisy image: float32 or uint8, as the kind says.

    clean: (3, H, W) uint8, RGB.
    kind: one of ``ADDED``; ValueError is raised for another.
    sigma: standard deviation in 8-bit units.
    index: number of the image in its data set.
    Both kinds use the same draw, which depends only on index, seed and sigma's whole part. With
    seed 0 the draw is that of a generator seeded with [sigma, index].
    """
    if kind not in ADDED:
        raise ValueError(f"{kind} noise is not added")
    generator = np.random.default_rng([int(sigma), index, seed])
    if kind is NoiseKind.UINT8:
        return add_gaussian_uint8(clean, sigma, generator)
    return add_gaussian(as_floats(clean), sigma, generator)
