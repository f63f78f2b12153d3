"""Which noise an image has. Three protocols, never mixed in one figure.

float: additive white Gaussian noise, not clipped; the output is clipped to 0..1. What papers
report. uint8: the same draw, rounded and clipped to 8 bits as from a camera; so is the output.
camera: a real noisy image in 8 bits, to which nothing is added; the output is 8 bits as well.
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
"""With 0, so that what a network does to a clean image stands in every table."""

CLEAN = (0.0,)

_HINT = f"write numbers from 0 to {MAX_SIGMA:g}, in 8-bit units, like 0,15,25,50"


class NoiseKind(str, enum.Enum):
    """What the noisy image is made of."""

    FLOAT = "float"
    UINT8 = "uint8"
    CAMERA = "camera"

    def __str__(self) -> str:
        return self.value

    @property
    def words(self) -> str:
        """Return what a person reads."""
        return _WORDS[self]


ADDED = (NoiseKind.FLOAT, NoiseKind.UINT8)
"""The kinds that ``add_noise`` makes, of a sigma. The camera's kind has no sigma."""

_WORDS = {
    NoiseKind.FLOAT: "float, not clipped",
    NoiseKind.UINT8: "clipped to uint8",
    NoiseKind.CAMERA: "as the camera made it",
}


def level_in_words(noise: str, sigma: float | None) -> str:
    """Return ``sigma 25`` for a level of added noise, else what the noise is."""
    return NoiseKind(noise).words if sigma is None else f"sigma {sigma:g}"


def parse_sigmas(text: str) -> tuple[float, ...]:
    """Read ``0,15,25,50``. Raises UsageError for what is no level, and for a level given twice."""
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
    """Return the noisy image, of the kind's type; the kind is one of ``ADDED``.

    clean: (3, H, W) uint8, RGB. index: of the image in its set. Both kinds share one draw, which
    depends on sigma's whole number, index and seed alone; seed 0 gives what the generator seeded
    with [sigma, index] gives.
    """
    if kind not in ADDED:
        raise ValueError(f"{kind} noise is not added")
    generator = np.random.default_rng([int(sigma), index, seed])
    if kind is NoiseKind.UINT8:
        return add_gaussian_uint8(clean, sigma, generator)
    return add_gaussian(as_floats(clean), sigma, generator)
